"""What trained networks can do, as TensorFlow functions.

The one place of it for training, sampling, serving and benchmarks.
"""

from collections.abc import Mapping

import tensorflow as tf

from dpig_tf2.config import STAGES, ConfigError, ModelConfig
from dpig_tf2.models import factory
from dpig_tf2.models.layers import Network
from dpig_tf2.models.mapping_network import draw_noise
from dpig_tf2.ops import images as image_ops
from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.ops import pose_maps, regions

# Rows of every product in the small networks. Libraries sum in an order that depends on the number
# of rows, and in incomplete register tiles on the row's place; 16 rows are one tile of AVX2 and of
# AVX-512 (32 are not).
ROWS_AT_ONCE = 16

# Of codes, noise and pixels; networks make infinite numbers of much larger ones.
LARGEST_VALUE = 1e6


class PersonModel:
    """Trained networks and the preprocessing around them; no validation, no randomness of its own.

    Images are uint8 [B, H, W, 3], keypoints float32 [B, 18, 3] in pixels. Mapping networks and pose
    autoencoder give a row the same bits whatever else is in the batch; flows of places do so where
    the row has the same number, else to rounding. Appearance encoder and generator do so only to
    rounding: pictures may differ by a level here and there.

    Args:
        config: sizes of the networks.
        networks: {name: network} of the networks at hand; a function that needs another one raises
            ConfigError naming it.
        portable: computes as ONNX and LiteRT can; rows then equal each other to rounding only.
    """

    def __init__(
        self, config: ModelConfig, networks: Mapping[str, Network], portable: bool = False
    ):
        self.config = config
        self.networks = dict(networks)
        self.portable = portable

    def network(self, name: str) -> Network:
        """A network at hand; raises ConfigError naming one that is not."""
        if name not in self.networks:
            stages = [s for s in STAGES if name in factory.stage_networks(s, self.config)]
            way = f": `dpig train --stage={stages[0]}` trains it" if stages else ""
            raise ConfigError(f"there is no trained {name}{way}", field=name)
        return self.networks[name]

    # ---- appearance

    def body_mask(self, keypoints) -> tf.Tensor:
        """float32 [B, H, W, 1] in {0, 1}, at the radius that the encoder was trained with."""
        config = self.config
        size = (config.height, config.width)
        return pose_maps.body_mask(keypoints, *size, config.mask_radius, portable=self.portable)

    def part_boxes(self, keypoints) -> tuple[tf.Tensor, tf.Tensor]:
        """Boxes [B, 7, 4] in pixels and visibility [B, 7] of the networks' seven regions."""
        config = self.config
        return regions.part_boxes(keypoints, config.height, config.width, config.box_rule)

    def encode_appearance(
        self, images, keypoints, body_mask=None, part_boxes=None, part_visibility=None
    ) -> tf.Tensor:
        """Images and keypoints -> appearance embedding, float32 [B, E].

        What is None is computed from the keypoints; a mask that the network does not use is
        ignored.
        """
        if self.config.architecture == "placed":
            mask = self._mask(keypoints, body_mask)
            images = image_ops.to_network_range(images)
            return self.network("appearance_encoder")(images, tf.cast(keypoints, tf.float32), mask)
        if part_boxes is None or part_visibility is None:
            boxes, visibility = self.part_boxes(keypoints)
            part_boxes = boxes if part_boxes is None else part_boxes
            part_visibility = visibility if part_visibility is None else part_visibility
        inputs = [
            image_ops.to_network_range(images),
            tf.cast(part_boxes, tf.float32),
            tf.cast(part_visibility, tf.float32),
        ]
        if self.config.has_background:
            inputs.append(self._mask(keypoints, body_mask))
        return self.network("appearance_encoder")(*inputs)

    def _mask(self, keypoints, given):
        """The given mask or, for None, the drawn one; float32 [B, H, W, 1]."""
        mask = self.body_mask(keypoints) if given is None else given
        return tf.cast(tf.reshape(mask, [-1, self.config.height, self.config.width, 1]), tf.float32)

    def encode_person(self, person: dict) -> tf.Tensor:
        """Appearance embedding, float32 [B, E], of persons as `pipeline.parser` documents them."""
        parts = {key: person[key] for key in ("body_mask", "part_boxes", "part_visibility")}
        return self.encode_appearance(person["image"], person["keypoints"], **parts)

    def split_appearance(self, embedding) -> dict:
        """{factor: code} of appearance embeddings [..., E], tensors or arrays."""
        return {
            factor: embedding[..., first:end]
            for factor, (first, end) in self.config.appearance_layout.items()
        }

    def join_appearance(self, codes: dict) -> tf.Tensor:
        """Inverse of `split_appearance`; other factors' codes are ignored."""
        return tf.concat([codes[factor] for factor in self.config.appearance_layout], axis=-1)

    # ---- pose

    def encode_pose(self, keypoints) -> tf.Tensor:
        """Keypoints -> pose code, float32 [B, P]."""
        normalized = keypoint_ops.normalize(keypoints, self.config.height, self.config.width)
        return self._row_by_row(self.network("pose_encoder"), normalized)

    def decode_pose(self, embedding) -> tf.Tensor:
        """Pose code -> float32 [B, 18, 3], pixels, clamped to the image, not truncated."""
        normalized = self._row_by_row(self.network("pose_decoder"), embedding)
        keypoints = keypoint_ops.denormalize(normalized, self.config.height, self.config.width)
        # Coordinates that were never learned become those that stand for a missing keypoint.
        return keypoints if self.config.pose_learns_missing else keypoints * keypoints[..., 2:]

    # ---- noise

    def draw_noise(self, count, factor: str, seed) -> tf.Tensor:
        """Noise of one factor, float32 [count, E], N(0, noise_scale ** 2).

        Args:
            count: int or int32 scalar; more noise begins with the same rows.
            factor: name of the factor; the same seed gives each factor different noise.
            seed: int or int32 scalar.
        """
        self.config.check_factor(factor)
        stream = self.config.factors.index(factor)
        shape = [count, self.config.embedding_size(factor)]
        seed = tf.stack([tf.cast(seed, tf.int32), tf.constant(stream)])
        return draw_noise(shape, seed, self.config.noise_scale)

    def map_noise(self, noise, factor: str) -> tf.Tensor:
        """Noise [B, E], already scaled -> code of the factor, [B, E]."""
        return self._row_by_row(self.network(f"{factor}_mapping"), noise)

    # ---- pictures

    def generate(self, appearance_embedding, keypoints) -> tf.Tensor:
        """Embedding [B, E] and keypoints -> float32 [B, H, W, 3] in [-1, 1] units, unbounded."""
        config = self.config
        if config.architecture == "placed":
            return self.network("generator")(appearance_embedding, tf.cast(keypoints, tf.float32))
        maps = pose_maps.pose_map(keypoints, config.height, config.width, config.pose_map_radius)
        return self.network("generator")(appearance_embedding, maps)

    def pictures(self, appearance_embedding, keypoints) -> tf.Tensor:
        """`generate` as uint8 [B, H, W, 3]."""
        return image_ops.to_uint8(self.generate(appearance_embedding, keypoints))

    def discriminate(self, images) -> tf.Tensor:
        """Images -> logits of the image discriminator, one or more for each image."""
        return self.network("discriminator")(image_ops.to_network_range(images))

    # ---- from input to picture

    def transfer(self, images, keypoints, target_keypoints, **parts) -> tf.Tensor:
        """The persons of the images in the target poses, uint8 [B, H, W, 3].

        `parts` as in `encode_appearance`.
        """
        embedding = self.encode_appearance(images, keypoints, **parts)
        return self.pictures(embedding, target_keypoints)

    def draw(self, codes: dict, noise: dict) -> dict:
        """The persons that codes and noise describe, one for each row.

        Args:
            codes: {factor: [B, E]}; a pose may be given as "keypoints" instead of its code.
            noise: {factor: [B, E]} of the other factors, which is mapped.

        Returns:
            {"images": uint8 [B, H, W, 3], "appearance": [B, E], "keypoints": [B, 18, 3]}.
        """
        codes = codes | {factor: self.map_noise(values, factor) for factor, values in noise.items()}
        appearance = self.join_appearance(codes)
        keypoints = codes["keypoints"] if "pose" not in codes else self.decode_pose(codes["pose"])
        images = self.pictures(appearance, keypoints)
        return {"images": images, "appearance": appearance, "keypoints": keypoints}

    def sample(self, count, seed) -> dict:
        """New persons, every factor from noise, as `draw` gives them."""
        return self.draw({}, {f: self.draw_noise(count, f, seed) for f in self.config.factors})

    def sample_factor(self, factor: str, images, keypoints, seed) -> dict:
        """Every person with one factor from noise, the others held, as `draw` gives them."""
        noise = self.draw_noise(tf.shape(images)[0], factor, seed)
        return self.replace_factor(factor, images, keypoints, noise)

    def replace_factor(self, factor: str, images, keypoints, noise) -> dict:
        """`sample_factor` from given noise [B, E], already scaled."""
        codes = self.split_appearance(self.encode_appearance(images, keypoints))
        codes["keypoints"] = tf.cast(keypoints, tf.float32)
        return self.draw(codes, {factor: noise})

    def _row_by_row(self, network, rows):
        """A network on rows [B, ...], each with the same bits whatever those after it and B are."""
        if self.portable or rows.shape[0] == 0:  # of no blocks `map_fn` knows no shape
            return network(rows)
        count = tf.shape(rows)[0]
        padding = [[0, tf.math.floormod(-count, ROWS_AT_ONCE)]] + [[0, 0]] * (len(rows.shape) - 1)
        blocks = tf.reshape(tf.pad(rows, padding), [-1, ROWS_AT_ONCE, *rows.shape[1:]])
        found = tf.map_fn(network, blocks)
        return tf.reshape(found, [-1, *found.shape[2:]])[:count]
