"""Pictures from codes that were kept in a file."""

import os

import numpy as np

from dpig_tf2.config import ModelConfig
from dpig_tf2.io import array_files
from dpig_tf2.sampling.checks import SamplerError
from dpig_tf2.sampling.person_codes import PersonCodes
from dpig_tf2.sampling.tasks.context import Context, generate_missing

_OF_ONE = {"keypoints": 2}  # axes of the array of one person; 1 for all others
_FURTHER = ("noise_", "code_")  # how names begin of what `invert` keeps besides


def read_codes(path: str | os.PathLike, model: ModelConfig) -> PersonCodes:
    """The persons of a file, of one or of many; keypoints count before a pose code.

    Raises:
        WeightsError: if the file is damaged.
        SamplerError: naming the file, if it holds something else, or codes of another model.
    """
    arrays = {n: v for n, v in array_files.load(path).items() if not n.startswith(_FURTHER)}
    if "keypoints" in arrays:
        arrays.pop("pose", None)
    try:
        codes = PersonCodes(
            **{n: v[None] if v.ndim == _OF_ONE.get(n, 1) else v for n, v in arrays.items()}
        )
        return codes.check(model)
    except TypeError:
        raise SamplerError(
            f"{path}: expected codes of persons, found {', '.join(arrays)}", file=path
        ) from None
    except SamplerError as error:
        raise SamplerError(f"{path}: {error}", file=path, field=error.field) from None


def draw(context: Context, codes: PersonCodes) -> None:
    """A picture for every person."""
    files = [f"person_{row:03d}.png" for row in range(len(codes))]
    made_from = [{"row": row} for row in range(len(codes))]
    generate_missing(context, files, made_from, lambda rows: codes.take(np.array(rows)))
