"""Persons to measure on: random pictures of plausible sizes, no data set needed."""

import numpy as np
import tensorflow as tf

from dpig_tf2.config import ModelConfig
from dpig_tf2.ops import pose_maps, regions


def random_keypoints(model: ModelConfig, count: int, seed: int = 0) -> np.ndarray:
    """Keypoints anywhere in the image, one in five missing, float32 [count, 18, 3] in pixels."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, 1, (count, 18, 3)) * [model.height, model.width, 1]
    keypoints[..., 2] = rng.uniform(size=(count, 18)) < 0.8
    return (keypoints * keypoints[..., 2:]).astype(np.float32)


def random_person(model: ModelConfig, count: int, seed: int = 0) -> dict:
    """A batch of persons as `pipeline.parser` documents it, without strings."""
    keypoints = random_keypoints(model, count, seed)
    boxes, visibility = regions.part_boxes(keypoints, model.height, model.width, model.box_rule)
    mask = pose_maps.body_mask(keypoints, model.height, model.width, model.mask_radius)
    shape = (count, model.height, model.width, 3)
    image = np.random.default_rng(seed + 1).integers(0, 256, shape, dtype=np.uint8)
    return {
        "image": tf.constant(image),
        "keypoints": tf.constant(keypoints),
        "body_mask": tf.cast(mask, tf.uint8),
        "part_boxes": boxes,
        "part_visibility": visibility,
    }


def random_noise(model: ModelConfig, factors, count: int, seed: int = 0) -> dict:
    """Scaled noise of the mapping networks, {factor: float32 [count, E]}."""
    rng = np.random.default_rng(seed)
    return {
        factor: tf.constant(
            model.noise_scale * rng.normal(size=(count, model.embedding_size(factor))), tf.float32
        )
        for factor in factors
    }
