"""The one solid that bodies are built of, and its drawing into a depth buffer."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Direction to the light, camera space: above, in front, a little from the image's left.
_LIGHT = np.array([-0.38, 0.52, 0.76], np.float32)
_AMBIENT, _DIFFUSE = 0.58, 0.5
# The rim of every part is darker, so that an arm shows in front of a torso of the same color.
_RIM_START, _RIM_DARKNESS = 0.75, 0.4


@dataclass(frozen=True)
class Volume:
    """A rounded solid about an axis, of elliptic cross-section.

    Attributes:
        start, end: float64 [3], ends of the axis, camera space; start is the upper or inner one.
        knots: positions in [0, 1] along the axis where the half axes are given.
        breadths, depths: float64, half axes across and along the way that the body faces.
        caps: how far the ends bulge, in units of the breadth seen there; 1 is round.
        facing: the way that the body faces; 0 toward the camera, pi / 2 to the image's right.
    """

    start: np.ndarray
    end: np.ndarray
    knots: tuple[float, ...]
    breadths: np.ndarray
    depths: np.ndarray
    caps: tuple[float, float]
    facing: float

    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Half widths across the image and toward the camera at the knots."""
        cos, sin = math.cos(self.facing), math.sin(self.facing)
        across = np.hypot(self.breadths * cos, self.depths * sin)
        return across, np.hypot(self.breadths * sin, self.depths * cos)

    def length(self) -> float:
        return float(np.linalg.norm(self.end - self.start))

    def depth_in_front(self, point: np.ndarray) -> float:
        """How much nearer to the camera its surface is than `point`; -inf where uncovered."""
        outline = outline_of(self, 1.0, (0.0, 0.0))
        square, position, _, _ = outline.measure(point[:1, None], -point[1:2, None])
        if square.item() >= 1.0:
            return -np.inf
        return float(outline.depth(square, position).item() - point[2])


@dataclass(frozen=True)
class Surface:
    """Visible surface points of a volume, N of them, as a painter sees them.

    Attributes:
        volume: whose surface it is.
        fraction: float [N], position along the axis in [0, 1].
        over: float [N], how far into a cap: -1 at the tip of the start's, 1 at the end's, else 0.
        normal: float [N, 3], camera space.
    """

    volume: Volume
    fraction: np.ndarray
    over: np.ndarray
    normal: np.ndarray

    @property
    def radius(self) -> float:
        """Typical half breadth, body heights."""
        return float(self.volume.breadths[len(self.volume.breadths) // 2])

    @functools.cached_property
    def along(self) -> np.ndarray:
        """float [N], distance from the start along the axis, body heights; negative in the cap."""
        cap = self.radius * self.volume.caps[0]
        return self.fraction * self.volume.length() + self.over * cap

    @functools.cached_property
    def azimuth(self) -> np.ndarray:
        """float [N], direction about the body in [-pi, pi]: 0 in front, pi / 2 at its left."""
        angle = np.arctan2(self.normal[:, 0], self.normal[:, 2]) - self.volume.facing
        return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


# Colors of surface points, RGB in [0, 255]: [N, 3], or [3] where all are the same.
Painter = Callable[[Surface], np.ndarray]


@dataclass(frozen=True)
class Outline:
    """A volume in picture units (x right, y down): what `measure` and `depth` need."""

    x: float
    y: float
    direction: tuple[float, float]
    span: float
    knots: tuple[float, ...]
    across: list[float]
    toward: list[float]
    caps: tuple[float, float]
    depths: tuple[float, float]

    def measure(self, x: np.ndarray, y: np.ndarray):
        """Squared distance (1 at the outline), position on the axis, and both signed distances."""
        dx, dy = self.direction
        x, y = x - self.x, y - self.y
        along = x * dx + y * dy
        position = np.minimum(np.maximum(along / self.span, 0.0), 1.0)
        over = along - position * self.span
        half_width = self._interpolate(position, self.across)
        side = (x * dy - y * dx) / half_width
        over /= half_width
        first, last = self.caps
        over /= first if first == last else np.where(over < 0, np.float32(first), np.float32(last))
        return side * side + over * over, position, side, over

    def depth(self, square: np.ndarray, position: np.ndarray) -> np.ndarray:
        """Distance toward the camera of the visible surface."""
        first, last = self.depths
        bulge = self._interpolate(position, self.toward) * np.sqrt(1.0 - square)
        return bulge + position * (last - first) + first

    def _interpolate(self, position: np.ndarray, values: list[float]) -> np.ndarray:
        if len(values) == 2:
            return position * (values[1] - values[0]) + values[0]
        return np.interp(position, self.knots, values).astype(position.dtype)


def outline_of(volume: Volume, scale: float, origin: tuple[float, float]) -> Outline:
    """A volume's outline, `scale` picture units to the body height, `origin` (x, y) the ground."""
    (x0, y0, z0), (x1, y1, z1) = volume.start.tolist(), volume.end.tolist()
    dx, dy = scale * (x1 - x0), scale * (y0 - y1)
    span = math.hypot(dx, dy)
    across, toward = volume.seen()
    # An axis that points at the camera has no direction in the picture: any serves.
    shortest = 1e-6 * scale
    direction = (dx / span, dy / span) if span > shortest else (0.0, 1.0)
    return Outline(
        x=origin[0] + scale * x0,
        y=origin[1] - scale * y0,
        direction=direction,
        span=max(span, shortest),
        knots=volume.knots,
        across=(scale * across).tolist(),
        toward=toward.tolist(),
        caps=volume.caps,
        depths=(z0, z1),
    )


class Canvas:
    """Colors with a depth buffer.

    Attributes:
        colors: float32 [H, W, 3] in [0, 255].
        depth: float32 [H, W], -inf where nothing has been drawn.
    """

    def __init__(self, colors: np.ndarray, scale: float, origin: tuple[float, float]):
        """Draws onto `colors`; `scale` pixels to the body height, `origin` (x, y) the ground."""
        self.colors = colors
        self.depth = np.full(colors.shape[:2], -np.inf, np.float32)
        self._scale = scale
        self._origin = origin

    def draw(self, volume: Volume, painter: Painter) -> None:
        """Draws what of the volume lies in front of everything drawn before."""
        outline = outline_of(volume, self._scale, self._origin)
        rows, columns = self._window(outline)
        if not rows or not columns:
            return
        x = np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5
        square, position, side, over = outline.measure(x, y)
        inside = np.flatnonzero(square < 1.0)
        pixels = self._flat_index(inside, rows, columns)
        depth = outline.depth(square.take(inside), position.take(inside))
        nearer = depth > self.depth.take(pixels)
        inside, pixels, depth = inside[nearer], pixels[nearer], depth[nearer]
        if not len(pixels):
            return
        side, over = side.take(inside), over.take(inside)
        normal = _normals(outline, square.take(inside), side, over)
        surface = Surface(volume, position.take(inside), over, normal)
        self.depth.ravel()[pixels] = depth
        shaded = painter(surface) * _shade(normal, side)[:, None]
        self.colors.reshape(-1, 3)[pixels] = shaded

    def _flat_index(self, inside: np.ndarray, rows: range, columns: range) -> np.ndarray:
        """Positions in the flattened window as positions in the flattened canvas."""
        row, column = np.divmod(inside, len(columns))
        return (row + rows.start) * self.depth.shape[1] + column + columns.start

    def _window(self, outline: Outline) -> tuple[range, range]:
        """Rows and columns of the canvas that the outline can touch."""
        height, width = self.depth.shape
        reach = max(outline.across) * max(1.0, *outline.caps)
        ends_x = (outline.x, outline.x + outline.direction[0] * outline.span)
        ends_y = (outline.y, outline.y + outline.direction[1] * outline.span)
        return (
            range(max(0, int(min(ends_y) - reach)), min(height, int(max(ends_y) + reach) + 2)),
            range(max(0, int(min(ends_x) - reach)), min(width, int(max(ends_x) + reach) + 2)),
        )


def _normals(outline: Outline, square, side, over) -> np.ndarray:
    dx, dy = outline.direction
    normal = np.empty((len(side), 3), np.float32)
    # Picture rows grow downward, camera space upward.
    normal[:, 0] = side * dy + over * dx
    normal[:, 1] = side * dx - over * dy
    normal[:, 2] = np.sqrt(1.0 - square)
    return normal


def _shade(normal: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Brightness [N]: soft light from above and a dark rim along both sides."""
    light = _AMBIENT + _DIFFUSE * np.maximum(normal @ _LIGHT, 0.0)
    rim = np.maximum(np.abs(side) - _RIM_START, 0.0) / (1.0 - _RIM_START)
    return light * (1.0 - _RIM_DARKNESS * rim * rim)
