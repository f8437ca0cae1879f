"""Persons put together from the body regions of different persons."""

from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2.ops.body_parts import GARMENTS, REGION_CHOICES, REGION_NAMES
from dpig_tf2.ops.regions import by_region
from dpig_tf2.sampling.checks import SamplerError
from dpig_tf2.sampling.person_codes import PersonCodes


def expand_regions(names: Sequence[str]) -> tuple[str, ...]:
    """Region names, garments replaced by their regions, each once.

    Raises:
        SamplerError: naming an unknown region.
    """
    expanded: dict[str, None] = {}
    for name in names:
        if name not in REGION_CHOICES:
            raise SamplerError(
                f"region must be one of {', '.join(REGION_CHOICES)}; got {name!r}", field="region"
            )
        expanded |= dict.fromkeys(GARMENTS.get(name, (name,)))
    return tuple(expanded)


def body_factor(codes: PersonCodes) -> str:
    """The factor whose code is made of the regions' codes."""
    return "appearance" if codes.foreground is None else "foreground"


def mix_codes(
    base: PersonCodes, donors: Mapping[str, PersonCodes], background: PersonCodes | None = None
) -> PersonCodes:
    """Persons with some body regions' codes from others; all else is that of `base`.

    Args:
        base: B persons.
        donors: {region or garment: B persons}, names as in `REGION_CHOICES`.
        background: B persons whose background is taken; None keeps it.

    Raises:
        SamplerError: if a region is unknown or not visible at its donor, a background is given to
            persons who have none, or the codes of a donor have another shape than those of `base`.
    """
    body = body_factor(base)
    regions = {name: donor.code(body) for name, donor in donors.items()}
    for name, code in regions.items():
        unseen = np.flatnonzero(~has_regions(code, [name]))
        if len(unseen):
            raise SamplerError(
                f"{name} is not visible at donor {unseen[0]}", field=name, record=int(unseen[0])
            )
    mixed = {body: mix_regions(base.code(body), regions)}
    if background is not None:
        own = base.code("background")  # a model without this factor is refused
        mixed["background"] = background.code("background")
        _check_shape("background", mixed["background"], own)
    return base.replace(**mixed)


def mix_regions(base: np.ndarray, donors: Mapping[str, np.ndarray]) -> np.ndarray:
    """The foreground codes of `base` with some regions' codes taken from other persons.

    Args:
        base: float32 [B, E], E = 7 regions of equal length.
        donors: {region or garment: float32 [B, E]}.

    Returns:
        float32 [B, E].

    Raises:
        SamplerError: naming an unknown region, or a donor whose codes have another shape.
    """
    mixed = by_region(base).copy()
    for name, donor in donors.items():
        _check_shape(f"donor of {name}", donor, base)
        for region in expand_regions([name]):
            index = REGION_NAMES.index(region)
            mixed[:, index] = by_region(donor)[:, index]
    return mixed.reshape(base.shape)


def _check_shape(who, code, base):
    if code.shape != base.shape:
        raise SamplerError(
            f"codes of the {who} have shape {list(code.shape)}, those of the base "
            f"{list(base.shape)}: expected as many persons of the same model",
            field=who.rpartition(" ")[2],
        )


def has_regions(code: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Whether at least one of the regions was visible, bool [B]: the code of the others is zero."""
    indices = [REGION_NAMES.index(region) for region in expand_regions(names)]
    return np.any(by_region(code)[:, indices], axis=(1, 2))
