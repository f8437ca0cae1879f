"""Decoded records -> the batch dict of the models; masks and boxes that records lack are drawn.

A batch is {"source": person, "target": person}, each person a dict:

    image            uint8 [B, H, W, 3]
    keypoints        float32 [B, 18, 3], pixels (row, column, visibility)
    body_mask        uint8 [B, H, W, 1] in {0, 1}, radius `model.mask_radius`
    part_boxes       float32 [B, 7, 4], [y1, x1, y2, x2] in pixels
    part_visibility  float32 [B, 7] in {0, 1}

Evaluation batches add `name` string [B], `identity` int64 [B] and `camera` int64 [B]; extras that
were asked for come under their names (see `records.decoder.EXTRAS`).
"""

import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.ops import pose_maps, regions

ANNOTATION_KEYS = ("body_mask", "part_boxes", "part_visibility")  # follow from the keypoints
MODEL_KEYS = ("image", "keypoints", *ANNOTATION_KEYS)
LABEL_KEYS = ("name", "identity", "camera")


def parse_person(decoded: dict, model: config.ModelConfig) -> dict[str, tf.Tensor]:
    """One side of a decoded batch with every mask, box and visibility filled in.

    What the record holds is kept; what it lacks is computed from the keypoints, for the whole batch
    at once. Both give the same numbers.

    Args:
        decoded: one person dict of `records.decoder.Decoder`.
        model: gives image size, mask radius and box rule.
    """
    person = {key: value for key, value in decoded.items() if not key.startswith("has_")}
    size = (model.height, model.width)
    keypoints = decoded["keypoints"]

    def draw_masks():
        drawn = pose_maps.body_mask(keypoints, *size, model.mask_radius, "fast")
        return _where(decoded["has_mask"], decoded["body_mask"], tf.cast(drawn, tf.uint8))

    def draw_boxes():
        boxes, visibility = regions.part_boxes(keypoints, *size, model.box_rule)
        return (
            _where(decoded["has_parts"], decoded["part_boxes"], boxes),
            _where(decoded["has_parts"], decoded["part_visibility"], visibility),
        )

    person["body_mask"] = tf.cond(
        tf.reduce_all(decoded["has_mask"]), lambda: decoded["body_mask"], draw_masks
    )
    person["part_boxes"], person["part_visibility"] = tf.cond(
        tf.reduce_all(decoded["has_parts"]),
        lambda: (decoded["part_boxes"], decoded["part_visibility"]),
        draw_boxes,
    )
    return person


def _where(chosen, yes, no):
    return tf.where(tf.reshape(chosen, [-1] + [1] * (yes.shape.rank - 1)), yes, no)
