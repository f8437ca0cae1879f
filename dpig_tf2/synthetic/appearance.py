"""Sampling what persons look like, and describing it in the Market-1501 Attribute fields."""

from __future__ import annotations

import colorsys

import numpy as np

from dpig_tf2.synthetic.factors import BAGS, Color, Foreground, Garment

# Field order of the training half of the Market-1501 Attribute file. Its values: age 1 young,
# 2 teenager, 3 adult, 4 old; clothes 1 dress or skirt, 2 trousers; down and up 1 long, 2 short;
# hair 1 short, 2 long; gender 1 male, 2 female; everything else 1 no, 2 yes.
ATTRIBUTE_FIELDS = (
    "age", "backpack", "bag", "handbag",
    "downblack", "downblue", "downbrown", "downgray", "downgreen", "downpink", "downpurple",
    "downwhite", "downyellow",
    "upblack", "upblue", "upgreen", "upgray", "uppurple", "upred", "upwhite", "upyellow",
    "clothes", "down", "up", "hair", "hat", "gender",
)  # fmt: skip

_GARMENT_COLORS: dict[str, Color] = {
    "black": (34, 34, 40),
    "white": (236, 236, 232),
    "gray": (130, 132, 136),
    "red": (206, 36, 44),
    "orange": (238, 124, 30),
    "yellow": (240, 204, 48),
    "green": (44, 150, 72),
    "blue": (38, 84, 190),
    "purple": (122, 52, 150),
    "pink": (238, 130, 164),
    "brown": (122, 80, 46),
}
_UPPER_WEIGHTS = {
    "black": 2, "white": 3, "gray": 1.5, "red": 3, "orange": 1.5, "yellow": 2, "green": 2.5,
    "blue": 2.5, "purple": 2, "pink": 1.5,
}  # fmt: skip
_LOWER_WEIGHTS = {
    "black": 3, "white": 1.5, "gray": 2, "yellow": 0.7, "green": 1, "blue": 3, "purple": 1,
    "pink": 1, "brown": 2,
}  # fmt: skip
_UPPER_TEXTURES = {
    "plain": 8, "stripes": 2, "pinstripes": 1, "check": 1.5, "dots": 1, "block": 1.5, "band": 1.2,
    "panel": 1.2,
}  # fmt: skip
_LOWER_TEXTURES = {"plain": 10, "stripes": 1, "pinstripes": 1, "check": 1.2, "dots": 0.8}
_SKINS = ((244, 208, 178), (228, 184, 148), (204, 152, 114), (160, 108, 76), (112, 74, 54))
_HAIRS = ((28, 22, 20), (58, 38, 28), (104, 66, 38), (188, 146, 82), (150, 60, 34), (176, 174, 172))
_OLD_HAIR = _HAIRS[-1]
_HAIR_STYLES = {"bald": 0.5, "short": 4, "bob": 1.5, "long": 2, "ponytail": 1.5, "bun": 1}
_LONG_HAIR = ("long", "ponytail", "bun")
_SHOE_COLORS = ("black", "white", "gray", "red", "blue", "brown")
_BAG_COLORS = ("black", "red", "blue", "brown", "green", "orange")


def sample_foreground(rng: np.random.Generator) -> Foreground:
    """A random person: skin, hair, clothes, build and belongings."""
    skin = _SKINS[rng.integers(len(_SKINS))]
    hair_style = _choice(rng, _HAIR_STYLES)
    lower_kind = _sample_lower_kind(rng, hair_style)
    upper = _sample_upper(rng, lower_kind)
    return Foreground(
        skin=_jitter(rng, skin, 6),
        hair_color=_jitter(rng, _HAIRS[rng.choice(6, p=(0.34, 0.24, 0.14, 0.12, 0.06, 0.1))], 6),
        hair_style=hair_style,
        hat=_sample_hat(rng, hair_style),
        upper=upper,
        lower=_sample_lower(rng, lower_kind, upper),
        lower_kind=lower_kind,
        shoes=_jitter(rng, _GARMENT_COLORS[_pick(rng, _SHOE_COLORS)], 10),
        build=round(float(rng.uniform(0.84, 1.24)), 3),
        # By number: NumPy loses a Ctrl-C while it makes an array of strings.
        bag=BAGS[rng.choice(4, p=(0.62, 0.2, 0.1, 0.08))],
        bag_color=_jitter(rng, _GARMENT_COLORS[_pick(rng, _BAG_COLORS)], 12),
    )


def attributes(foreground: Foreground) -> np.ndarray:
    """A person described by the 27 fields of ATTRIBUTE_FIELDS.

    Age and gender are read off hair and clothes: gray hair is old, short legwear teenage, skirts
    and long hair female. Orange garments have no color field, as in the real annotation.

    Returns:
        int64 [27], values as in the Market-1501 Attribute file: age 1 to 4, all others 1 or 2.
    """
    person = foreground
    values = dict.fromkeys(ATTRIBUTE_FIELDS, 1)
    values["age"] = _age(person)
    for field, bag in (("backpack", "backpack"), ("bag", "shoulder bag"), ("handbag", "handbag")):
        values[field] = 1 + (person.bag == bag)
    for field in (f"up{person.upper.name}", f"down{person.lower.name}"):
        if field in values:
            values[field] = 2
    values["clothes"] = 1 + (person.lower_kind == "trousers")
    values["down"] = 1 + (person.lower.length < 1.3)
    values["up"] = 1 + (person.upper.length < 1.3)
    values["hair"] = 1 + (person.hair_style in _LONG_HAIR)
    values["hat"] = 1 + (person.hat is not None)
    values["gender"] = 1 + (person.hair_style in _LONG_HAIR or person.lower_kind != "trousers")
    return np.array([values[field] for field in ATTRIBUTE_FIELDS], np.int64)


def _age(person: Foreground) -> int:
    if np.abs(np.subtract(person.hair_color, _OLD_HAIR)).max() <= 6:
        return 4
    return 2 if person.lower.length < 1.3 else 3


def _sample_lower_kind(rng: np.random.Generator, hair_style: str) -> str:
    if hair_style not in (*_LONG_HAIR, "bob"):
        return "trousers"
    return _choice(rng, {"trousers": 5, "skirt": 2.5, "dress": 2.5})


def _sample_upper(rng: np.random.Generator, lower_kind: str) -> Garment:
    sleeves = (0.0, 0.6, 1.0, 2.0)
    weights = (0.3, 0.5, 0.0, 0.2) if lower_kind == "dress" else (0.08, 0.44, 0.06, 0.42)
    length = sleeves[rng.choice(4, p=weights)]
    return _sample_garment(rng, _UPPER_WEIGHTS, _UPPER_TEXTURES, length)


def _sample_lower(rng: np.random.Generator, kind: str, upper: Garment) -> Garment:
    if kind == "trousers":
        length = 2.0 if rng.random() < 0.68 else float(rng.choice((0.7, 1.0)))
    else:
        length = float(rng.choice((0.6, 0.85, 1.1, 1.5), p=(0.25, 0.35, 0.25, 0.15)))
    if kind == "dress":
        return Garment(upper.name, upper.color, upper.accent, upper.texture, upper.period, length)
    weights = {name: weight for name, weight in _LOWER_WEIGHTS.items() if name != upper.name}
    return _sample_garment(rng, weights, _LOWER_TEXTURES, length)


def _sample_garment(rng, color_weights, texture_weights, length: float) -> Garment:
    name = _choice(rng, color_weights)
    color = _vary(rng, _GARMENT_COLORS[name])
    return Garment(
        name=name,
        color=color,
        accent=_sample_accent(rng, color),
        texture=_choice(rng, texture_weights),
        period=round(float(rng.uniform(0.085, 0.13)), 4),
        length=length,
    )


def _sample_accent(rng: np.random.Generator, color: Color) -> Color:
    """A second garment color that stands out from the first."""
    far = [
        other
        for other in _GARMENT_COLORS.values()
        if np.linalg.norm(np.subtract(other, color)) > 150
    ]
    return _vary(rng, far[rng.integers(len(far))])


def _sample_hat(rng: np.random.Generator, hair_style: str) -> Color | None:
    wears = rng.random() < (0.1 if hair_style != "bun" else 0.0)
    name = _pick(rng, tuple(_GARMENT_COLORS))
    return _vary(rng, _GARMENT_COLORS[name]) if wears else None


def _vary(rng: np.random.Generator, color: Color) -> Color:
    """A shade of the same color name."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in color))
    hue = (hue + rng.uniform(-0.025, 0.025)) % 1.0
    saturation *= rng.uniform(0.82, 1.08)
    value *= rng.uniform(0.86, 1.06)
    shade = colorsys.hsv_to_rgb(hue, min(1.0, saturation), min(1.0, value))
    return tuple(round(255 * channel) for channel in shade)


def _jitter(rng: np.random.Generator, color: Color, amount: int) -> Color:
    moved = np.add(color, rng.integers(-amount, amount + 1, 3))
    return tuple(int(channel) for channel in np.clip(moved, 0, 255))


def _choice(rng: np.random.Generator, weights: dict[str, float]) -> str:
    values = np.array(list(weights.values()))
    return list(weights)[rng.choice(len(values), p=values / values.sum())]


def _pick(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[rng.integers(len(names))]
