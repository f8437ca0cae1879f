"""Network variables as named arrays: collected for a checkpoint, assigned from one strictly."""

from collections.abc import Iterable, Mapping

import numpy as np

from dpig_tf2.io.array_files import WeightsError


def collect(variables: Iterable) -> dict[str, np.ndarray]:
    """{path: value} of Keras variables, e.g. of `network.variables`.

    Raises:
        WeightsError: if two variables share a path.
    """
    arrays = {}
    for variable in variables:
        if variable.path in arrays:
            raise WeightsError(f"two variables are called {variable.path}")
        arrays[variable.path] = np.asarray(variable)
    return arrays


def assign(variables: Iterable, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Sets every variable from its path; nothing is assigned unless all fit.

    Args:
        variables: Keras variables.
        arrays: {path: value}; paths that no variable has are ignored here (a stage's file holds
            more than one network).
        source: what the arrays were read from, for messages.

    Raises:
        WeightsError: naming the first variable that is missing, has another shape or is not finite.
    """
    variables = list(variables)
    for variable in variables:
        if variable.path not in arrays:
            raise WeightsError(f"{source}: variable {variable.path} is missing")
        array = arrays[variable.path]
        found, expected = array.shape, tuple(variable.shape)
        if found != expected:
            raise WeightsError(
                f"{source}: variable {variable.path} has shape {found}, the network has {expected}"
                " (was it trained with another width?)"
            )
        if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
            raise WeightsError(f"{source}: variable {variable.path} does not hold finite numbers")
    for variable in variables:
        variable.assign(arrays[variable.path])
