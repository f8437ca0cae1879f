"""Dressing a posed body: which volumes a person consists of and how each is painted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from dpig_tf2.synthetic.factors import Color, Foreground, Garment
from dpig_tf2.synthetic.kinematics import (
    HEAD_BREADTH,
    HEAD_DEPTH,
    HEAD_HEIGHT,
    SIDES,
    Skeleton,
    body_volumes,
)
from dpig_tf2.synthetic.volumes import Painter, Surface, Volume

# Where the upper garment ends on the torso, as a fraction of its axis.
_BELT = 0.8
# How much thicker than the bare limb cloth is at the limb's start and end; it tapers less.
_EASE = {
    "upper_arm": (1.08, 1.15), "forearm": (1.19, 1.3), "thigh": (1.08, 1.12), "shin": (1.15, 1.4),
}  # fmt: skip
# How far legs under a skirt are set back from the camera, body heights.
_BEHIND_CLOTH = np.array([0.0, 0.0, -0.07])
_HIDES_EARS = ("bob", "long")

Part = tuple[Volume, Painter]


def figure(foreground: Foreground, body: Skeleton) -> Iterator[Part]:
    """All volumes of a dressed person with their painters, in no particular order."""
    naked = body_volumes(body, foreground.build)
    yield naked["torso"], _torso_painter(foreground)
    yield naked["neck"], _plain(foreground.skin)
    yield from _head(foreground, body, naked["head"])
    for side in SIDES:
        yield from _arm(foreground, naked, side)
        yield from _leg(foreground, naked, side)
    if foreground.lower_kind != "trousers":
        yield _skirt(foreground, body), _cloth_painter(foreground.lower, 0.26)
    yield from _bag(foreground, body)


def _plain(color: Color) -> Painter:
    rgb = np.array(color, np.float32)
    return lambda surface: rgb


def _cloth_painter(garment: Garment, offset: float = 0.0) -> Painter:
    """A garment's cloth; `offset` is where the volume starts below the garment's upper edge."""
    if garment.texture == "plain":
        return _plain(garment.color)
    color, accent = np.array(garment.color, np.float32), np.array(garment.accent, np.float32)
    texture, period = _TEXTURE_PAINTERS[garment.texture], garment.period
    return lambda surface: (
        color + (accent - color) * texture(surface, surface.along + offset, period)[:, None]
    )


def _horizontal_stripes(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    return _stripes(along, period)


def _pinstripes(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    return _stripes(surface.azimuth * surface.radius, 0.7 * period)


def _check(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    around = surface.azimuth * surface.radius
    return (_stripes(along, period) + _stripes(around, period)) / 2


def _dots(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    across = surface.azimuth * (surface.radius / (0.65 * period))
    down = along / (0.65 * period)
    square = (across - np.floor(across) - 0.5) ** 2 + (down - np.floor(down) - 0.5) ** 2
    return np.float32(square < 0.1)


def _block(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    return np.float32(along > 0.145)


def _band(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    return np.float32((along > 0.07) & (along < 0.135))


def _panel(surface: Surface, along: np.ndarray, period: float) -> np.ndarray:
    """The front of the torso, as of an open jacket; limbs have none."""
    return np.float32((np.abs(surface.azimuth) < 0.55) & (surface.radius > 0.07))


# How much of the accent color shows at surface points `along` below the garment's upper edge:
# float [N] in [0, 1].
_TEXTURE_PAINTERS = {
    "stripes": _horizontal_stripes,
    "pinstripes": _pinstripes,
    "check": _check,
    "dots": _dots,
    "block": _block,
    "band": _band,
    "panel": _panel,
}


def _stripes(position: np.ndarray, period: float) -> np.ndarray:
    turns = position / period
    return np.float32(turns - np.floor(turns) < 0.45)


def _torso_painter(foreground: Foreground) -> Painter:
    upper, lower = _cloth_painter(foreground.upper), _cloth_painter(foreground.lower)
    skin = np.array(foreground.skin, np.float32)
    strap = np.array(foreground.bag_color, np.float32)

    def paint(surface: Surface) -> np.ndarray:
        lateral = np.sin(surface.azimuth) * surface.radius
        front = np.abs(surface.azimuth) < np.pi / 2
        colors = np.where((surface.fraction < _BELT)[:, None], upper(surface), lower(surface))
        neckline = front & (surface.along < 0.03 - 0.6 * np.abs(lateral))
        colors = np.where(neckline[:, None], skin, colors)
        if foreground.bag == "backpack":
            straps = front & (np.abs(np.abs(lateral) - 0.055) < 0.012) & (surface.along < 0.17)
        elif foreground.bag == "shoulder bag":
            straps = np.abs(lateral + 0.065 - 0.5 * surface.along) < 0.012
        else:
            return colors
        return np.where(straps[:, None], strap, colors)

    return paint


def _arm(foreground: Foreground, naked: dict[str, Volume], side: str) -> Iterator[Part]:
    reach = foreground.upper.length
    shoulder_to_elbow = naked[f"{side}_upper_arm"].length()
    for name, begin, offset in (("upper_arm", 0, 0.0), ("forearm", 1, shoulder_to_elbow)):
        cloth = _cloth_painter(foreground.upper, offset)
        limb = naked[f"{side}_{name}"]
        yield _covered(limb, cloth, foreground.skin, reach - begin, _EASE[name])
    yield naked[f"{side}_hand"], _plain(foreground.skin)


def _leg(foreground: Foreground, naked: dict[str, Volume], side: str) -> Iterator[Part]:
    reach = foreground.lower.length
    hip_to_knee = naked[f"{side}_thigh"].length()
    for name, begin, offset in (("thigh", 0, 0.03), ("shin", 1, 0.03 + hip_to_knee)):
        limb = naked[f"{side}_{name}"]
        if foreground.lower_kind == "trousers":
            cloth = _cloth_painter(foreground.lower, offset)
            yield _covered(limb, cloth, foreground.skin, reach - begin, _EASE[name])
        else:
            yield _below_skirt(limb, foreground, reach - begin)
    yield naked[f"{side}_foot"], _plain(foreground.shoes)


def _covered(limb: Volume, cloth: Painter, skin: Color, reach: float, ease) -> Part:
    """A limb whose first `reach` (fraction of its axis) is clothed."""
    bare = _plain(skin)
    if reach <= 0:
        return limb, bare
    if reach >= 1:
        radii = limb.breadths * ease
        return dataclasses.replace(limb, breadths=radii, depths=radii), cloth
    knots = (0.0, reach, reach + 0.02, 1.0)
    radii = np.interp(knots, limb.knots, limb.breadths) * (ease[0], 1.1 * ease[1], 1.0, 1.0)
    half_clothed = dataclasses.replace(limb, knots=knots, breadths=radii, depths=radii)
    return half_clothed, lambda surface: np.where(
        (surface.fraction < reach)[:, None], cloth(surface), bare(surface)
    )


def _below_skirt(limb: Volume, foreground: Foreground, reach: float) -> Part:
    """A leg's limb that is bare from the hem on."""
    # Set back a little, so that a stride does not lift the leg through the cloth.
    start, end = limb.start + _BEHIND_CLOTH, limb.end + _BEHIND_CLOTH
    if reach >= 1:
        return dataclasses.replace(limb, start=start, end=end), _plain(foreground.lower.color)
    begin = max(0.0, reach - 0.1)
    start = start + begin * (end - start)
    radii = np.interp((begin, 1.0), limb.knots, limb.breadths)
    visible = dataclasses.replace(limb, start=start, end=end, breadths=radii, depths=radii)
    return visible, _plain(foreground.skin)


def _skirt(foreground: Foreground, body: Skeleton) -> Volume:
    """A skirt from the waist to its hem, wide enough for both legs."""
    reach = foreground.lower.length
    hem = {side: _point_on_leg(body, side, reach) for side in SIDES}
    apart = np.abs(body.axes.T @ (hem["left"] - hem["right"])) / 2
    build = foreground.build
    radius = 0.05 * build + 0.018 * min(reach, 1.0)
    breadths = np.array([0.085 * build, 0.105 * build, 1.15 * apart[0] + radius])
    depths = np.array([0.065 * build, 0.085 * build, 1.15 * apart[2] + radius])
    return Volume(
        start=body.joints["hips"] + 0.03 * body.axes[:, 1],
        end=(hem["left"] + hem["right"]) / 2,
        knots=(0.0, 0.3, 1.0),
        breadths=breadths,
        depths=depths,
        caps=(0.15, 0.12),
        facing=body.facing,
    )


def _point_on_leg(body: Skeleton, side: str, reach: float) -> np.ndarray:
    hip, knee, ankle = (body.joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    if reach <= 1:
        return hip + reach * (knee - hip)
    return knee + (reach - 1) * (ankle - knee)


def _head(foreground: Foreground, body: Skeleton, head: Volume) -> Iterator[Part]:
    left, up, forward = body.head_axes.T
    yield head, _face_painter(foreground, body)
    center = body.joints["head"]
    nose = center + 0.95 * HEAD_DEPTH * forward - 0.1 * HEAD_HEIGHT * up
    yield _ball(nose, 0.011, body.head_facing), _plain(foreground.skin)
    for sign in () if foreground.hair_style in _HIDES_EARS else SIDES.values():
        ear = center + 0.95 * sign * HEAD_BREADTH * left
        yield _ball(ear, 0.011, body.head_facing), _plain(foreground.skin)
    for volume in _hair_volumes(foreground.hair_style, body):
        yield volume, _plain(foreground.hair_color)
    if foreground.hat is not None:
        dome = _ellipsoid(
            center + 0.036 * up - 0.004 * forward, 1.14 * HEAD_BREADTH, 1.14 * HEAD_DEPTH, 0.046,
            body.head_facing,
        )  # fmt: skip
        brim = dataclasses.replace(
            _ball(center, 0.02, body.head_facing),
            start=center + 0.022 * up + 0.03 * forward,
            end=center + 0.018 * up + 0.085 * forward,
        )
        yield dome, _plain(foreground.hat)
        yield brim, _plain(foreground.hat)


def _face_painter(foreground: Foreground, body: Skeleton) -> Painter:
    skin, hair = np.array(foreground.skin, np.float32), np.array(foreground.hair_color, np.float32)
    eye = np.array((40, 30, 30), np.float32)
    mouth = 0.55 * skin + 0.45 * np.array((150, 40, 50), np.float32)

    def paint(surface: Surface) -> np.ndarray:
        lateral, height, ahead = (surface.normal @ body.head_axes).T
        front = ahead > 0.2
        eyes = front & ((np.abs(lateral) - 0.38) ** 2 + (height - 0.14) ** 2 < 0.017)
        brows = front & (np.abs(np.abs(lateral) - 0.38) < 0.19) & (np.abs(height - 0.36) < 0.05)
        lips = front & (np.abs(lateral) < 0.25) & (np.abs(height + 0.5) < 0.07)
        colors = np.where(lips[:, None], mouth, skin)
        colors = np.where(eyes[:, None], eye, colors)
        haired = brows
        if foreground.hair_style != "bald":
            # The hairline rises toward the forehead.
            haired = haired | (height > -0.25 + 0.95 * ahead)
        return np.where(haired[:, None], hair, colors)

    return paint


def _hair_volumes(style: str, body: Skeleton) -> Iterator[Volume]:
    """Hair that stands off the head."""
    _, up, forward = body.head_axes.T
    center, facing = body.joints["head"], body.head_facing
    if style == "bald":
        return
    yield _ellipsoid(
        center + 0.011 * up - 0.013 * forward,
        1.1 * HEAD_BREADTH, 1.02 * HEAD_DEPTH, 1.0 * HEAD_HEIGHT, facing,
    )  # fmt: skip
    nape = center - 0.03 * up - 0.035 * forward
    if style == "bob":
        yield _ellipsoid(center - 0.025 * up - 0.018 * forward, 0.062, 0.045, 0.062, facing)
    elif style == "long":
        back = body.joints["chest"] - 0.1 * body.axes[:, 1] - 0.07 * body.axes[:, 2]
        yield _strand(nape + 0.03 * up, back, (0.056, 0.05), 0.035, facing)
    elif style == "ponytail":
        crown = center + 0.02 * up - 0.06 * forward
        end = body.joints["chest"] - 0.02 * up - 0.1 * body.axes[:, 2]
        yield _strand(crown, end, (0.024, 0.018), 0.024, facing)
    elif style == "bun":
        yield _ball(center + 0.055 * up - 0.045 * forward, 0.033, facing)


def _ellipsoid(center, breadth: float, depth: float, height: float, facing: float) -> Volume:
    half = np.array([0.0, 1e-3, 0.0])
    return Volume(
        start=center + half,
        end=center - half,
        knots=(0.0, 1.0),
        breadths=np.full(2, breadth),
        depths=np.full(2, depth),
        caps=(height / breadth, height / breadth),
        facing=facing,
    )


def _ball(center, radius: float, facing: float) -> Volume:
    return _ellipsoid(center, radius, radius, radius, facing)


def _strand(start, end, breadths: tuple[float, float], depth: float, facing: float) -> Volume:
    return Volume(start, end, (0.0, 1.0), np.array(breadths), np.full(2, depth), (1.0, 0.6), facing)


def _bag(foreground: Foreground, body: Skeleton) -> Iterator[Part]:
    left, up, forward = body.axes.T
    painter = _plain(foreground.bag_color)
    build = foreground.build
    if foreground.bag == "backpack":
        top = body.joints["chest"] - 0.035 * up - (0.06 * build + 0.035) * forward
        yield _box(top, top - 0.16 * up, 0.078, 0.045, body.facing), painter
    elif foreground.bag == "shoulder bag":
        top = body.joints["hips"] + 0.045 * up + (0.09 * build + 0.03) * left
        yield _box(top, top - 0.1 * up, 0.028, 0.065, body.facing), painter
    elif foreground.bag == "handbag":
        top = body.joints["right_hand"] - np.array([0.0, 0.035, 0.0])
        yield _box(top, top - np.array([0.0, 0.075, 0.0]), 0.022, 0.055, body.facing), painter


def _box(top, bottom, breadth: float, depth: float, facing: float) -> Volume:
    return Volume(
        top, bottom, (0.0, 1.0), np.full(2, breadth), np.full(2, depth), (0.4, 0.3), facing
    )
