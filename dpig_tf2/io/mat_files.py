"""Variables of MATLAB files."""

import numpy as np


def read(path, variable: str) -> np.ndarray:
    """A variable of a .mat file.

    Raises:
        ValueError: naming the file, if it cannot be read or lacks the variable.
    """
    from scipy import io  # slow to import, and needed for raw data alone

    try:
        content = io.loadmat(path)
    except Exception as error:  # SciPy's reader fails in many ways
        raise ValueError(f"{path}: not a readable .mat file: {error}") from error
    if variable not in content:
        there = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise ValueError(f"{path}: no variable {variable}; it holds {there}")
    return content[variable]
