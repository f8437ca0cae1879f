"""Persons in photos: 18 keypoints and a mask each, without a keypoint file."""

import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageFilter

from dpig_tf2.detection import consensus, model_files
from dpig_tf2.detection.networks import (
    HIP_CENTER,
    UPPER_END,
    LandmarkNetwork,
    Look,
    PersonFinder,
    Region,
    mask_in_photo,
)
from dpig_tf2.errors import DpigError
from dpig_tf2.io import processor

# The landmark of each of our keypoints (ops/keypoints.py has their names); the neck has none.
_LANDMARKS = np.array([0, 0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7])
_NOSE, _NECK, _RIGHT_SHOULDER, _LEFT_SHOULDER = 0, 1, 2, 5
_FACE = [0, 14, 15]  # nose and eyes
_EARS, _HIPS = [16, 17], [8, 11]

_LEAST_SCORE = 0.5  # of a person in the finder's view of the whole photo
_LEAST_CLOSER_SCORE = 0.3  # and in closer views; the looks that follow are a second check
_LEAST_PRESENCE = 0.5  # of a person in at least one look
_LEAST_EVIDENCE = 0.18  # of a person in all looks together
_LEAST_CLOSER_EVIDENCE = 0.27  # of one whom only a closer view shows
_CLEAR_EVIDENCE = 0.35
_LEAST_TRUSTED = 0.3  # presence from which a look has a say once there is a person
_LEAST_VISIBILITY = 0.1  # the references also have most keypoints that are hard to see
_OUTSIDE = 0.04  # of the person's extent: nearer keypoints outside the photo are taken to its edge
_PROFILE = 0.1  # torso lengths by which the nose sticks out between the ears in a side view
# The finder sees persons best that are a quarter to a half as tall as its view. Views of this side,
# in longer sides of the photo, are tried in turn; those after the first overlap by half.
_VIEWS = (2.0, 1.0, 0.7, 0.5, 0.35, 0.25)
_SMALLEST_VIEW = 200  # pixels
# Sides of the regions that are tried where a person may fill the photo, in longer sides.
_WHOLE = ((1.25, False), (1.5, True))
_FILLS = 0.6  # a person fills the photo whose region has at least this side, in longer sides
# Further looks, in this order, at the agreed region: (enlarged by, mirrored). After a pair that
# makes a person clear no more are needed.
_FURTHER = ((1.0, False), (1.0, True), (1.15, False), (1.15, True))
MAX_FURTHER_LOOKS = len(_FURTHER)
_SAME_PERSON = 0.35  # distance of two torsos, in torso lengths, below which they are one
_COVERED = 0.7  # of a person's box by another's: they are one
_MOST_REMOVALS = 3  # times that those found are taken out of a photo to find those beside them
_REMOVED_MASK = 0.3  # from where a pixel of the mask is taken out
_REMOVED_EDGE = 0.03  # heights of a person's box by which more than the mask is taken out


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """One person of a photo.

    Attributes:
        keypoints: float32 [18, 3], pixels of the photo (row, column, visibility in {0, 1});
            (0, 0, 0) where it is hidden or outside the photo.
        scores: float32 [18] in [0, 1], how visible each keypoint is taken to be.
        box: float32 [4], pixels (top, left, bottom, right), around mask and keypoints.
        presence: how sure it is that there is a person, in [0, 1].
        evidence: how clearly all keypoints were seen, in [0, 1]; sharp pictures have 0.5 and more.
        photo_size: (rows, columns) of the photo.
    """

    keypoints: np.ndarray
    scores: np.ndarray
    box: np.ndarray
    presence: float
    evidence: float
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
            further_looks: after the first ones, at most: from 0 (fastest) to `MAX_FURTHER_LOOKS`.
            threads: by default as many as the process may use, at most 4.

        Raises:
            DpigError: if there is no such model, or a file is not what it should be.
        """
        files = model_files.read(path)
        threads = threads or min(4, processor.cores())
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
        height, width = photo.shape[:2]
        longer = max(height, width)
        tried = self._regions(photo, _VIEWS[0] * longer, _LEAST_SCORE)
        fills = not tried or max(region.side for region in tried) >= _FILLS * longer
        candidates = self._candidates(photo, tried, fills)
        persons = self._persons(photo, candidates, _LEAST_EVIDENCE, [])
        for level, part in enumerate(_VIEWS[1:], start=1):
            # One who fills an upright photo leaves no room for others; elsewhere two closer views
            # look for more persons, and all for the first.
            enough = level > 2 or (fills and width <= height)
            if part * longer < _SMALLEST_VIEW or (persons and enough):
                break
            regions = self._regions(photo, part * longer, _LEAST_CLOSER_SCORE)
            new = [one for one in regions if not any(one.is_near(other) for other in tried)]
            tried = tried + new
            looks = ([self._landmarks.look(photo, region)] for region in new)
            persons = self._persons(photo, looks, _LEAST_CLOSER_EVIDENCE, persons)
        if not (fills and width <= height):
            persons = self._with_neighbors(photo, persons)
        return sorted(persons, key=lambda person: -person.prominence)

    def _with_neighbors(self, photo, persons) -> list[Person]:
        """The persons, and those beside them: the finder sees one of two who stand close.

        Those who are known are taken out of the photo, until nobody else is found.
        """
        side = max(photo.shape[:2])
        for _ in range(_MOST_REMOVALS if side >= _SMALLEST_VIEW else 0):
            if not persons:
                break
            rest, known = _without(photo, persons), persons
            regions = [
                region
                for region in self._regions(rest, side, _LEAST_CLOSER_SCORE)
                if not any(region.is_near(person._region) for person in known)
            ]
            looks = ([self._landmarks.look(rest, region)] for region in regions)
            persons = self._persons(rest, looks, _LEAST_CLOSER_EVIDENCE, known)
            if all(person in known for person in persons):
                break
        return persons

    def _candidates(self, photo, regions, fills) -> list[list[Look]]:
        """The first looks at each person found in the view of the whole photo.

        Where a person may fill the photo, the photo itself is a region too.
        """
        height, width = photo.shape[:2]
        candidates = [[self._landmarks.look(photo, region)] for region in regions]
        if not fills:
            return candidates
        whole = [
            self._landmarks.look(
                photo, Region(width / 2, height / 2, side * max(height, width)), mirrored
            )
            for side, mirrored in _WHOLE
        ]
        if not candidates:
            return [whole]
        if len(candidates) == 1 and width <= height:
            return [candidates[0] + whole]
        for look in whole:
            distances = [_torso_distance(look.points, looks[0].points) for looks in candidates]
            if min(distances) < _SAME_PERSON:
                candidates[int(np.argmin(distances))].append(look)
        return candidates

    def _regions(self, photo, side: float, least: float) -> list[Region]:
        """Where the finder sees persons in views of a side, pixels; the surest first."""
        found = [
            (score, region)
            for view in _views(photo.shape[0], photo.shape[1], side)
            for score, region in self._finder.find(photo, view, least)
            if region.fits(photo)
        ]
        kept: list[Region] = []
        for _, region in sorted(found, key=lambda one: -one[0]):
            if not any(region.is_near(other) for other in kept):
                kept.append(region)
        return kept

    def _persons(self, photo, candidates, least_evidence, known) -> list[Person]:
        """The known persons and those of the candidates, each once, as it was seen best."""
        persons = list(known)
        for looks in candidates:
            person = self._person(photo, looks, least_evidence)
            if person is None:
                continue
            same = [other for other in persons if _is_same(person, other)]
            if all(other.evidence < person.evidence for other in same):
                persons = [other for other in persons if other not in same] + [person]
        return persons

    def _person(self, photo, looks: list[Look], least_evidence: float) -> Person | None:
        first = consensus.agree(looks).points
        region = Region.around(first[HIP_CENTER], first[UPPER_END])
        evidence = 0.0
        for factor, mirrored in self._further if region.fits(photo) else ():
            looks = looks + [self._landmarks.look(photo, region.scaled(factor), mirrored)]
            evidence = consensus.agree(looks).evidence
            if mirrored and evidence >= _CLEAR_EVIDENCE:
                break
        evidence = evidence or consensus.agree(looks).evidence
        presence = max(look.presence for look in looks)
        if presence < _LEAST_PRESENCE or evidence < least_evidence:
            return None
        looks = [look for look in looks if look.presence >= _LEAST_TRUSTED]
        opinion = consensus.agree(looks)
        return _as_person(opinion, presence, *_agreed_mask(looks), photo.shape[:2])


def _views(height: int, width: int, side: float) -> list[Region]:
    """Squares of that side that cover a photo, overlapping by half."""
    middles = [
        np.linspace(side / 2, extent - side / 2, math.ceil(2 * extent / side) - 1)
        if extent > side
        else [extent / 2]
        for extent in (height, width)
    ]
    return [Region(float(x), float(y), side) for y in middles[0] for x in middles[1]]


def _checked(photo, index) -> np.ndarray:
    photo = np.asarray(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise DpigError(
            f"photo {index}: {photo.dtype} {list(photo.shape)}, expected uint8 [H, W, 3]",
            record=index,
        )
    return photo


def _without(photo, persons) -> np.ndarray:
    """The photo with each person painted over, from the left of their box to the right of it."""
    photo = photo.copy()
    size = np.array(photo.shape[:2])
    for person in persons:
        edge = max(1, round(_REMOVED_EDGE * float(person.box[2] - person.box[0])))
        top, left = np.maximum(np.floor(person.box[:2]).astype(int) - edge, 0)
        bottom, right = np.minimum(np.ceil(person.box[2:]).astype(int) + edge, size)
        mask = person.mask[top:bottom, left:right] >= _REMOVED_MASK
        grown = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(edge))
        rows = photo[top:bottom]
        ends = [
            rows[:, max(left - edge, 0) : left + 1].mean(axis=1),
            rows[:, right - 1 : right + edge].mean(axis=1),
        ]
        way = np.linspace(0, 1, right - left)[:, None]
        painted = ends[0][:, None] * (1 - way) + ends[1][:, None] * way
        gone = np.asarray(grown) > 0
        rows[:, left:right][gone] = painted[gone]
    return photo


def _agreed_mask(looks: Sequence[Look]) -> tuple[np.ndarray, Region]:
    """The mean mask of the looks at the region of the last one, and that region."""
    region = looks[-1].region
    masks = [look.mask for look in looks if look.region == region]
    return np.asarray(np.mean(masks, axis=0, dtype=np.float32)), region


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
    return Person(keypoints, scores, box, presence, opinion.evidence, photo_size, mask, region)


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
    """Whether most of the smaller box lies in the larger one."""
    (low, high), (other_low, other_high) = (np.split(p.box, 2) for p in (person, other))
    common = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod()
    return bool(common > _COVERED * min((high - low).prod(), (other_high - other_low).prod()))
