"""Several looks at one person brought to one opinion.

Looks disagree most on what is left and what is right, above all on persons seen from behind, whom
the network likes to take for persons facing the camera. So this is decided first, for the upper and
the lower body, and looks that saw it the other way have their sides exchanged; then each landmark
is taken where most looks have it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dpig_tf2.detection.networks import MIRRORED, Look

_UPPER, _LOWER = np.arange(11, 23), np.arange(23, 33)  # arms with hands, legs with feet
_SHOULDERS, _HIPS = (12, 11), (24, 23)  # right, left
# What a look that saw the person from behind counts, one that saw the front counting 1.
_BEHIND = 3.0
_EXCHANGED = 0.7  # what a landmark counts whose sides were exchanged
_LEAST_WEIGHT = 0.02  # of any landmark of any look
_BLUR = 0.03  # person heights within which looks agree
_ROUNDS = 8
_DISAGREEMENT = 4.0  # how strongly disagreement speaks against a person
# Landmarks that people have whatever they wear: nose, eyes, ears, arms, legs; no hands, no feet.
_BODY = np.array([0, 2, 5, 7, 8, *range(11, 17), *range(23, 29)])


@dataclasses.dataclass(frozen=True)
class Opinion:
    """What several looks say together.

    Attributes:
        points: float64 [39, 2], (x, y) in the photo, continuous.
        visibility: float64 [39] in [0, 1].
        evidence: of a person, in [0, 1]: how clearly the landmarks were seen, and how well the
            looks agree on where they are. Persons have 0.2 and more.
    """

    points: np.ndarray
    visibility: np.ndarray
    evidence: float


def agree(looks: Sequence[Look]) -> Opinion:
    """The looks' common opinion."""
    points = np.stack([look.points for look in looks])
    seen = np.stack([look.weights for look in looks])
    presence = np.array([look.presence for look in looks])[:, None]
    weights = (seen + _LEAST_WEIGHT) * (presence + _LEAST_WEIGHT)
    visibility = np.stack([look.visibility for look in looks])
    for part, sides in ((_UPPER, _SHOULDERS), (_LOWER, _HIPS)):
        for look in np.flatnonzero(_seen_the_other_way(points, weights, part, sides)):
            points[look, part] = points[look, MIRRORED[part]]
            weights[look, part] = weights[look, MIRRORED[part]] * _EXCHANGED
            visibility[look, part] = visibility[look, MIRRORED[part]]
    agreed = (visibility * weights).sum(axis=0) / weights.sum(axis=0)
    middle = _middle(points, weights[:, :, None])
    apart = np.linalg.norm(points - middle, axis=-1)[:, _BODY].mean()
    extent = max(float(np.ptp(middle[_BODY], axis=0).max()), 1e-6)
    clearness = seen[:, _BODY].mean()
    return Opinion(middle, agreed, float(clearness * np.exp(-_DISAGREEMENT * apart / extent)))


def _seen_the_other_way(points, weights, part, sides) -> np.ndarray:
    """Which looks [N] have left and right of a part of the body against the vote."""
    right, left = sides
    across = points[:, right, 0] - points[:, left, 0]  # positive: seen from behind
    votes = weights[:, part].sum(axis=1) * across * np.where(across > 0, _BEHIND, 1.0)
    side = np.sign(votes.sum()) or 1.0
    reference = points[(votes * side).argmax()][part]
    weight = weights[:, part]
    as_seen = np.linalg.norm(points[:, part] - reference, axis=-1)
    exchanged = np.linalg.norm(points[:, MIRRORED[part]] - reference, axis=-1)
    return (weight * exchanged).sum(axis=1) < (weight * as_seen).sum(axis=1)


def _middle(points, weights) -> np.ndarray:
    """The weighted geometric median of each landmark: [N, 39, 2], [N, 39, 1] -> [39, 2]."""
    middle = np.median(points, axis=0)
    blur = _BLUR * max(float(np.ptp(middle[:33, 1])), 1.0)
    for _ in range(_ROUNDS):
        distance = np.sqrt(((points - middle) ** 2).sum(axis=-1, keepdims=True) + blur**2)
        nearness = weights / distance
        middle = (points * nearness).sum(axis=0) / nearness.sum(axis=0)
    return middle
