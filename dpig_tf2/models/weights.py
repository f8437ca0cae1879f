"""Network variables as named arrays: collected for a checkpoint, assigned from one strictly."""

import contextlib
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from dpig_tf2.io.array_files import WeightsError

_AVERAGE = "average"  # first part of the path of a variable's moving average


def averages_of(variables: Iterable) -> list[keras.Variable]:
    """A variable for the moving average of each variable, equal to it at first."""
    averages = []
    for variable in variables:
        *scopes, name = variable.path.split("/")
        with contextlib.ExitStack() as stack:
            for scope in (_AVERAGE, *scopes):
                stack.enter_context(keras.name_scope(scope))
            averages.append(keras.Variable(variable, trainable=False, name=name))
    return averages


def averaged(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A checkpoint's arrays with the moving averages, where it holds them, for the variables."""
    prefix = f"{_AVERAGE}/"
    found = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return dict(arrays) | found


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


def assign_matching(variables: Iterable, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Sets the variables whose path and shape an array has; returns the paths of the others."""
    left = []
    for variable in variables:
        array = arrays.get(variable.path)
        if array is None or array.shape != tuple(variable.shape):
            left.append(variable.path)
        else:
            variable.assign(array)
    return left
