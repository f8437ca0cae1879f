"""Dressing a posed body: which volumes a person consists of and how each is painted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from dpig_tf2.preparation.synthetic.factors import Colour, Foreground, Garment
from dpig_tf2.preparation.synthetic.kinematics import (
    HEAD_BREADTH,
    HEAD_DEPTH,
    HEAD_HEIGHT,
    SIDES,
    Skeleton,
    body_volumes,
)
from dpig_tf2.preparation.synthetic.volumes import Painter, Surface, Volume

# Where the upper garment ends on the torso, as a fraction of its axis.
_BELT = 0.8
_SLEEVE_EASE, _TROUSER_EASE = 1.18, 1.12
_BAND = (0.07, 0.135)


def figure(foreground: Foreground, body: Skeleton) -> Iterator[tuple[Volume, Painter]]:
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


def _plain(colour: Colour) -> Painter:
    rgb = np.array(colour, np.float32)
    return lambda surface: np.broadcast_to(rgb, (len(surface.along), 3))


def _cloth_painter(garment: Garment, offset: float = 0.0) -> Painter:
    """A garment's cloth; `offset` is where the volume starts below the garment's upper edge."""
    colour, accent = np.array(garment.colour, np.float32), np.array(garment.accent, np.float32)

    def paint(surface: Surface) -> np.ndarray:
        weight = _texture(garment, surface, surface.along + offset)
        return colour + (accent - colour) * weight[:, None]

    return paint


def _texture(garment: Garment, surface: Surface, along: np.ndarray) -> np.ndarray:
    """How much of the accent colour shows, float [N] in [0, 1]."""
    around = surface.azimuth * surface.radius
    stripes = _stripes(along, garment.period)
    if garment.texture == "stripes":
        return stripes
    if garment.texture == "pinstripes":
        return _stripes(around, 0.7 * garment.period)
    if garment.texture == "check":
        return (stripes + _stripes(around, garment.period)) / 2
    if garment.texture == "dots":
        return _dots(around, along, 0.65 * garment.period)
    if garment.texture == "block":
        return np.float32(along > 0.145)
    if garment.texture == "band":
        return np.float32((along > _BAND[0]) & (along < _BAND[1]))
    if garment.texture == "panel":
        return np.float32((np.abs(surface.azimuth) < 0.55) & (surface.radius > 0.07))
    return np.zeros_like(along)


def _stripes(position: np.ndarray, period: float) -> np.ndarray:
    return np.float32(np.mod(position / period, 1.0) < 0.45)


def _dots(around: np.ndarray, along: np.ndarray, period: float) -> np.ndarray:
    x = np.mod(around / period, 1.0) - 0.5
    y = np.mod(along / period, 1.0) - 0.5
    return np.float32(x * x + y * y < 0.1)


def _torso_painter(foreground: Foreground) -> Painter:
    upper, lower = _cloth_painter(foreground.upper), _cloth_painter(foreground.lower)
    skin = np.array(foreground.skin, np.float32)
    strap = np.array(foreground.bag_colour, np.float32)

    def paint(surface: Surface) -> np.ndarray:
        lateral = np.sin(surface.azimuth) * surface.radius
        front = np.abs(surface.azimuth) < np.pi / 2
        colours = np.where((surface.fraction < _BELT)[:, None], upper(surface), lower(surface))
        neckline = front & (surface.along < 0.03 - 0.6 * np.abs(lateral))
        colours = np.where(neckline[:, None], skin, colours)
        if foreground.bag == "backpack":
            straps = front & (np.abs(np.abs(lateral) - 0.055) < 0.012) & (surface.along < 0.17)
        elif foreground.bag == "shoulder bag":
            straps = np.abs(lateral + 0.065 - 0.5 * surface.along) < 0.012
        else:
            return colours
        return np.where(straps[:, None], strap, colours)

    return paint


def _arm(foreground: Foreground, naked: dict[str, Volume], side: str):
    sleeve = foreground.upper.length
    upper_arm, forearm = naked[f"{side}_upper_arm"], naked[f"{side}_forearm"]
    yield from _covered(upper_arm, foreground.upper, foreground.skin, sleeve, 0.0, _SLEEVE_EASE)
    yield from _covered(
        forearm, foreground.upper, foreground.skin, sleeve - 1, upper_arm.length(), _SLEEVE_EASE
    )
    yield naked[f"{side}_hand"], _plain(foreground.skin)


def _leg(foreground: Foreground, naked: dict[str, Volume], side: str):
    # Under a skirt, cloth down to the hem keeps a striding thigh from showing through it.
    reach = foreground.lower.length
    thigh, shin = naked[f"{side}_thigh"], naked[f"{side}_shin"]
    yield from _covered(thigh, foreground.lower, foreground.skin, reach, 0.03, _TROUSER_EASE)
    yield from _covered(
        shin, foreground.lower, foreground.skin, reach - 1, 0.03 + thigh.length(), _TROUSER_EASE
    )
    yield naked[f"{side}_foot"], _plain(foreground.shoes)


def _covered(
    limb: Volume, garment: Garment, skin: Colour, reach: float, offset: float, ease: float
):
    """A limb whose first `reach` (fraction of its axis) is clothed, `ease` times as thick."""
    if reach <= 0:
        yield limb, _plain(skin)
        return
    cloth, bare = _cloth_painter(garment, offset), np.array(skin, np.float32)
    if reach >= 1:
        # Cloth does not taper as much as the limb inside it.
        radii = limb.breadths * (ease, ease * 1.12)
        yield dataclasses.replace(limb, breadths=radii, depths=radii), cloth
        return
    knots = (0.0, reach, reach + 0.02, 1.0)
    radii = np.interp(knots, limb.knots, limb.breadths) * (ease, 1.1 * ease, 1.0, 1.0)
    yield (
        dataclasses.replace(limb, knots=knots, breadths=radii, depths=radii),
        lambda surface: np.where((surface.fraction < reach)[:, None], cloth(surface), bare),
    )


def _skirt(foreground: Foreground, body: Skeleton) -> Volume:
    """A skirt from the waist to its hem, wide enough for both legs."""
    reach = foreground.lower.length
    hem = {side: _point_on_leg(body, side, reach) for side in SIDES}
    apart = np.abs(body.axes.T @ (hem["left"] - hem["right"])) / 2
    build = foreground.build
    radius = 0.05 * build + 0.018 * min(reach, 1.0)
    breadths = np.array([0.085 * build, 0.105 * build, apart[0] + radius])
    depths = np.array([0.065 * build, 0.085 * build, apart[2] + radius])
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


def _head(foreground: Foreground, body: Skeleton, head: Volume):
    left, up, forward = body.head_axes.T
    yield head, _face_painter(foreground, body)
    centre = body.joints["head"]
    nose = centre + 0.95 * HEAD_DEPTH * forward - 0.1 * HEAD_HEIGHT * up
    yield _ball(nose, 0.011, body.head_facing), _plain(foreground.skin)
    for sign in SIDES.values():
        ear = centre + 0.95 * sign * HEAD_BREADTH * left
        yield _ball(ear, 0.011, body.head_facing), _plain(foreground.skin)
    for volume in _hair_volumes(foreground.hair_style, body):
        yield volume, _plain(foreground.hair_colour)
    if foreground.hat is not None:
        dome = _ellipsoid(
            centre + 0.036 * up - 0.004 * forward, 1.14 * HEAD_BREADTH, 1.14 * HEAD_DEPTH, 0.046,
            body.head_facing,
        )  # fmt: skip
        brim = dataclasses.replace(
            _ball(centre, 0.02, body.head_facing),
            start=centre + 0.022 * up + 0.03 * forward,
            end=centre + 0.018 * up + 0.085 * forward,
        )
        yield dome, _plain(foreground.hat)
        yield brim, _plain(foreground.hat)


def _face_painter(foreground: Foreground, body: Skeleton) -> Painter:
    skin, hair = np.array(foreground.skin, np.float32), np.array(foreground.hair_colour, np.float32)
    eye = np.array((40, 30, 30), np.float32)
    mouth = 0.55 * skin + 0.45 * np.array((150, 40, 50), np.float32)

    def paint(surface: Surface) -> np.ndarray:
        lateral, height, ahead = (surface.normal @ body.head_axes).T
        front = ahead > 0.2
        eyes = front & ((np.abs(lateral) - 0.38) ** 2 + (height - 0.14) ** 2 < 0.017)
        brows = front & (np.abs(np.abs(lateral) - 0.38) < 0.19) & (np.abs(height - 0.36) < 0.05)
        lips = front & (np.abs(lateral) < 0.25) & (np.abs(height + 0.5) < 0.07)
        colours = np.where(lips[:, None], mouth, skin)
        colours = np.where(eyes[:, None], eye, colours)
        haired = brows
        if foreground.hair_style != "bald":
            # The hairline rises toward the forehead.
            haired = haired | (height > -0.25 + 0.95 * ahead)
        return np.where(haired[:, None], hair, colours)

    return paint


def _hair_volumes(style: str, body: Skeleton) -> Iterator[Volume]:
    """Hair that stands off the head."""
    _, up, forward = body.head_axes.T
    centre, facing = body.joints["head"], body.head_facing
    if style == "bald":
        return
    yield _ellipsoid(
        centre + 0.011 * up - 0.013 * forward,
        1.1 * HEAD_BREADTH, 1.02 * HEAD_DEPTH, 1.0 * HEAD_HEIGHT, facing,
    )  # fmt: skip
    nape = centre - 0.03 * up - 0.035 * forward
    if style == "bob":
        yield _ellipsoid(centre - 0.025 * up - 0.018 * forward, 0.062, 0.045, 0.062, facing)
    elif style == "long":
        back = body.joints["chest"] - 0.1 * body.axes[:, 1] - 0.07 * body.axes[:, 2]
        yield _strand(nape + 0.03 * up, back, (0.056, 0.05), 0.035, facing)
    elif style == "ponytail":
        crown = centre + 0.02 * up - 0.06 * forward
        end = body.joints["chest"] - 0.02 * up - 0.1 * body.axes[:, 2]
        yield _strand(crown, end, (0.024, 0.018), 0.024, facing)
    elif style == "bun":
        yield _ball(centre + 0.055 * up - 0.045 * forward, 0.033, facing)


def _ellipsoid(centre, breadth: float, depth: float, height: float, facing: float) -> Volume:
    half = np.array([0.0, 1e-3, 0.0])
    return Volume(
        start=centre + half,
        end=centre - half,
        knots=(0.0, 1.0),
        breadths=np.full(2, breadth),
        depths=np.full(2, depth),
        caps=(height / breadth, height / breadth),
        facing=facing,
    )


def _ball(centre, radius: float, facing: float) -> Volume:
    return _ellipsoid(centre, radius, radius, radius, facing)


def _strand(start, end, breadths: tuple[float, float], depth: float, facing: float) -> Volume:
    return Volume(start, end, (0.0, 1.0), np.array(breadths), np.full(2, depth), (1.0, 0.6), facing)


def _bag(foreground: Foreground, body: Skeleton) -> Iterator[tuple[Volume, Painter]]:
    left, up, forward = body.axes.T
    painter = _plain(foreground.bag_colour)
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
