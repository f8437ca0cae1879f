"""Linear probes: what can be read off each code about each true factor of synthetic persons.

A probe is a ridge regression from a code to one property that the renderer was given. It is fitted
on some persons and scored on others, so a code that only remembers persons gains nothing.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from dpig_tf2 import synthetic
from dpig_tf2.errors import DpigError
from dpig_tf2.synthetic.scene import vary_background

FITTED_SHARE = 2 / 3  # of the persons; the others are scored on
FEWEST = 60  # persons; fewer may all have the same sleeves
PENALTIES = 10.0 ** np.arange(-2, 6)

Person = dict[str, Any]  # {name of a factor: its dataclass}


def _direction(pose):
    """The yaw as a point on the circle: angles of -pi and pi are one."""
    return (np.sin(pose.yaw), np.cos(pose.yaw))


def _angles(limb):
    return lambda pose: dataclasses.astuple(getattr(pose, limb))


_NUMBERS: dict[str, dict[str, Callable]] = {
    "foreground": {
        "upper color": attrgetter("upper.color"),
        "lower color": attrgetter("lower.color"),
        "hair color": attrgetter("hair_color"),
        "skin": attrgetter("skin"),
        "shoes": attrgetter("shoes"),
        "sleeve length": attrgetter("upper.length"),
        "leg length": attrgetter("lower.length"),
        "build": attrgetter("build"),
    },
    "background": {
        "wall color": attrgetter("wall"),
        "ground color": attrgetter("ground"),
        "horizon": attrgetter("horizon"),
        "light": attrgetter("light"),
    },
    "pose": {
        "direction": _direction,
        "head turn": attrgetter("head_turn"),
        "lean": attrgetter("lean"),
        "right arm": _angles("right_arm"),
        "left arm": _angles("left_arm"),
        "right leg": _angles("right_leg"),
        "left leg": _angles("left_leg"),
        "scale": attrgetter("scale"),
        "place": attrgetter("row", "column"),
    },
}
_CHOICES: dict[str, dict[str, Callable]] = {
    "foreground": {
        "upper texture": attrgetter("upper.texture"),
        "lower kind": attrgetter("lower_kind"),
        "hair style": attrgetter("hair_style"),
        "bag": attrgetter("bag"),
    },
    "background": {"scene": attrgetter("scene")},
}


def new_persons(places: Sequence[synthetic.Background], count: int, seed: int) -> list[Person]:
    """Persons drawn anew, so never trained on, each in a variation of one of the places.

    Args:
        places: backgrounds of the data set; the networks know no other places.
        count: number of persons.
        seed: the same seed gives the same persons.
    """
    rng = np.random.default_rng(seed)
    return [
        {
            "foreground": synthetic.sample_foreground(rng),
            "background": vary_background(rng, places[int(rng.integers(len(places)))]),
            "pose": synthetic.sample_pose(rng),
        }
        for _ in range(count)
    ]


def probe(codes: Mapping[str, np.ndarray], persons: Sequence[Person]) -> dict:
    """Scores of linear probes from every code to every property.

    Args:
        codes: {name: float32 [N, E]} of the persons.
        persons: the true factors of N different persons; the first two thirds are fitted on.

    Returns:
        {"fitted_persons", "scored_persons",
         "r2": {factor: {property: {code: R^2}}} of numbers (averaged where there are several),
         "accuracy": {factor: {property: {code: share right, "chance": that of the most frequent
             answer}}} of choices,
         "mean_r2": {factor: {code: mean over the factor's properties}}}. All on the scored persons.

    Raises:
        DpigError: if there are fewer than `FEWEST` persons.
    """
    if len(persons) < FEWEST:
        raise DpigError(f"linear probes need at least {FEWEST} persons, got {len(persons)}")
    fitted = round(FITTED_SHARE * len(persons))
    ridges = {name: Ridge(code[:fitted], code[fitted:]) for name, code in codes.items()}

    def scores(properties_of, score):
        return {
            factor: {
                name: score(ridges, np.array([read(p[factor]) for p in persons]), fitted)
                for name, read in properties.items()
            }
            for factor, properties in properties_of.items()
        }

    r2 = scores(_NUMBERS, _number_scores)
    mean = {
        factor: {code: float(np.mean([s[code] for s in scores.values()])) for code in codes}
        for factor, scores in r2.items()
    }
    return {
        "fitted_persons": fitted,
        "scored_persons": len(persons) - fitted,
        "r2": r2,
        "accuracy": scores(_CHOICES, _choice_scores),
        "mean_r2": mean,
    }


def _number_scores(ridges, values, fitted):
    """{code: R^2}; several numbers are scaled to unit deviation first and count the same."""
    values = values.reshape(len(values), -1).astype(np.float64)
    values /= values[:fitted].std(axis=0)
    known, wanted = values[:fitted], values[fitted:]
    spread = np.sum((wanted - wanted.mean(axis=0)) ** 2)
    return {
        code: float(1 - np.sum((ridge.predict(known) - wanted) ** 2) / spread)
        for code, ridge in ridges.items()
    }


def _choice_scores(ridges, values, fitted):
    """{code: share of right answers, "chance": share of the most frequent fitted answer}."""
    choices, numbers = np.unique(values, return_inverse=True)
    indicators = np.eye(len(choices))[numbers]
    scores = {
        code: float(np.mean(ridge.predict(indicators[:fitted]).argmax(axis=1) == numbers[fitted:]))
        for code, ridge in ridges.items()
    }
    most_frequent = indicators[:fitted].sum(axis=0).argmax()
    return scores | {"chance": float(np.mean(numbers[fitted:] == most_frequent))}


class Ridge:
    """Ridge regression from one code; the penalty is chosen by leaving out one fitted person.

    Args:
        known, asked: codes [F, E] of persons fitted on and [S, E] of persons asked about.
    """

    def __init__(self, known: np.ndarray, asked: np.ndarray):
        mean = known.mean(axis=0, dtype=np.float64)
        scale = known.std(axis=0, dtype=np.float64)
        scale[scale < 1e-6] = 1.0  # a constant says nothing
        self._left, self._singular, self._right = np.linalg.svd(
            (known - mean) / scale, full_matrices=False
        )
        self._asked = (asked - mean) / scale

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Values [S, D] of the persons asked about, from values [F, D] of those fitted on."""
        mean = values.mean(axis=0)
        projected = self._left.T @ (values - mean)
        penalty = min(PENALTIES, key=lambda p: self._left_out_error(values - mean, projected, p))
        inverse = self._singular / (self._singular**2 + penalty)
        return self._asked @ (self._right.T @ (inverse[:, None] * projected)) + mean

    def _left_out_error(self, centered, projected, penalty):
        """Summed squared error of each fitted person, predicted from all the others."""
        shrinkage = self._shrinkage(penalty)
        residual = centered - self._left @ (shrinkage[:, None] * projected)
        leverage = self._left**2 @ shrinkage + 1 / len(centered)
        return np.sum((residual / (1 - leverage)[:, None]) ** 2)

    def _shrinkage(self, penalty):
        return self._singular**2 / (self._singular**2 + penalty)
