"""Sampling and drawing what lies behind a person."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from dpig_tf2.synthetic.factors import SCENES, Background, Color, SceneObject

# Wall and ground colors and what may stand there, for each kind of scene.
_WALLS = {
    "plaza": ((186, 180, 168), (198, 168, 116), (112, 142, 150)),
    "street": ((162, 98, 80), (188, 172, 132), (104, 118, 142)),
    "park": ((74, 112, 66), (98, 128, 74), (60, 96, 78)),
    "corridor": ((220, 202, 146), (168, 202, 194), (214, 178, 164)),
    "steps": ((140, 138, 136), (170, 120, 98), (104, 122, 152)),
}
_GROUNDS = {
    "plaza": ((172, 160, 148), (150, 150, 152), (188, 176, 150)),
    "street": ((106, 108, 112), (124, 120, 116), (92, 96, 104)),
    "park": ((118, 146, 82), (164, 148, 112), (136, 156, 104)),
    "corridor": ((150, 128, 104), (128, 134, 140), (168, 156, 140)),
    "steps": ((146, 144, 142), (166, 156, 140), (126, 130, 138)),
}
_FURNITURE = {
    "plaza": ("pole", "bench", "window", "bush", "bicycle"),
    "street": ("pole", "window", "door", "car", "bicycle"),
    "park": ("tree", "tree", "bush", "bench"),
    "corridor": ("door", "window", "bench"),
    "steps": ("pole", "bush", "window"),
}
_OBJECT_SIZES = {
    "pole": (0.5, 0.9), "tree": (0.45, 0.8), "bench": (0.12, 0.17), "window": (0.15, 0.28),
    "door": (0.3, 0.42), "bush": (0.12, 0.22), "car": (0.16, 0.24), "bicycle": (0.14, 0.2),
}  # fmt: skip
_OBJECT_COLORS = {
    "pole": ((88, 92, 98), (190, 190, 186), (70, 84, 70)),
    "tree": ((58, 98, 48), (86, 116, 50), (44, 82, 60)),
    "bench": ((112, 82, 54), (86, 92, 96)),
    "window": ((92, 124, 152), (58, 70, 86), (164, 186, 196)),
    "door": ((96, 66, 48), (62, 88, 104), (122, 126, 124)),
    "bush": ((70, 110, 56), (92, 124, 62)),
    "car": ((160, 52, 48), (198, 200, 204), (56, 80, 124), (48, 50, 56)),
    "bicycle": ((44, 44, 48), (60, 76, 110)),
}
_GRAIN_ROWS, _GRAIN_COLUMNS, _GRAIN_STRENGTH = 24, 24, 9.0


def sample_background(rng: np.random.Generator, scene: str | None = None) -> Background:
    """A random scene: its kind (or the given one of SCENES), colors, things in it, and light."""
    scene = scene or _pick(rng, SCENES)
    objects = [
        _sample_object(rng, _pick(rng, _FURNITURE[scene])) for _ in range(rng.integers(1, 4))
    ]
    return Background(
        scene=scene,
        wall=_shade_of(rng, _pick(rng, _WALLS[scene])),
        ground=_shade_of(rng, _pick(rng, _GROUNDS[scene])),
        horizon=round(float(rng.uniform(0.34, 0.56)), 4),
        period=round(float(rng.uniform(0.1, 0.2)), 4),
        shift=round(float(rng.uniform(0, 1)), 4),
        objects=tuple(objects),
        light=round(float(rng.uniform(0.78, 1.12)), 4),
        grain=int(rng.integers(1 << 31)),
    )


def vary_background(rng: np.random.Generator, style: Background) -> Background:
    """The same place seen another time: panned a little, other light, things moved or gone."""
    pan = rng.uniform(-0.3, 0.3)
    kept = [thing for thing in style.objects if rng.random() < 0.8]
    moved = [dataclasses.replace(thing, column=round(thing.column + pan, 4)) for thing in kept]
    if rng.random() < 0.35:
        moved.append(_sample_object(rng, _pick(rng, _FURNITURE[style.scene])))
    return dataclasses.replace(
        style,
        horizon=round(style.horizon + float(rng.uniform(-0.03, 0.03)), 4),
        shift=round(style.shift + pan, 4),
        objects=tuple(moved),
        light=round(style.light * float(rng.uniform(0.86, 1.14)), 4),
        grain=int(rng.integers(1 << 31)),
    )


def draw_scene(background: Background, height: int, width: int) -> np.ndarray:
    """The scene without a person, float32 [H, W, 3] in [0, 255]."""
    painter = _ScenePainter(background, height, width)
    scene = np.asarray(painter.paint()) + _grain(background.grain, height, width)
    scene *= background.light
    return np.clip(scene, 0.0, 255.0, out=scene)


def _grain(seed: int, height: int, width: int) -> np.ndarray:
    """Soft unevenness [H, W, 1]; the same pattern at every resolution.

    It covers a square; beyond that, in wider pictures, it goes on as its own mirror image.
    """
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((_GRAIN_ROWS, _GRAIN_COLUMNS)).astype(np.float32)
    columns = width * _GRAIN_ROWS / height
    beyond = max(0, math.ceil((columns - _GRAIN_COLUMNS) / 2))
    coarse = np.pad(coarse, ((0, 0), (beyond, beyond)), mode="symmetric")
    left = beyond + (_GRAIN_COLUMNS - columns) / 2
    box = (left, 0, left + columns, _GRAIN_ROWS)
    fine = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR, box=box)
    return _GRAIN_STRENGTH * np.asarray(fine)[:, :, None]


class _ScenePainter:
    """Draws a background; lengths are image heights, columns count from the image's middle."""

    def __init__(self, background: Background, height: int, width: int):
        self._background = background
        self._height, self._width = height, width
        self._half = width / height / 2
        self._image = self._planes()
        self._draw = ImageDraw.Draw(self._image)

    def paint(self) -> Image.Image:
        _WALL_PAINTERS[self._background.scene](self)
        _GROUND_PAINTERS[self._background.scene](self)
        for thing in self._background.objects:
            _OBJECT_PAINTERS[thing.kind](self, thing)
        return self._image

    def _planes(self) -> Image.Image:
        """Wall and ground, each with a soft vertical gradient."""
        row = (np.arange(self._height, dtype=np.float32) + 0.5) / self._height
        horizon = self._background.horizon
        wall = np.multiply.outer(1.08 - 0.2 * row / horizon, np.float32(self._background.wall))
        nearness = (row - horizon) / (1 - horizon)
        ground = np.multiply.outer(0.84 + 0.22 * nearness, np.float32(self._background.ground))
        rows = np.where((row < horizon)[:, None], wall, ground)
        column = Image.fromarray(np.clip(rows, 0, 255).astype(np.uint8)[:, None])
        return column.resize((self._width, self._height), Image.Resampling.NEAREST)

    def _xy(self, column: float, row: float) -> tuple[float, float]:
        return ((column + self._half) * self._height, row * self._height)

    def _box(self, left: float, top: float, right: float, bottom: float) -> list[float]:
        return [*self._xy(left, top), *self._xy(right, bottom)]

    def _line(self, left, top, right, bottom, color: Color, thickness: float = 0.008) -> None:
        pixels = max(1, round(thickness * self._height))
        self._draw.line(self._box(left, top, right, bottom), fill=color, width=pixels)

    def _columns(self, period: float) -> np.ndarray:
        """Columns `period` apart that cover the image, moved along by the background's shift."""
        first = -self._half - period + np.mod(self._background.shift, period)
        return np.arange(first, self._half + period, period)

    # Walls.

    def bricks(self) -> None:
        joint = _scaled(self._background.wall, 0.8)
        period, horizon = self._background.period, self._background.horizon
        for course, row in enumerate(np.arange(horizon, 0, -period / 2)):
            self._line(-self._half, row, self._half, row, joint)
            for column in self._columns(period):
                offset = column + (course % 2) * period / 2
                self._line(offset, row - period / 2, offset, row, joint)

    def panels(self) -> None:
        joint = _scaled(self._background.wall, 0.84)
        for column in self._columns(1.6 * self._background.period):
            self._line(column, 0, column, self._background.horizon, joint, 0.012)
        self._line(-self._half, 0.12, self._half, 0.12, joint, 0.012)

    def foliage(self) -> None:
        """Hedges and trees in the distance below a strip of sky."""
        horizon = self._background.horizon
        sky = _scaled((196, 214, 232), 1.0)
        edge = horizon * 0.42
        self._draw.rectangle(self._box(-self._half, -0.01, self._half, edge), fill=sky)
        rng = np.random.default_rng(self._background.grain)
        for column in self._columns(0.09):
            radius, shade = rng.uniform(0.06, 0.11), rng.uniform(0.8, 1.15)
            self._ellipse(
                column, edge + 0.05, radius, radius, _scaled(self._background.wall, shade)
            )

    def wainscot(self) -> None:
        """A corridor: light wall, darker below, a rail between."""
        horizon = self._background.horizon
        lower = _scaled(self._background.wall, 0.78)
        self._draw.rectangle(
            self._box(-self._half, horizon - 0.13, self._half, horizon), fill=lower
        )
        rail = _scaled(self._background.wall, 0.6)
        self._line(-self._half, horizon - 0.13, self._half, horizon - 0.13, rail, 0.012)
        self._line(-self._half, horizon, self._half, horizon, rail, 0.016)

    # Grounds.

    def tiles(self) -> None:
        """Joints of square tiles that run to a vanishing point on the horizon."""
        joint = _scaled(self._background.ground, 0.86)
        horizon, period = self._background.horizon, self._background.period
        for step in np.arange(1, 9):
            row = horizon + (1 - horizon) / (0.45 * step + 0.3) * 0.6
            self._line(-self._half, row, self._half, row, joint)
        for column in self._columns(period):
            self._line(0.35 * column, horizon, 2.2 * column, 1.0, joint)

    def road(self) -> None:
        horizon = self._background.horizon
        curb = horizon + 0.09
        pavement = _scaled(self._background.ground, 1.35)
        self._draw.rectangle(self._box(-self._half, horizon, self._half, curb), fill=pavement)
        self._line(-self._half, curb, self._half, curb, _scaled(pavement, 1.15), 0.014)
        for column in self._columns(3 * self._background.period):
            self._line(column, 0.8, column + 0.2, 0.8, (214, 212, 200), 0.02)

    def path(self) -> None:
        """A path through grass, toward the camera."""
        horizon = self._background.horizon
        middle = np.mod(self._background.shift, 0.3) - 0.15
        corners = ((middle - 0.08, horizon), (middle + 0.02, horizon), (0.5, 1.01), (-0.3, 1.01))
        color = _scaled((178, 164, 138), 1.0)
        self._draw.polygon([self._xy(*corner) for corner in corners], fill=color)

    def floor(self) -> None:
        shine = _scaled(self._background.ground, 1.12)
        horizon = self._background.horizon
        for column in self._columns(2 * self._background.period):
            corners = ((column, horizon), (column + 0.05, horizon), (2 * column + 0.12, 1.01))
            points = [self._xy(*corner) for corner in (*corners, (2 * column, 1.01))]
            self._draw.polygon(points, fill=shine)

    def stairs(self) -> None:
        """Steps across the whole width, lower ones nearer."""
        riser = _scaled(self._background.ground, 0.7)
        row, depth = self._background.horizon, 0.05
        while row < 1:
            self._draw.rectangle(
                self._box(-self._half, row, self._half, row + 0.4 * depth), fill=riser
            )
            row += depth
            depth *= 1.18

    # Things.

    def _ellipse(self, column, row, half_width, half_height, color: Color) -> None:
        box = self._box(
            column - half_width, row - half_height, column + half_width, row + half_height
        )
        self._draw.ellipse(box, fill=color)

    def _rectangle(self, thing: SceneObject, left, top, right, bottom, shade: float = 1.0) -> None:
        """A rectangle in units of the thing's size about its foot on the horizon."""
        size, foot = thing.size, self._background.horizon + 0.03
        box = self._box(
            thing.column + left * size, foot + top * size,
            thing.column + right * size, foot + bottom * size,
        )  # fmt: skip
        self._draw.rectangle(box, fill=_scaled(thing.color, shade))

    def _disc(self, thing: SceneObject, column, row, radius, color: Color) -> None:
        size, foot = thing.size, self._background.horizon + 0.03
        self._ellipse(
            thing.column + column * size, foot + row * size, radius * size, radius * size, color
        )

    def pole(self, thing: SceneObject) -> None:
        half = 0.014 / thing.size
        self._rectangle(thing, -half, -1, half, 0.1)
        self._rectangle(thing, 0, -1, half, 0.1, 0.75)

    def tree(self, thing: SceneObject) -> None:
        trunk = dataclasses.replace(thing, color=(92, 72, 54))
        self._rectangle(trunk, -0.06, -0.5, 0.06, 0.04)
        for column, row, radius, shade in (
            (-0.16, -0.62, 0.24, 0.8), (0.17, -0.6, 0.23, 0.9), (0.02, -0.8, 0.26, 1.08),
        ):  # fmt: skip
            self._disc(thing, column, row, radius, _scaled(thing.color, shade))

    def bench(self, thing: SceneObject) -> None:
        self._rectangle(thing, -1.0, -0.9, 1.0, -0.6)
        self._rectangle(thing, -1.05, -0.35, 1.05, -0.12, 0.85)
        for column in (-0.85, 0.7):
            self._rectangle(thing, column, -0.15, column + 0.15, 0.35, 0.5)

    def window(self, thing: SceneObject) -> None:
        frame = dataclasses.replace(thing, color=_scaled(self._background.wall, 1.22))
        self._rectangle(frame, -0.5, -1.42, 0.5, -0.34)
        self._rectangle(thing, -0.42, -1.35, 0.42, -0.42)
        self._rectangle(frame, -0.03, -1.4, 0.03, -0.4)
        self._rectangle(thing, 0.05, -1.33, 0.38, -0.95, 1.2)

    def door(self, thing: SceneObject) -> None:
        self._rectangle(thing, -0.27, -1.03, 0.27, -0.06, 0.65)
        self._rectangle(thing, -0.23, -1.0, 0.23, -0.06)
        self._rectangle(thing, -0.16, -0.92, 0.16, -0.6, 1.25)

    def bush(self, thing: SceneObject) -> None:
        for column, radius, shade in ((-0.55, 0.5, 0.85), (0.55, 0.48, 0.95), (0.0, 0.62, 1.1)):
            self._disc(thing, column, -0.35, radius, _scaled(thing.color, shade))

    def car(self, thing: SceneObject) -> None:
        self._rectangle(thing, -0.75, -0.95, 0.6, -0.45, 0.85)
        self._rectangle(dataclasses.replace(thing, color=(70, 84, 98)), -0.66, -0.86, 0.5, -0.5)
        self._rectangle(thing, -1.25, -0.52, 1.25, 0.0)
        for column in (-0.75, 0.75):
            self._disc(thing, column, 0.0, 0.23, (34, 34, 36))
            self._disc(thing, column, 0.0, 0.1, (150, 150, 152))

    def bicycle(self, thing: SceneObject) -> None:
        foot = self._background.horizon + 0.03
        middle, size = thing.column, thing.size
        for column in (-0.55, 0.55):
            center = middle + column * size
            box = self._box(
                center - 0.4 * size, foot - 0.75 * size, center + 0.4 * size, foot + 0.05 * size
            )
            self._draw.ellipse(box, outline=thing.color, width=max(1, round(0.01 * self._height)))
        for x0, y0, x1, y1 in (
            (-0.55, -0.35, -0.1, -0.85), (-0.1, -0.85, 0.5, -0.85), (0.55, -0.35, 0.42, -1.1),
            (-0.1, -0.85, 0.05, -0.35), (0.05, -0.35, 0.48, -0.85),
        ):  # fmt: skip
            self._line(
                middle + x0 * size, foot + y0 * size, middle + x1 * size, foot + y1 * size,
                thing.color, 0.01,
            )  # fmt: skip


_WALL_PAINTERS: dict[str, Callable[[_ScenePainter], None]] = {
    "plaza": _ScenePainter.panels,
    "street": _ScenePainter.bricks,
    "park": _ScenePainter.foliage,
    "corridor": _ScenePainter.wainscot,
    "steps": _ScenePainter.panels,
}
_GROUND_PAINTERS: dict[str, Callable[[_ScenePainter], None]] = {
    "plaza": _ScenePainter.tiles,
    "street": _ScenePainter.road,
    "park": _ScenePainter.path,
    "corridor": _ScenePainter.floor,
    "steps": _ScenePainter.stairs,
}
_OBJECT_PAINTERS: dict[str, Callable[[_ScenePainter, SceneObject], None]] = {
    "pole": _ScenePainter.pole,
    "tree": _ScenePainter.tree,
    "bench": _ScenePainter.bench,
    "window": _ScenePainter.window,
    "door": _ScenePainter.door,
    "bush": _ScenePainter.bush,
    "car": _ScenePainter.car,
    "bicycle": _ScenePainter.bicycle,
}


def _sample_object(rng: np.random.Generator, kind: str) -> SceneObject:
    return SceneObject(
        kind=kind,
        column=round(float(rng.uniform(-0.3, 0.3)), 4),
        size=round(float(rng.uniform(*_OBJECT_SIZES[kind])), 4),
        color=_shade_of(rng, _pick(rng, _OBJECT_COLORS[kind])),
    )


def _shade_of(rng: np.random.Generator, color: Color) -> Color:
    return _scaled(color, rng.uniform(0.9, 1.1))


def _scaled(color: Color, factor: float) -> Color:
    return tuple(min(255, round(channel * factor)) for channel in color)


def _pick(rng: np.random.Generator, options):
    return options[rng.integers(len(options))]
