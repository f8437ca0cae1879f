"""The smallest networks and random persons, for tests, benchmarks and the checks of `doctor`."""

import numpy as np
import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.ops import pose_maps, regions

# The synthetic preset at the smallest sizes that keep every branch: what is slow here is tracing,
# which grows with the number of levels.
TINY = {
    "model.height": 64,
    "model.width": 32,
    "model.hidden": 4,
    "model.latent": 8,
    "model.region_size": 8,
    "model.region_levels": 2,
    "model.region_embedding": 4,
    "model.background_levels": 2,
    "model.background_embedding": 8,
    "model.generator_levels": 3,
    "model.pose_embedding": 8,
    "model.pose_hidden": 16,
    "model.foreground_mapping_hidden": 16,
    "model.background_mapping_hidden": 16,
    "model.pose_mapping_hidden": 16,
    "model.critic_hidden": 16,
    "model.discriminator_hidden": 4,
    "model.discriminator_row": 256,
    "reconstruction.batch_size": 4,
    "reconstruction.steps": 4,
    "pose.batch_size": 8,
    "pose.steps": 4,
    "appearance_mapping.batch_size": 8,
    "appearance_mapping.steps": 4,
    "pose_mapping.batch_size": 8,
    "pose_mapping.steps": 4,
}


def tiny_config() -> config.Config:
    """Networks of 64 x 32 images, so small that a step takes seconds, mostly of tracing."""
    return config.preset("synthetic").override(**TINY)


def random_keypoints(model: config.ModelConfig, count: int, seed: int = 0) -> np.ndarray:
    """Keypoints anywhere in the image, one in five missing, float32 [count, 18, 3] in pixels."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(0, 1, (count, 18, 3)) * [model.height, model.width, 1]
    keypoints[..., 2] = rng.uniform(size=(count, 18)) < 0.8
    return (keypoints * keypoints[..., 2:]).astype(np.float32)


def random_person(model: config.ModelConfig, count: int, seed: int = 0) -> dict[str, tf.Tensor]:
    """A batch of persons as `pipeline.parser` documents it, without strings; pixels are noise."""
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


def random_pair(model: config.ModelConfig, count: int, seed: int = 0) -> dict[str, dict]:
    """A training batch of stage reconstruction: {"source": person, "target": person}."""
    return {
        "source": random_person(model, count, seed),
        "target": random_person(model, count, seed + 100),
    }


def random_noise(
    model: config.ModelConfig, factors, count: int, seed: int = 0
) -> dict[str, tf.Tensor]:
    """Scaled noise of the mapping networks, {factor: float32 [count, E]}."""
    rng = np.random.default_rng(seed)
    return {
        factor: tf.constant(
            model.noise_scale * rng.normal(size=(count, model.embedding_size(factor))), tf.float32
        )
        for factor in factors
    }
