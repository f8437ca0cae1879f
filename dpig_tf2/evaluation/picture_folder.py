"""Scored pairs as files, for keypoint detectors and for the scores of other programs."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_text
from dpig_tf2.io.images import save_png

KEYPOINTS = "target_keypoints.csv"
_HEADER = "name:keypoints_y:keypoints_x"
_MISSING = -1  # a coordinate of a missing keypoint in the CSV


class PictureFolder:
    """Writes `generated/`, `target/`, `masks/` and `target_keypoints.csv`.

    The three folders hold files of the same names, `<source>_to_<target>.png`; the CSV has the
    targets' keypoints, pixels, under these names. So `image_folders.score_folders` scores them
    again, also with what a keypoint detector finds in the generated ones.

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
        self._rows: list[str] = []

    def add(
        self, pair: Sequence[str], generated: np.ndarray, target: Mapping[str, np.ndarray]
    ) -> None:
        """Writes one pair.

        Args:
            pair: names of source and target.
            generated: uint8 [H, W, 3].
            target: the person that it should show: image uint8 [H, W, 3], body_mask [H, W, 1] in
                {0, 1}, keypoints [18, 3] in pixels.
        """
        name = "_to_".join(pathlib.Path(side).stem for side in pair) + ".png"
        save_png(self.path / "generated" / name, generated)
        save_png(self.path / "target" / name, target["image"])
        save_png(self.path / "masks" / name, (255 * target["body_mask"]).astype(np.uint8))
        keypoints = target["keypoints"]
        places = np.where(keypoints[:, 2:] > 0, keypoints[:, :2], _MISSING)
        rows, columns = places.T.tolist()
        self._rows.append(f"{name}: {rows}: {columns}")

    def finish(self) -> None:
        """Writes the keypoints of all pairs."""
        write_text(self.path / KEYPOINTS, "\n".join([_HEADER, *self._rows]) + "\n")
