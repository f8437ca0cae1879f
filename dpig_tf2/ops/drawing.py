"""Masks and boxes of keypoints in NumPy, for the processes that convert records.

They equal `pose_maps.body_mask`, `regions.part_boxes` and `keypoints.flip_horizontal` bit for bit,
and need no TensorFlow, whose start takes longer than the conversion of thousands of photos.
"""

import numpy as np

from dpig_tf2.ops.body_parts import BOX_RULES, LOWER_LEGS, PART_GROUPS
from dpig_tf2.ops.keypoints import FAR_OUTSIDE, LIMBS, MIRRORED, NUM_KEYPOINTS

CLOSING_SIZE = 5  # pixels


def body_masks(keypoints: np.ndarray, height: int, width: int, radius: int) -> np.ndarray:
    """Silhouettes as `pose_maps.body_mask` draws them.

    Args:
        keypoints: float [B, 18, 3], finite, pixels (row, column, visibility).
        height, width: size of the masks in pixels.
        radius: disc radius in pixels, at least 1.

    Returns:
        bool [B, H, W].
    """
    which, row, column = _disc_centers(np.asarray(keypoints, np.float64), height, width, radius)
    # Every row of a disc is a run of pixels: +1 where it begins, -1 behind it, and added up.
    offset = np.arange(-radius, radius + 1)
    reach = np.sqrt(radius**2 - offset**2).astype(np.int64)  # whole numbers below 2^53 are exact
    row = row[:, None] + offset
    first = np.maximum(column[:, None] - reach, 0)
    behind = np.minimum(column[:, None] + reach, width - 1) + 1
    drawn = (row >= 0) & (row < height) & (first < behind)
    line = ((which[:, None] * height + row) * (width + 1))[drawn]
    cells = len(keypoints) * height * (width + 1)
    runs = np.bincount(line + first[drawn], minlength=cells)
    runs -= np.bincount(line + behind[drawn], minlength=cells)
    runs = runs.reshape(-1, height, width + 1)[:, :, :width]
    mask = np.cumsum(runs, axis=2, dtype=np.int32) > 0
    return ~_dilated(~_dilated(mask))


def _disc_centers(keypoints, height, width, radius):
    """Pose, row and column, int64 [N] each, of every disc that may reach into the image."""
    size = np.array([height, width], np.float64)
    places = np.clip(keypoints[..., :2], -FAR_OUTSIDE * size, (1 + FAR_OUTSIDE) * size)
    seen = keypoints[..., 2] > 0.5
    limbs = np.array(LIMBS)
    pose, limb = np.nonzero(seen[:, limbs].all(axis=-1))
    start, stop = places[pose, limbs[limb, 0]], places[pose, limbs[limb, 1]]  # [N, 2]
    length = np.sqrt(np.square(stop - start).sum(axis=-1))
    last = np.maximum((length / radius).astype(np.int64), 1)
    # Steps 0 and `last` are the two ends.
    index = np.arange(last.max(initial=1) + 1)
    fraction = index / last[:, None]
    points = start[:, None] + (stop - start)[:, None] * fraction[..., None]  # [N, S, 2]
    points = np.where((index == last[:, None])[..., None], stop[:, None], points)
    points = points.astype(np.int64)  # truncation toward zero
    inside = ((points >= -radius) & (points < size + radius)).all(axis=-1)
    limb, step = np.nonzero(inside & (index <= last[:, None]))
    row, column = points[limb, step].T
    return pose[limb], row, column


def _dilated(mask):
    """A mask [B, H, W] with every True grown to a square of `CLOSING_SIZE`."""
    for axis in (1, 2):
        grown = mask.copy()
        for shift in range(1, CLOSING_SIZE // 2 + 1):
            ahead, back = [slice(None)] * 3, [slice(None)] * 3
            ahead[axis], back[axis] = slice(shift, None), slice(None, -shift)
            grown[tuple(ahead)] |= mask[tuple(back)]
            grown[tuple(back)] |= mask[tuple(ahead)]
        mask = grown
    return mask


def part_boxes(
    keypoints, height: int, width: int, rule: str, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as `regions.part_boxes` sets them.

    Args:
        keypoints: float32 [B, 18, 3], finite, pixels (row, column, visibility); of more digits some
            boxes differ by a pixel.
        height, width: image size in pixels.
        rule: one of `body_parts.BOX_RULES`.
        parts: how many of the 37 groups, from the first.

    Returns:
        Boxes int64 [B, parts, 4], [y1, x1, y2, x2] in pixels, and visibility int64 [B, parts].
    """
    row, column, seen = np.moveaxis(np.asarray(keypoints, np.float64), -1, 0)
    seen = seen > 0.5
    whole = np.all([seen[:, group].any(axis=1) for group in LOWER_LEGS], axis=0)
    margins = BOX_RULES[rule]

    def by_framing(field):
        return np.where(whole, getattr(margins.whole_body, field), getattr(margins.cropped, field))

    row = row.copy()
    row[:, 0] = np.maximum(row[:, 0] - by_framing("nose_lift"), 0.0)
    member = np.zeros((parts, NUM_KEYPOINTS), bool)
    for part, group in enumerate(PART_GROUPS[:parts]):
        member[part, list(group)] = True
    used = seen[:, None, :] & member  # [B, parts, 18]
    count = used.sum(axis=-1)
    margin = np.where(count == 1, by_framing("single")[:, None], by_framing("several")[:, None])

    def extent(values, size):
        values = values[:, None, :]
        low = np.where(used, values, np.inf).min(axis=-1) - margin
        high = np.where(used, values, -np.inf).max(axis=-1) + margin
        return [np.clip(edge, 0.0, size - 1.0) for edge in (low, high)]

    (top, bottom), (left, right) = extent(row, height), extent(column, width)
    boxes = np.floor(np.stack([top, left, bottom, right], axis=-1)).astype(np.int64)
    visible = count > 0
    return np.where(visible[..., None], boxes, [0, 0, 1, 1]), visible.astype(np.int64)


def mirrored(keypoints: np.ndarray, width: int) -> np.ndarray:
    """Keypoints float32 [..., 18, 3] of the mirrored image, as `keypoints.flip_horizontal`."""
    turned = np.asarray(keypoints, np.float32)[..., list(MIRRORED), :]
    column = np.where(
        turned[..., 2] > 0.5, np.float32(width - 1.0) - turned[..., 1], turned[..., 1]
    )
    turned[..., 1] = column
    return turned
