"""Scored pairs as files, for keypoint detectors and for the scores of other programs."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_text
from dpig_tf2.io.images import save_png
from dpig_tf2.sampling.persons import LONGEST_NAME, Namer

KEYPOINTS = "target_keypoints.csv"


class PairNamer:
    """Names each pair's file, `<source>_to_<target>.png`, numbered where a name is taken."""

    def __init__(self):
        self._namer = Namer(longest=3 * LONGEST_NAME)

    def name(self, pair: Sequence[str]) -> str:
        """The file's name; `pair` has the names of source and target, "" where there is none."""
        sides = [Namer().name(side, "unnamed") for side in pair]
        return self._namer.name("_to_".join(sides) + ".png") + ".png"


class PictureFolder:
    """Writes `generated/`, `target/`, `masks/` and `target_keypoints.csv`.

    The three folders hold files of the same names; the CSV has the targets' keypoints, pixels,
    under these names. So `image_folders.score_folders` scores them again, also with what a keypoint
    detector finds in the generated ones.

    Args:
        path: folder that does not exist yet, or is empty.

    Raises:
        DpigError: if it holds something.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        if self.path.exists() and any(self.path.iterdir()):
            raise DpigError(
                f"{self.path} is not empty, expected a new folder for the pictures", file=self.path
            )
        self.path.mkdir(parents=True, exist_ok=True)
        self._keypoints: dict[str, np.ndarray] = {}

    def add(self, name: str, generated: np.ndarray, target: Mapping[str, np.ndarray]) -> None:
        """Writes one pair.

        Args:
            name: of its files, see `PairNamer`.
            generated: uint8 [H, W, 3].
            target: the person that it should show: image uint8 [H, W, 3], body_mask [H, W, 1] in
                {0, 1}, keypoints [18, 3] in pixels.
        """
        save_png(self.path / "generated" / name, generated)
        save_png(self.path / "target" / name, target["image"])
        save_png(self.path / "masks" / name, (255 * target["body_mask"]).astype(np.uint8))
        self._keypoints[name] = target["keypoints"]

    def finish(self) -> None:
        """Writes the keypoints of all pairs."""
        write_text(self.path / KEYPOINTS, keypoint_csv(self._keypoints))
