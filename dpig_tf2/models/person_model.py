"""The inference functions as TensorFlow graphs, shared by the sampler and the SavedModel."""

import tensorflow as tf

from dpig_tf2.config import ConfigError, ModelConfig
from dpig_tf2.models.mapping_network import draw_noise
from dpig_tf2.ops import images as image_ops
from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.ops import pose_maps, regions


class PersonModel(tf.Module):
    """Trained networks and the preprocessing around them; no validation, no randomness of its own.

    Args:
        config: sizes of the networks.
        networks: {name: network} of the networks at hand; a function that needs another one raises
            ConfigError naming it.
    """

    def __init__(self, config: ModelConfig, networks: dict):
        super().__init__(name="person_model")
        self.config = config
        self.networks = dict(networks)

    def network(self, name: str):
        if name not in self.networks:
            raise ConfigError(f"there is no trained {name}: the stage that trains it has not run")
        return self.networks[name]

    def body_mask(self, keypoints):
        """float32 [B, H, W, 1] in {0, 1}, at the radius that the encoder was trained with."""
        config = self.config
        return pose_maps.body_mask(keypoints, config.height, config.width, config.mask_radius)

    def part_boxes(self, keypoints):
        """Boxes [B, 7, 4] in pixels and visibility [B, 7] of the networks' seven regions."""
        config = self.config
        return regions.part_boxes(keypoints, config.height, config.width, config.box_rule)

    def encode_appearance(
        self, images, keypoints, body_mask=None, part_boxes=None, part_visibility=None
    ):
        """uint8 images and pixel keypoints -> appearance embedding, float32 [B, E].

        What is None is computed from the keypoints; a mask that the network does not use is
        ignored.
        """
        boxes, visibility = self.part_boxes(keypoints)
        inputs = [
            image_ops.to_network_range(images),
            boxes if part_boxes is None else tf.cast(part_boxes, tf.float32),
            visibility if part_visibility is None else tf.cast(part_visibility, tf.float32),
        ]
        if self.config.has_background:
            if body_mask is None:
                body_mask = self.body_mask(keypoints)
            shape = [-1, self.config.height, self.config.width, 1]
            inputs.append(tf.cast(tf.reshape(body_mask, shape), tf.float32))
        return self.network("appearance_encoder")(*inputs)

    def split_appearance(self, embedding) -> dict:
        """{factor: embedding} of an appearance embedding."""
        sizes = [self.config.embedding_size(f) for f in self.config.appearance_factors]
        return dict(
            zip(self.config.appearance_factors, tf.split(embedding, sizes, axis=-1), strict=True)
        )

    def join_appearance(self, parts: dict):
        """Inverse of `split_appearance`."""
        return tf.concat([parts[factor] for factor in self.config.appearance_factors], axis=-1)

    def encode_pose(self, keypoints):
        """Pixel keypoints [B, 18, 3] -> pose embedding, float32 [B, P]."""
        normalized = keypoint_ops.normalize(keypoints, self.config.height, self.config.width)
        return self.network("pose_encoder")(normalized)

    def decode_pose(self, embedding):
        """Pose embedding -> float32 [B, 18, 3], pixels, clamped to the image, not truncated."""
        normalized = self.network("pose_decoder")(embedding)
        keypoints = keypoint_ops.denormalize(normalized, self.config.height, self.config.width)
        # Coordinates that were never learned become those that stand for a missing keypoint.
        return keypoints if self.config.pose_learns_missing else keypoints * keypoints[..., 2:]

    def draw_noise(self, count, factor: str, seed):
        """Noise of one factor, float32 [count, E], N(0, noise_scale ** 2).

        Args:
            count: int or int32 scalar.
            factor: name of the factor; the same seed gives each factor different noise.
            seed: int or int32 scalar.
        """
        self.config.check_factor(factor)
        stream = self.config.factors.index(factor)
        shape = [count, self.config.embedding_size(factor)]
        seed = tf.stack([tf.cast(seed, tf.int32), tf.constant(stream)])
        return draw_noise(shape, seed, self.config.noise_scale)

    def map_noise(self, noise, factor: str):
        """Noise [B, E], already scaled -> embedding of the factor, [B, E]."""
        return self.network(f"{factor}_mapping")(noise)

    def generate(self, appearance_embedding, keypoints):
        """Embedding [B, E] and pixel keypoints -> float32 [B, H, W, 3] in [-1, 1] units."""
        config = self.config
        maps = pose_maps.pose_map(keypoints, config.height, config.width, config.pose_map_radius)
        return self.network("generator")(appearance_embedding, maps)

    def discriminate(self, images):
        """uint8 [B, H, W, 3] -> logits of the image discriminator, one or more for each image."""
        return self.network("discriminator")(image_ops.to_network_range(images))
