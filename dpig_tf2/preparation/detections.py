"""Keypoints from the pose detector's raw output, as the released converters picked them.

`all_peaks_dic` {name: 18 lists of (x, y, score, candidate id)} holds the candidates of every
keypoint; `subsets_dic` {name: [n, 20]} one row per person: 18 candidate ids (-1 missing), the total
score, the number of parts.
"""

import dataclasses

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io import pickles
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS

KINDS = ("all_peaks", "subsets")
_SCORE = 18  # column of a person's total score
_ROW_LENGTH = 20


@dataclasses.dataclass(frozen=True)
class Detection:
    """One image's person: `keypoints` float32 [18, 3], pixels.

    `row` is the first row of the detector's output, float32 [20], which released records hold
    whichever person was chosen.
    """

    keypoints: np.ndarray
    row: np.ndarray


def read(
    peaks_path, subsets_path, person_only: bool
) -> tuple[dict[str, Detection], dict[str, str]]:
    """The most confident person of every image, and what is wrong with each that has none.

    Args:
        peaks_path, subsets_path: pickles of `all_peaks_dic` and `subsets_dic`.
        person_only: keep candidates of the chosen person only, the last one where there are several
            (Market-1501). Otherwise the first candidate of each keypoint is taken, whosever it is
            (DeepFashion: a slip of the release that its records carry).

    Raises:
        pickles.PickleError: if a file cannot be read or holds more than data.
        DpigError: if a pickle is not a dictionary.
    """
    peaks, subsets = (_dictionary(path) for path in (peaks_path, subsets_path))
    found, problems = {}, {}
    for name in sorted(set(peaks) | set(subsets)):
        try:
            if name not in peaks or name not in subsets:
                where = subsets_path if name in peaks else peaks_path
                raise DpigError(f"not in {where}")
            found[name] = _choose(peaks[name], subsets[name], person_only)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            problems[name] = f"no keypoints: {error}"
    return found, problems


def _dictionary(path):
    content = pickles.load(path)
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise DpigError(f"{path}: expected a dictionary of image names, got a {kind}", file=path)
    odd = next((name for name in content if not isinstance(name, str)), None)
    if odd is not None:
        raise DpigError(f"{path}: an image name that is {type(odd).__name__}, no text", file=path)
    return content


def _choose(candidates, persons, person_only):
    persons = np.asarray(persons, np.float64).reshape(-1, _ROW_LENGTH)
    if not len(persons):
        raise DpigError("no person was detected")
    if len(candidates) < NUM_KEYPOINTS:
        raise DpigError(f"{len(candidates)} lists of candidates, expected {NUM_KEYPOINTS}")
    person = persons[persons[:, _SCORE].argmax()]
    keypoints = np.zeros((NUM_KEYPOINTS, 3), np.float32)
    for k, choices in enumerate(candidates[:NUM_KEYPOINTS]):
        if not isinstance(choices, list | tuple):
            raise ValueError("candidates that are no list")
        if person_only:
            choices = [choice for choice in choices if choice[3] in person[:NUM_KEYPOINTS]][-1:]
        for x, y, *_ in choices[:1]:
            keypoints[k] = (y, x, 1)
    row = persons[0].astype(np.float32)
    if not (np.isfinite(keypoints).all() and np.isfinite(row).all()):
        raise DpigError("a coordinate is not finite")
    return Detection(keypoints, row)
