"""Found persons drawn over their photos, to look at."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from dpig_tf2.detection.detector import Person
from dpig_tf2.visual.skeletons import pose_picture

_TINT = (255, 90, 0)
_TINT_STRENGTH = 0.35
_MOST_WIDTH = 4  # heights


def overlay(photo: np.ndarray, persons: Sequence[Person], height: int = 256) -> np.ndarray:
    """The photo with mask, skeleton and box of each person.

    Args:
        photo: uint8 [H, W, 3].
        persons: what the detector found in it.
        height: of the result, pixels; the width follows. A photo more than four times as wide as
            high is drawn lower, so that it does not widen a sheet without end.

    Returns:
        uint8 [height, width, 3].
    """
    height = max(1, min(height, round(_MOST_WIDTH * height * photo.shape[0] / photo.shape[1])))
    scale = height / photo.shape[0]
    width = max(1, round(photo.shape[1] * scale))
    picture = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.LANCZOS))
    for person in persons:
        mask = Image.fromarray(person.mask).resize((width, height), Image.Resampling.BILINEAR)
        strength = _TINT_STRENGTH * np.asarray(mask)[:, :, None]
        picture = np.rint(picture * (1 - strength) + np.array(_TINT) * strength).astype(np.uint8)
        across = width / photo.shape[1]
        picture = pose_picture(person.keypoints * (scale, across, 1), height, width, picture)
        canvas = Image.fromarray(picture)
        top, left, bottom, right = person.box * (scale, across, scale, across)
        ImageDraw.Draw(canvas).rectangle((left, top, right, bottom), outline=_TINT)
        picture = np.asarray(canvas)
    return picture
