"""Persons as the codes of their factors, and drawn from them."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dpig_tf2.config import ModelConfig
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.sampling.checks import SamplerError, check_array, check_code, check_keypoints


@dataclasses.dataclass(frozen=True, eq=False)
class PersonCodes:
    """Persons as the codes of their factors, one row for each person; None where not known.

    The pose is given as its code or as keypoints, never as both.

    Attributes:
        foreground, background: float32 [N, E], codes of a model that splits the two.
        appearance: float32 [N, E], the code of a model that does not.
        pose: float32 [N, P], code of the pose.
        keypoints: float32 [N, 18, 3], the pose in pixels.

    Raises:
        SamplerError: naming a field of another rank or with a value that is not finite, or if the
            fields are of differently many persons, or both pose and keypoints are given.
    """

    foreground: np.ndarray | None = None
    background: np.ndarray | None = None
    appearance: np.ndarray | None = None
    pose: np.ndarray | None = None
    keypoints: np.ndarray | None = None

    def __post_init__(self):
        for name, values in self.as_arrays().items():
            size = np.shape(values)[-1] if np.ndim(values) else 1
            shape = (None, NUM_KEYPOINTS, 3) if name == "keypoints" else (None, size)
            object.__setattr__(self, name, check_array(name, values, shape))
        counts = {name: len(values) for name, values in self.as_arrays().items()}
        other = [name for name, count in counts.items() if count != len(self)]
        if other:
            raise SamplerError(
                f"codes must be of equally many persons, got {counts}", field=other[0]
            )
        if self.pose is not None and self.keypoints is not None:
            raise SamplerError(
                "codes: the pose is given as its code or as keypoints, not as both", field="pose"
            )

    def __len__(self) -> int:
        """Number of persons; 0 if nothing is known."""
        return next((len(values) for values in self.as_arrays().values()), 0)

    @property
    def factors(self) -> tuple[str, ...]:
        """Factors that are known, the pose as its code or as keypoints."""
        return tuple("pose" if name == "keypoints" else name for name in self.as_arrays())

    def as_arrays(self) -> dict[str, np.ndarray]:
        """{field: array} of what is known; `PersonCodes(**arrays)` is the way back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: values for name, values in fields.items() if values is not None}

    def code(self, factor: str) -> np.ndarray:
        """The code of one factor, float32 [N, E].

        Raises:
            SamplerError: if it is not known, as that of a pose given as keypoints.
        """
        code = getattr(self, factor, None)
        if code is None:
            raise SamplerError(f"codes: missing {factor}", field=factor)
        return code

    def take(self, rows: Sequence[int] | np.ndarray) -> "PersonCodes":
        """The persons at these positions, in this order, or where a mask bool [N] is True.

        Raises:
            SamplerError: if there is no such person, or rows are neither.
        """
        try:
            chosen = np.arange(len(self))[np.asarray(rows) if np.size(rows) else []]
        except IndexError as error:
            raise SamplerError(f"rows of {len(self)} persons: {error}", field="rows") from error
        return PersonCodes(**{name: values[chosen] for name, values in self.as_arrays().items()})

    def repeat(self, count: int) -> "PersonCodes":
        """Every person `count` times in a row."""
        return self.take(np.repeat(np.arange(len(self)), count))

    def replace(self, **fields) -> "PersonCodes":
        """The same persons with other fields; new pose codes replace keypoints, and vice versa."""
        if {"pose", "keypoints"} & {name for name, values in fields.items() if values is not None}:
            fields = {"pose": None, "keypoints": None} | fields
        return dataclasses.replace(self, **fields)

    def only(self, factors: Sequence[str]) -> "PersonCodes":
        """The same persons of whom only these factors are known."""
        return PersonCodes(
            **{
                name: values
                for name, values in self.as_arrays().items()
                if name in factors or (name == "keypoints" and "pose" in factors)
            }
        )

    def one(self) -> "PersonCodes":
        """Itself, known to be one person.

        Raises:
            SamplerError: if it is another number of persons.
        """
        if len(self) != 1:
            raise SamplerError(f"expected the codes of one person, got {len(self)}")
        return self

    def check(self, model: ModelConfig) -> "PersonCodes":
        """Itself, known to be persons that a model can draw.

        Raises:
            SamplerError: naming a factor that is missing, unknown to the model, or of another
                length.
        """
        missing = [factor for factor in model.factors if factor not in self.factors]
        unknown = [factor for factor in self.factors if factor not in model.factors]
        if missing or unknown:
            what, names = ("missing", missing) if missing else ("unknown", unknown)
            raise SamplerError(f"codes: {what} {', '.join(names)}", field=names[0])
        for name, values in self.as_arrays().items():
            if name == "keypoints":
                check_keypoints(model, values)
            else:
                check_code(model, f"{name} code", values, name)
        return self


def concatenate(parts: Sequence[PersonCodes]) -> PersonCodes:
    """The persons of all parts, of which the same fields must be known.

    Raises:
        SamplerError: if there is no part, or the known fields differ.
    """
    arrays = [part.as_arrays() for part in parts]
    if len({tuple(part) for part in arrays}) != 1:
        known = " and ".join(sorted({", ".join(part) or "nothing" for part in arrays}))
        raise SamplerError(f"codes: cannot concatenate persons of whom {known or 'none'} is known")
    return PersonCodes(**{n: np.concatenate([part[n] for part in arrays]) for n in arrays[0]})


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Generated persons and what made them.

    Attributes:
        images: uint8 [N, H, W, 3].
        appearance: float32 [N, E], appearance embeddings.
        keypoints: float32 [N, 18, 3], pixels.
    """

    images: np.ndarray
    appearance: np.ndarray
    keypoints: np.ndarray
