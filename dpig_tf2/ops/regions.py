"""Body regions: boxes around groups of keypoints, and crops of feature maps inside them."""

import numpy as np
import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.ops.body_parts import BOX_RULES, LOWER_LEGS, NUM_REGIONS, PART_GROUPS
from dpig_tf2.ops.implementations import is_reference, runs_on_cpu_uncompiled
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS


def part_boxes(
    keypoints, height: int, width: int, rule: str, parts: int = NUM_REGIONS
) -> tuple[tf.Tensor, tf.Tensor]:
    """Boxes around the visible keypoints of each part, and which parts are visible.

    Args:
        keypoints: float [B, 18, 3], pixels (row, column, visibility).
        height, width: image size in pixels.
        rule: "market1501" grows boxes by 6 pixels (10 around a single keypoint); "deepfashion",
            also used for own keypoints, by 10 (20) on whole-body photos and by 20 (40) otherwise,
            after lifting the nose by 10 or 25 pixels so that the box takes in the hair.
        parts: how many of the 37 groups, from the first: 7 for the networks, 37 in the records.

    Returns:
        boxes: float32 [B, parts, 4], [y1, x1, y2, x2] in whole pixels inside the image;
            [0, 0, 1, 1] for an invisible part.
        visibility: float32 [B, parts] in {0, 1}.

    Raises:
        DpigError: if the rule is unknown or parts is not in 1..37.
    """
    if rule not in BOX_RULES:
        raise DpigError(f"box rule must be one of {', '.join(BOX_RULES)}; got {rule!r}")
    if not 1 <= parts <= len(PART_GROUPS):
        raise DpigError(f"parts must be in 1..{len(PART_GROUPS)}, got {parts}")
    margins = BOX_RULES[rule]
    # Boxes end at whole pixels, and so do margins: truncated first, coordinates are added exactly.
    row, column, seen = tf.unstack(tf.cast(keypoints, tf.float32), axis=-1)
    row, column = tf.floor(row), tf.floor(column)
    seen = seen > 0.5  # [B, 18]
    whole = tf.ones_like(seen[:, 0])
    for group in LOWER_LEGS:
        whole &= tf.reduce_any(tf.gather(seen, group, axis=1), axis=1)

    def by_framing(field):
        return tf.where(
            whole,
            tf.constant(getattr(margins.whole_body, field), tf.float32),
            tf.constant(getattr(margins.cropped, field), tf.float32),
        )

    nose_row = tf.maximum(row[:, 0] - by_framing("nose_lift"), 0.0)
    row = tf.concat([nose_row[:, None], row[:, 1:]], axis=1)

    member = np.zeros((parts, NUM_KEYPOINTS), bool)
    for part, group in enumerate(PART_GROUPS[:parts]):
        member[part, list(group)] = True
    used = seen[:, None, :] & member  # [B, parts, 18]
    count = tf.reduce_sum(tf.cast(used, tf.int32), axis=-1)
    margin = tf.where(count == 1, by_framing("single")[:, None], by_framing("several")[:, None])

    def extent(values, size):
        values = values[:, None, :]
        low = tf.reduce_min(tf.where(used, values, np.inf), axis=-1) - margin
        high = tf.reduce_max(tf.where(used, values, -np.inf), axis=-1) + margin
        return [tf.clip_by_value(edge, 0.0, size - 1.0) for edge in (low, high)]

    (top, bottom), (left, right) = extent(row, height), extent(column, width)
    boxes = tf.stack([top, left, bottom, right], axis=-1)
    visible = count > 0
    boxes = tf.where(visible[..., None], boxes, tf.constant([0.0, 0.0, 1.0, 1.0]))
    return boxes, tf.cast(visible, tf.float32)


def crop_regions(
    features, boxes, size: int, implementation: str = "fast", jit_compile: bool = False
) -> tf.Tensor:
    """Bilinear crops of a feature map, one per box, resized to a square.

    The box is divided by H and W, then sampled on the grid of `tf.image.crop_and_resize`, which
    multiplies by H - 1 and W - 1; both are the released behavior. Samples outside the map are 0.

    Args:
        features: float32 [B, H, W, C].
        boxes: float32 [B, R, 4], [y1, x1, y2, x2] in pixels.
        size: side of the crops in pixels, at least 2.
        implementation: "reference" is `tf.image.crop_and_resize`, which defines the released
            networks; XLA does not compile it, and on GPU its gradient is not deterministic. "fast"
            takes it on CPU, where nothing is faster, and two products with bilinear weights
            elsewhere. Equal within 1e-5.
        jit_compile: whether "fast" keeps to what XLA compiles.

    Returns:
        float32 [B, R, size, size, C].

    Raises:
        DpigError: if size < 2.
    """
    if size < 2:
        raise DpigError(f"crop size must be at least 2, got {size}")
    if is_reference(implementation) or runs_on_cpu_uncompiled(jit_compile):
        return _crop_and_resize(features, boxes, size)
    return _crop_by_products(features, boxes, size)


def _crop_and_resize(features, boxes, size):
    _, height, width, channels = features.shape
    regions = boxes.shape[1]
    scaled = tf.cast(boxes, tf.float32) / tf.constant([height, width] * 2, tf.float32)
    crops = tf.image.crop_and_resize(
        features,
        tf.reshape(scaled, [-1, 4]),
        tf.repeat(tf.range(tf.shape(features)[0]), regions),
        [size, size],
    )
    return tf.reshape(crops, [-1, regions, size, size, channels])


def _crop_by_products(features, boxes, size):
    _, height, width, _ = features.shape
    top, left, bottom, right = tf.unstack(tf.cast(boxes, tf.float32), axis=-1)
    rows = _bilinear_weights(top, bottom, height, size)
    columns = _bilinear_weights(left, right, width, size)
    strips = tf.einsum("brih,bhwc->briwc", rows, features)
    return tf.einsum("brjw,briwc->brijc", columns, strips)


def _bilinear_weights(low, high, length, size):
    """Weights [B, R, size, length] that sample `length` values between two box edges (pixels)."""
    # In the order of `tf.image.crop_and_resize`, for a sample that is rounded beyond the last pixel
    # is 0.
    low, high = low / length, high / length
    step = (high - low) * (length - 1) / (size - 1)
    position = low[..., None] * (length - 1) + step[..., None] * tf.range(size, dtype=tf.float32)
    weights = tf.nn.relu(1.0 - tf.abs(position[..., None] - tf.range(length, dtype=tf.float32)))
    inside = (position >= 0.0) & (position <= length - 1.0)
    return tf.where(inside[..., None], weights, 0.0)


def by_region(code):
    """Codes [N, 7 * e] of the seven regions as [N, 7, e], in the order of `REGION_NAMES`."""
    return code.reshape(len(code), NUM_REGIONS, -1)
