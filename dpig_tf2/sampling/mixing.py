"""Foreground codes put together from the body regions of different persons."""

from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2.ops.regions import NUM_REGIONS, REGION_NAMES

# What people wear covers several regions.
GARMENTS = {
    "upper_garment": ("upper_body", "left_arm", "right_arm"),
    "lower_garment": ("legs", "left_leg", "right_leg"),
}
REGION_CHOICES = (*REGION_NAMES, *GARMENTS)


def expand_regions(names: Sequence[str]) -> tuple[str, ...]:
    """Region names, garments replaced by their regions, each once.

    Raises:
        ValueError: naming an unknown region.
    """
    expanded: dict[str, None] = {}
    for name in names:
        if name not in REGION_CHOICES:
            raise ValueError(f"region must be one of {', '.join(REGION_CHOICES)}; got {name!r}")
        expanded |= dict.fromkeys(GARMENTS.get(name, (name,)))
    return tuple(expanded)


def mix_regions(base: np.ndarray, donors: Mapping[str, np.ndarray]) -> np.ndarray:
    """The foreground codes of `base` with some regions' codes taken from other persons.

    Args:
        base: float32 [B, E], E = 7 regions of equal length.
        donors: {region or garment: float32 [B, E]}.

    Returns:
        float32 [B, E].

    Raises:
        ValueError: naming an unknown region.
    """
    mixed = _by_region(base).copy()
    for name, donor in donors.items():
        for region in expand_regions([name]):
            index = REGION_NAMES.index(region)
            mixed[:, index] = _by_region(donor)[:, index]
    return mixed.reshape(base.shape)


def has_regions(code: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Whether at least one of the regions was visible, bool [B]: the code of the others is zero."""
    indices = [REGION_NAMES.index(region) for region in expand_regions(names)]
    return _by_region(code)[:, indices].any(axis=(1, 2))


def _by_region(code):
    return np.asarray(code).reshape(len(code), NUM_REGIONS, -1)
