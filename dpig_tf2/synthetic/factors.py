"""The three factors of a synthetic person image as plain, frozen, JSON-friendly values."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any

from dpig_tf2.errors import DpigError, shown

Color = tuple[int, int, int]

# What files of factors may hold; far beyond what is ever drawn.
_LARGEST = {float: 100.0, int: 2**31 - 1}
_SHORTEST_PERIOD = 0.01  # of textures and walls, which would take long to paint

TEXTURES = ("plain", "stripes", "pinstripes", "check", "dots", "block", "band", "panel")
HAIR_STYLES = ("bald", "short", "bob", "long", "ponytail", "bun")
LOWER_KINDS = ("trousers", "skirt", "dress")
BAGS = ("none", "backpack", "shoulder bag", "handbag")
SCENES = ("plaza", "street", "park", "corridor", "steps")
OBJECTS = ("pole", "tree", "bench", "window", "door", "bush", "car", "bicycle")


@dataclass(frozen=True)
class Garment:
    """One piece of clothing.

    Attributes:
        name: color name, one of the Market-1501 Attribute colors or another plain word.
        color, accent: RGB in [0, 255]; the accent is the texture's second color.
        texture: one of TEXTURES.
        period: repeat of the texture in body heights.
        length: how far it reaches along the limb: 0 none, 1 to the elbow or knee, 2 to the end.
    """

    name: str
    color: Color
    accent: Color
    texture: str
    period: float
    length: float

    def __post_init__(self):
        _check_choice("texture", self.texture, TEXTURES)
        _check_period(self.period)
        _check_colors(color=self.color, accent=self.accent)
        if not 0 <= self.length <= 2:
            raise DpigError(f"length must be from 0 to 2, got {shown(self.length)}")


@dataclass(frozen=True)
class Foreground:
    """What stays with a person from image to image.

    Attributes:
        skin, hair_color, shoes, bag_color: RGB in [0, 255].
        hair_style: one of HAIR_STYLES.
        hat: RGB in [0, 255], None without a hat.
        upper: garment of torso and arms.
        lower: garment of hips and legs; a dress continues the upper garment's cloth.
        lower_kind: one of LOWER_KINDS.
        build: factor on the thickness of torso and limbs; 1 is average.
        bag: one of BAGS.
    """

    skin: Color
    hair_color: Color
    hair_style: str
    hat: Color | None
    upper: Garment
    lower: Garment
    lower_kind: str
    shoes: Color
    build: float
    bag: str
    bag_color: Color

    def __post_init__(self):
        _check_choice("hair_style", self.hair_style, HAIR_STYLES)
        _check_choice("lower_kind", self.lower_kind, LOWER_KINDS)
        _check_choice("bag", self.bag, BAGS)
        _check_colors(skin=self.skin, hair_color=self.hair_color, hat=self.hat)
        _check_colors(shoes=self.shoes, bag_color=self.bag_color)
        _check_above_0("build", self.build)


@dataclass(frozen=True)
class SceneObject:
    """One thing standing in the scene.

    Attributes:
        kind: one of OBJECTS.
        column: middle of the thing, image heights right of the image's middle.
        size: its height in image heights.
        color: RGB in [0, 255].
    """

    kind: str
    column: float
    size: float
    color: Color

    def __post_init__(self):
        _check_choice("kind", self.kind, OBJECTS)
        _check_colors(color=self.color)
        _check_above_0("size", self.size)


@dataclass(frozen=True)
class Background:
    """What lies behind a person.

    Attributes:
        scene: one of SCENES.
        wall, ground: RGB in [0, 255] of what is above and below the horizon.
        horizon: row of the wall's foot, image heights from the top.
        period: size of bricks, panels and tiles, image heights.
        shift: sideways shift of bricks, panels and tiles, image heights.
        objects: from back to front.
        light: brightness of the scene; 1 is average. The person is lit the same everywhere.
        grain: seed of the fine unevenness of walls, ground and foliage.
    """

    scene: str
    wall: Color
    ground: Color
    horizon: float
    period: float
    shift: float
    objects: tuple[SceneObject, ...]
    light: float
    grain: int

    def __post_init__(self):
        _check_choice("scene", self.scene, SCENES)
        _check_period(self.period)
        if not 0 < self.horizon < 1:
            raise DpigError(f"horizon must be between 0 and 1, got {shown(self.horizon)}")
        _check_colors(wall=self.wall, ground=self.ground)
        _check_above_0("light", self.light)


@dataclass(frozen=True)
class Arm:
    """Angles of one arm in radians, all 0 when it hangs down.

    Attributes:
        swing: upper arm forward.
        spread: upper arm away from the body.
        bend: elbow.
        twist: forearm turned inward about the upper arm.
    """

    swing: float
    spread: float
    bend: float
    twist: float


@dataclass(frozen=True)
class Leg:
    """Angles of one leg in radians, all 0 when it stands straight.

    Attributes:
        swing: thigh forward.
        spread: thigh outward.
        bend: knee.
    """

    swing: float
    spread: float
    bend: float


@dataclass(frozen=True)
class Pose:
    """Joint angles (radians) and place in the frame; the only factor that moves keypoints.

    Attributes:
        yaw: 0 faces the camera, pi / 2 faces the image's right, pi shows the back.
        lean: upper body forward.
        head_turn: head to the person's own left, relative to the body.
        nod: head downward.
        right_arm, left_arm, right_leg, left_leg: the person's own right and left.
        scale: body height in image heights.
        row: where the feet stand, image heights from the top (beyond 1 cuts the legs off).
        column: middle of the hips, image heights right of the image's middle.
    """

    yaw: float
    lean: float
    head_turn: float
    nod: float
    right_arm: Arm
    left_arm: Arm
    right_leg: Leg
    left_leg: Leg
    scale: float
    row: float
    column: float

    def __post_init__(self):
        _check_above_0("scale", self.scale)


Factor = Foreground | Background | Pose
FACTORS = {"foreground": Foreground, "background": Background, "pose": Pose}


def to_dict(factor: Factor) -> dict[str, Any]:
    """A factor as a JSON-ready dictionary; its class is under the key "factor".

    Raises:
        DpigError: for anything but a Foreground, Background or Pose.
    """
    for name, cls in FACTORS.items():
        if isinstance(factor, cls):
            return {"factor": name, **dataclasses.asdict(factor)}
    raise DpigError(f"expected a Foreground, Background or Pose, got {type(factor).__name__}")


def from_dict(data: dict[str, Any]) -> Factor:
    """The factor that `to_dict` wrote, also after a passage through JSON text.

    Raises:
        DpigError: naming the field that is missing, unknown, of the wrong kind or out of range.
    """
    name = data.get("factor") if isinstance(data, dict) else None
    if not isinstance(name, str) or name not in FACTORS:
        raise DpigError(f"'factor' must be one of {sorted(FACTORS)}, got {shown(name)}")
    values = {key: value for key, value in data.items() if key != "factor"}
    return _parse(FACTORS[name], values, name)


def _parse(hint: Any, value: Any, where: str) -> Any:
    """`value`, as JSON gives it, as an instance of the type `hint`."""
    if dataclasses.is_dataclass(hint):
        return _parse_dataclass(hint, value, where)
    if isinstance(hint, types.UnionType):
        return None if value is None else _parse(typing.get_args(hint)[0], value, where)
    if typing.get_origin(hint) is tuple:
        return _parse_tuple(typing.get_args(hint), value, where)
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or isinstance(value, bool):
        raise DpigError(f"{where}: expected {hint.__name__}, got {shown(value)}")
    if hint in _LARGEST and not abs(value) <= _LARGEST[hint]:
        raise DpigError(f"{where}: expected at most {_LARGEST[hint]} in size, got {shown(value)}")
    if hint is int and value < 0:
        raise DpigError(f"{where}: expected at least 0, got {shown(value)}")
    return hint(value)


def _parse_dataclass(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise DpigError(f"{where}: expected a dictionary, got {shown(value)}")
    hints = typing.get_type_hints(cls)
    if different := sorted(set(hints) ^ set(value)):
        raise DpigError(f"{where}: missing or unknown fields {different}")
    return cls(**{key: _parse(hint, value[key], f"{where}.{key}") for key, hint in hints.items()})


def _parse_tuple(hints: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise DpigError(f"{where}: expected a list, got {shown(value)}")
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(value)
    if len(hints) != len(value):
        raise DpigError(f"{where}: expected {len(hints)} values, got {len(value)}")
    return tuple(_parse(hint, item, where) for hint, item in zip(hints, value, strict=True))


def _check_period(period: float) -> None:
    if not period >= _SHORTEST_PERIOD:
        raise DpigError(f"period must be at least {_SHORTEST_PERIOD}, got {shown(period)}")


def _check_above_0(field: str, value: float) -> None:
    if not value > 0:
        raise DpigError(f"{field} must be above 0, got {shown(value)}")


def _check_colors(**colors: Color | None) -> None:
    for field, color in colors.items():
        if not all(0 <= level <= 255 for level in color or ()):
            raise DpigError(f"{field} must be RGB from 0 to 255, got {shown(color)}")


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise DpigError(f"{field} must be one of {choices}, got {shown(value)}")
