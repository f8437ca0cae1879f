"""What moved in the pictures when which factor changed, measured along the true changes."""

from collections.abc import Mapping

import numpy as np

_RESAMPLES = 200  # of the persons, for the standard errors
DEFINITION = (
    "the change of the model's pictures when the row's factor is swapped, as a weighted sum of the "
    "true changes of foreground, background and pose (least squares over all persons and pixels): "
    "1 = moved as the true render moves, 0 = not moved; explained: share of the squared change "
    "that the weighted sum accounts for"
)


def moved(changes: Mapping[str, np.ndarray], true_changes: Mapping[str, np.ndarray]) -> dict:
    """The 3 x 3 table of what moved when which factor changed.

    Args:
        changes: {factor: [N, ...]}, the model's pictures of N persons with this factor swapped,
            minus those without.
        true_changes: {factor: [N, ...]}, the same of the true renders.

    Returns:
        {"definition", "table": {factor swapped: {factor: weight}}, "standard_error": likewise,
         over persons (None for a single one), "explained": {factor swapped: share, None if nothing
         moved}}. A perfect model has the unit matrix and explains 1.
    """
    directions = np.stack([_flat(change) for change in true_changes.values()], axis=1)  # [N, 3, P]
    gram = directions @ directions.transpose(0, 2, 1)  # [N, 3, 3]
    rng = np.random.default_rng(0)
    samples = rng.integers(len(gram), size=(_RESAMPLES, len(gram)))
    result = {"definition": DEFINITION, "table": {}, "standard_error": {}, "explained": {}}
    for factor, change in changes.items():
        change = _flat(change)
        products = np.einsum("nfp,np->nf", directions, change)
        weights = _solve(gram, products)
        resampled = [_solve(gram[sample], products[sample]) for sample in samples]
        result["table"][factor] = _named(true_changes, weights)
        result["standard_error"][factor] = (
            _named(true_changes, np.std(resampled, axis=0))
            if len(gram) > 1
            else dict.fromkeys(true_changes)
        )
        size = np.sum(change**2)
        explained = weights @ products.sum(axis=0)
        result["explained"][factor] = float(explained / size) if size else None
    return result


def _flat(change):
    return change.reshape(len(change), -1).astype(np.float32)


def _solve(gram, products):
    """Least-squares weights [3] over the persons; the smallest ones where a direction is empty."""
    return np.linalg.lstsq(gram.sum(axis=0), products.sum(axis=0))[0]


def _named(names, values):
    return dict(zip(names, map(float, values), strict=True))
