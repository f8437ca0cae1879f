"""Persons in photos: 18 keypoints and a mask each, without a keypoint file."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence

import numpy as np

from dpig_tf2.detection import consensus, model_files
from dpig_tf2.detection.networks import (
    HIP_CENTRE,
    UPPER_END,
    LandmarkNetwork,
    Look,
    PersonFinder,
    Region,
    mask_in_photo,
    overlap,
)
from dpig_tf2.errors import DpigError

# The landmark of each of our keypoints (ops/keypoints.py has their names); the neck has none.
_LANDMARKS = np.array([0, 0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7])
_NOSE, _NECK, _RIGHT_SHOULDER, _LEFT_SHOULDER = 0, 1, 2, 5
_FACE = [0, 14, 15]  # nose and eyes
_EARS, _HIPS = [16, 17], [8, 11]

_LEAST_SCORE = 0.5  # of a person in the finder
_LEAST_PRESENCE = 0.5  # of a person in at least one look
_LEAST_EVIDENCE = 0.16  # of a person in all looks together
_LEAST_TRUSTED = 0.3  # presence from which a look has a say once there is a person
_LEAST_VISIBILITY = 0.1  # the references also have most keypoints that are hard to see
_OUTSIDE = 0.04  # of the person's extent: nearer keypoints outside the photo are taken to its edge
_PROFILE = 0.1  # torso lengths by which the nose sticks out between the ears in a side view
_MARGIN = 0.5  # around the padded photo on each side, in longer sides
# Sides of the regions that are tried where a person may fill the photo, in longer sides.
_WHOLE = ((1.25, False), (1.5, True))
_SMALL = 0.3  # a person whose region is smaller than this part of the photo's does not fill it
# Further looks, in this order, at the agreed region: (enlarged by, mirrored).
_FURTHER = ((1.0, False), (1.0, True), (1.15, False), (1.15, True))
MAX_FURTHER_LOOKS = len(_FURTHER)
_SAME_PERSON = 0.35  # distance of two torsos, in torso lengths, below which they are one


@dataclasses.dataclass(frozen=True)
class Person:
    """One person of a photo.

    Attributes:
        keypoints: float32 [18, 3], pixels of the photo (row, column, visibility in {0, 1});
            (0, 0, 0) where it is hidden or outside the photo.
        scores: float32 [18] in [0, 1], how visible each keypoint is taken to be.
        box: float32 [4], pixels (top, left, bottom, right), around mask and keypoints.
        presence: how sure it is that there is a person, in [0, 1].
        photo_size: (rows, columns) of the photo.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    box: np.ndarray
    presence: float
    photo_size: tuple[int, int]
    _region_mask: np.ndarray
    _region: Region

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """How surely each pixel of the photo shows the person: float32 [H, W] in [0, 1]."""
        return mask_in_photo(self._region_mask, self._region, *self.photo_size)

    @property
    def prominence(self) -> float:
        """How much this person is the photo's subject: the larger, and the nearer to its middle."""
        size = np.array(self.photo_size, np.float64)
        extent = np.clip((self.box[2:] - self.box[:2]) / size, 0, 1)
        away = np.abs((self.box[2:] + self.box[:2]) / size - 1).max()
        return float(np.sqrt(extent.prod()) * (1 - 0.5 * min(away, 1)))


def main_person(persons: Sequence[Person]) -> Person | None:
    """The person that is large and in the middle; None where there is none."""
    return max(persons, key=lambda person: person.prominence, default=None)


class PoseDetector:
    """Finds the keypoints of persons in photos.

    Source: BlazePose (Bazarevsky et al. 2020). A detector finds persons, a second network the
    landmarks in a region about each. Here several looks at each person, enlarged and mirrored, are
    brought to one opinion (`consensus.py`).

    Attributes:
        fingerprint: 16 hexadecimal digits that change with the model and the number of looks.
    """

    def __init__(
        self,
        finder: PersonFinder,
        landmarks: LandmarkNetwork,
        further_looks: int,
        fingerprint: str = "",
    ):
        if not 0 <= further_looks <= MAX_FURTHER_LOOKS:
            raise DpigError(
                f"further_looks must be from 0 to {MAX_FURTHER_LOOKS}, got {further_looks}",
                field="further_looks",
            )
        self._finder, self._landmarks = finder, landmarks
        self._further = _FURTHER[:further_looks]
        self.fingerprint = fingerprint

    @classmethod
    def load(
        cls,
        path: str | os.PathLike | None = None,
        further_looks: int = MAX_FURTHER_LOOKS,
        threads: int | None = None,
    ) -> "PoseDetector":
        """The detector of a model file.

        Args:
            path: a `.task` bundle or a folder with the two `.tflite` files; by default what the
                variable DPIG_POSE_MODEL names, else what `download_pose_model` keeps.
            further_looks: after the first ones, from 0 (fastest) to `MAX_FURTHER_LOOKS`.
            threads: of the processor; None leaves it to the library.

        Raises:
            DpigError: if there is no such model, or a file is not what it should be.
        """
        files = model_files.read(path)
        return cls(
            PersonFinder(files.finder, files.finder_name, threads),
            LandmarkNetwork(files.landmarks, files.landmarks_name, threads),
            further_looks,
            files.fingerprint(further_looks),
        )

    def detect(self, photos: Iterable[np.ndarray]) -> list[list[Person]]:
        """All persons of each photo, the most prominent first; an empty list where there is none.

        Args:
            photos: uint8 [H, W, 3], of any size and each of its own.

        Raises:
            DpigError: if a photo has another dtype or shape; `record` is its number.
        """
        return [self._detect(_checked(photo, i)) for i, photo in enumerate(photos)]

    def _detect(self, photo):
        persons: list[Person] = []
        for looks in self._candidates(photo):
            person = self._person(photo, looks)
            if person is not None and not any(_is_same(person, other) for other in persons):
                persons.append(person)
        return sorted(persons, key=lambda person: -person.prominence)

    def _candidates(self, photo) -> list[list[Look]]:
        """The first looks at each candidate."""
        height, width = photo.shape[:2]
        longer, middle = max(height, width), (width / 2, height / 2)
        view = Region(*middle, (1 + 2 * _MARGIN) * longer)
        found = self._finder.find(photo, view, _LEAST_SCORE)
        regions = [region for _, region in found if region.fits(photo)]
        candidates = [[self._landmarks.look(photo, region)] for region in regions]
        if regions and max(region.side for region in regions) < _SMALL * longer:
            return candidates
        whole = [
            self._landmarks.look(photo, Region(*middle, side * longer), mirrored)
            for side, mirrored in _WHOLE
        ]
        if len(candidates) <= 1:
            return [[look for looks in candidates for look in looks] + whole]
        for look in whole:
            distances = [_torso_distance(look.points, looks[0].points) for looks in candidates]
            if min(distances) < _SAME_PERSON:
                candidates[int(np.argmin(distances))].append(look)
        return candidates

    def _person(self, photo, looks: list[Look]) -> Person | None:
        first = consensus.agree(looks).points
        region = Region.around(first[HIP_CENTRE], first[UPPER_END])
        if region.fits(photo):
            looks = looks + [
                self._landmarks.look(photo, region.scaled(factor), mirrored)
                for factor, mirrored in self._further
            ]
        presence = max(look.presence for look in looks)
        evidence = consensus.agree(looks).evidence
        if presence < _LEAST_PRESENCE or evidence < _LEAST_EVIDENCE:
            return None
        looks = [look for look in looks if look.presence >= _LEAST_TRUSTED]
        opinion = consensus.agree(looks)
        return _as_person(opinion, presence, *_agreed_mask(looks), photo.shape[:2])


def _checked(photo, index) -> np.ndarray:
    photo = np.asarray(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise DpigError(
            f"photo {index}: {photo.dtype} {list(photo.shape)}, expected uint8 [H, W, 3]",
            record=index,
        )
    return photo


def _agreed_mask(looks: Sequence[Look]) -> tuple[np.ndarray, Region]:
    """The mean mask of the looks at the region of the last one, and that region."""
    region = looks[-1].region
    masks = [look.mask for look in looks if look.region == region]
    return np.mean(masks, axis=0, dtype=np.float32), region


def _as_person(opinion, presence, mask, region, photo_size) -> Person:
    # Landmarks are continuous; a keypoint at the middle of a pixel has that pixel's number.
    points = opinion.points[_LANDMARKS, ::-1] - 0.5
    scores = opinion.visibility[_LANDMARKS].astype(np.float32)
    shoulders = [_RIGHT_SHOULDER, _LEFT_SHOULDER]
    points[_NECK], scores[_NECK] = points[shoulders].mean(axis=0), scores[shoulders].min()
    inside = np.clip(points, 0, np.subtract(photo_size, 1))
    outside_by = np.linalg.norm(points - inside, axis=1)
    near = outside_by <= _OUTSIDE * np.ptp(points, axis=0).max()
    visible = near & (scores >= _LEAST_VISIBILITY)
    if _face_is_hidden(points):
        visible[_FACE] = False
    keypoints = np.where(visible[:, None], np.c_[inside, visible], 0).astype(np.float32)
    box = _box(keypoints, mask, region, photo_size)
    return Person(keypoints, scores, box, presence, photo_size, mask, region)


def _face_is_hidden(points) -> bool:
    """Whether a person faces away; the network itself never calls a face hidden.

    The right shoulder then lies to the right, unless the head is turned so far that its profile
    shows.
    """
    ears = points[_EARS, 1]
    torso = np.linalg.norm(points[_HIPS].mean(axis=0) - points[_NECK])
    beyond = max(ears.min() - points[_NOSE, 1], points[_NOSE, 1] - ears.max())
    faces_away = points[_RIGHT_SHOULDER, 1] > points[_LEFT_SHOULDER, 1]
    return bool(faces_away and beyond < _PROFILE * torso)


def _box(keypoints, mask, region, photo_size) -> np.ndarray:
    rows, columns = np.nonzero(mask >= 0.5)
    to_photo = region.to_photo(len(mask))
    spots = np.c_[columns + 0.5, rows + 0.5] @ to_photo[:, :2].T + to_photo[:, 2]
    seen = keypoints[keypoints[:, 2] > 0, :2]
    spots = np.concatenate([spots[:, ::-1], seen]) if len(seen) or len(spots) else np.zeros((1, 2))
    corners = np.clip([spots.min(axis=0), spots.max(axis=0)], 0, photo_size)
    return corners.ravel().astype(np.float32)


def _torso_distance(points, other) -> float:
    """Mean distance of the middles of shoulders and hips, in torso lengths."""
    torsos = [
        np.stack([p[[11, 12]].mean(axis=0), p[[23, 24]].mean(axis=0)]) for p in (points, other)
    ]
    length = max(float(np.linalg.norm(torso[0] - torso[1])) for torso in torsos)
    return float(np.linalg.norm(torsos[0] - torsos[1], axis=1).mean()) / max(length, 1e-6)


def _is_same(person: Person, other: Person) -> bool:
    return overlap(person.box, other.box) > 0.7
