"""What arrays must be like to be sampled from; every check of a shape, type or value is here."""

import numpy as np

from dpig_tf2.config import ModelConfig
from dpig_tf2.errors import DpigError, shown
from dpig_tf2.models.person_model import LARGEST_VALUE
from dpig_tf2.ops.body_parts import NUM_REGIONS
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES, NUM_KEYPOINTS, is_far_outside


class SamplerError(DpigError):
    """An input that cannot be sampled from; the message names it and what was expected."""


def check_array(name: str, values, shape, hint: str = "") -> np.ndarray:
    """float32 array of the given shape (None: any number of rows), all finite."""
    values = _numbers(name, values)
    with np.errstate(over="ignore"):  # what is too large becomes infinite and is refused
        values = np.asarray(values, np.float32)
    fits = values.ndim == len(shape) and all(
        found == wanted if wanted is not None else found >= 1
        for found, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits:
        expected = "[" + ", ".join("B" if size is None else str(size) for size in shape) + "]"
        note = f" ({hint})" if hint else ""
        raise SamplerError(
            f"{name} has shape {list(values.shape)}, expected {expected}{note}", field=name
        )
    if not np.isfinite(values).all():
        raise SamplerError(f"{name} holds NaN or infinite values", field=name)
    if values.size and np.abs(values).max() > LARGEST_VALUE:
        raise SamplerError(f"{name} holds values beyond {LARGEST_VALUE:g}", field=name)
    return values


def _numbers(name, values):
    """An array of real numbers or bools."""
    try:
        values = np.asarray(values)
    except ValueError:  # rows of different lengths
        values = np.asarray(None)
    if values.dtype.kind not in "biuf":
        raise SamplerError(f"{name} must hold numbers in one shape", field=name)
    return values


def of_one(name: str, values, axes: int) -> np.ndarray:
    """Numbers of one person, of so many axes with that of the batch, which may be left out."""
    values = _numbers(name, values)
    return values[None] if values.ndim == axes - 1 else values


def check_code(model: ModelConfig, name: str, code, factor: str) -> np.ndarray:
    """Codes or noise of one factor, float32 [B, E]."""
    shape = (None, model.embedding_size(factor))
    return check_array(name, code, shape, hint=f"the {factor} code of this model")


def check_images(model: ModelConfig, images) -> np.ndarray:
    """uint8 [B, H, W, 3] of the model's size."""
    images = _numbers("images", images)
    expected = (model.height, model.width, 3)
    if images.ndim != 4 or images.shape[1:] != expected or not len(images):
        raise SamplerError(
            f"images have shape {list(images.shape)}, expected [B, "
            f"{', '.join(map(str, expected))}] with B at least 1",
            field="images",
        )
    if images.dtype != np.uint8:
        raise SamplerError(f"images must be uint8 in [0, 255], got {images.dtype}", field="images")
    return images


def check_keypoints(
    model: ModelConfig, keypoints, count: int | None = None, need_visible: bool = False
) -> np.ndarray:
    """float32 [B, 18, 3] in pixels; `need_visible`: at least one keypoint of each person."""
    keypoints = check_array("keypoints", keypoints, (count, NUM_KEYPOINTS, 3))
    if not np.isin(keypoints[..., 2], (0, 1)).all():
        raise SamplerError("keypoints: visibility must be 0 or 1", field="keypoints")
    far = np.argwhere(is_far_outside(keypoints, model.height, model.width))
    if len(far):
        image, number = map(int, far[0])
        farthest = np.abs(keypoints[image, number, :2]).max()
        raise SamplerError(
            f"keypoints: coordinate {farthest:.0f} is far outside the image "
            f"({KEYPOINT_NAMES[number]} of person {image}, image of {model.height} x "
            f"{model.width} pixels); expected pixels (row, column, visibility)",
            field="keypoints",
            record=image,
        )
    unseen = np.flatnonzero(~(keypoints[..., 2] > 0).any(axis=1))
    if need_visible and len(unseen):
        raise SamplerError(
            f"keypoints of image {unseen[0]}: not one is visible",
            field="keypoints",
            record=int(unseen[0]),
        )
    return keypoints


def check_parts(
    model: ModelConfig, count: int, body_mask=None, part_boxes=None, part_visibility=None
) -> dict[str, np.ndarray]:
    """What is given of body mask [B, H, W] or [B, H, W, 1], boxes [B, 7, 4], visibility [B, 7].

    A mask that the model does not use is left out.
    """
    given = {}
    if body_mask is not None and model.has_background:
        mask, size = _numbers("body_mask", body_mask), (count, model.height, model.width)
        if mask.shape not in (size, (*size, 1)):
            raise SamplerError(
                f"body_mask has shape {mask.shape}, expected {size} or {(*size, 1)}",
                field="body_mask",
            )
        if not np.isin(mask, (0, 1)).all():
            raise SamplerError("body_mask must hold only 0 and 1", field="body_mask")
        given["body_mask"] = mask.reshape(*size, 1).astype(np.float32)
    if part_boxes is not None:
        shape = (count, NUM_REGIONS, 4)
        boxes = check_array("part_boxes", part_boxes, shape)
        top, left, bottom, right = np.moveaxis(boxes, -1, 0)
        upright = (0 <= top) & (top <= bottom) & (0 <= left) & (left <= right)
        if not (upright & (bottom < model.height) & (right < model.width)).all():
            raise SamplerError(
                "part_boxes: expected [y1, x1, y2, x2] in pixels inside the image of "
                f"{model.height} x {model.width}, y1 <= y2 and x1 <= x2",
                field="part_boxes",
            )
        given["part_boxes"] = boxes
    if part_visibility is not None:
        shape = (count, NUM_REGIONS)
        visibility = check_array("part_visibility", part_visibility, shape)
        if not np.isin(visibility, (0, 1)).all():
            raise SamplerError("part_visibility must hold only 0 and 1", field="part_visibility")
        given["part_visibility"] = visibility
    return given


def check_count(count: int) -> None:
    check_whole_number("count", count, 1, 2**31 - 1)


def check_seed(seed: int) -> None:
    check_whole_number("seed", seed, -(2**31), 2**31 - 1)  # an int32 in the networks


def check_truncation(truncation: float) -> None:
    known = isinstance(truncation, int | float | np.number) and not isinstance(truncation, bool)
    if not known or not 0 <= truncation <= 1:
        raise SamplerError(
            f"truncation must be a number from 0 to 1, got {shown(truncation)}", field="truncation"
        )


def check_whole_number(name: str, value: int, lowest: int, highest: int) -> None:
    """Raises SamplerError if a value is no whole number, or out of range."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not lowest <= value <= highest:
        raise SamplerError(
            f"{name} must be a whole number from {lowest} to {highest}, got {shown(value)}",
            field=name,
        )
