"""Appearance encoder: a photo and its body regions -> appearance embedding."""

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.ops import regions


@layers.serializable
class AppearanceEncoder(layers.Network):
    """Encodes the seven body regions with shared weights and, for Market-1501, the background.

    Args:
        hidden: base width h.
        region_size: side of a region crop, pixels.
        region_levels: resolution levels of the region branch.
        region_embedding: code length of one region.
        background_levels: resolution levels of the background branch.
        background_embedding: code length of the background; 0 leaves the branch and the body mask
            out (DeepFashion).
        execution: how it computes.

    Call arguments:
        images: float32 [B, H, W, 3] in [-1, 1].
        part_boxes: float32 [B, 7, 4], [y1, x1, y2, x2] in pixels.
        part_visibility: float32 [B, 7] in {0, 1}.
        body_mask: float32 [B, H, W, 1] in {0, 1}; None without a background branch.

    Returns:
        float32 [B, 7 * region_embedding + background_embedding], foreground first.

    Source: paper section 3.1, foreground and background branch.
    """

    def __init__(
        self,
        hidden: int,
        region_size: int,
        region_levels: int,
        region_embedding: int,
        background_levels: int = 5,
        background_embedding: int = 0,
        execution: Execution = Execution(),
        **kwargs,
    ):
        # autocast=False: boxes in pixels do not survive bfloat16.
        super().__init__(autocast=False, execution=execution, **kwargs)
        self.hidden = hidden
        self.region_size = region_size
        self.region_levels = region_levels
        self.region_embedding = region_embedding
        self.background_levels = background_levels
        self.background_embedding = background_embedding
        self.stem_conv = layers.Conv(
            hidden, 3, activation="relu", execution=execution, name="stem_conv"
        )
        self.stem_residual = layers.ResidualConv(hidden, execution, name="stem_residual")
        self.region_pyramid = layers.ConvPyramid(
            hidden, region_levels, execution, name="region_pyramid"
        )
        self.region_dense = keras.layers.Dense(
            region_embedding, dtype=self.dtype_policy, name="region_dense"
        )
        if background_embedding:
            self.background_pyramid = layers.ConvPyramid(
                hidden, background_levels, execution, name="background_pyramid"
            )
            self.background_dense = keras.layers.Dense(
                background_embedding, dtype=self.dtype_policy, name="background_dense"
            )

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "region_size": self.region_size,
            "region_levels": self.region_levels,
            "region_embedding": self.region_embedding,
            "background_levels": self.background_levels,
            "background_embedding": self.background_embedding,
        }

    def call(self, images, part_boxes, part_visibility, body_mask=None):
        again = self.execution.rematerialize and self.stem_residual.built
        stem = layers.run_level(self.stem, images, rematerialize=again)
        if not self.background_embedding:
            return self.encode_regions(stem, part_boxes, part_visibility)
        body_mask = tf.cast(body_mask, stem.dtype)
        foreground = self.encode_regions(stem * body_mask, part_boxes, part_visibility)
        background = self.encode_background(stem * (1.0 - body_mask))
        return tf.concat([foreground, background], axis=-1)

    def stem(self, images) -> tf.Tensor:
        """Shared full-resolution features, [B, H, W, h]."""
        return self.stem_residual(self.stem_conv(images))

    def encode_regions(self, features, part_boxes, part_visibility) -> tf.Tensor:
        """Codes of the seven regions, zero where invisible: float32 [B, 7 * region_embedding]."""
        count = part_boxes.shape[1]
        # Crops in float32: their sampling positions need it, and the cost is small.
        crops = regions.crop_regions(
            tf.cast(features, tf.float32),
            part_boxes,
            self.region_size,
            self.execution.implementation,
            self.execution.jit_compile,
        )
        crops = tf.reshape(crops, [-1, self.region_size, self.region_size, self.hidden])
        codes = self.region_dense(layers.flatten(self.region_pyramid(crops)[-1]))
        codes = tf.reshape(tf.cast(codes, tf.float32), [-1, count, self.region_embedding])
        codes *= part_visibility[..., None]
        return tf.reshape(codes, [-1, count * self.region_embedding])

    def encode_background(self, features) -> tf.Tensor:
        """Code of the background, float32 [B, background_embedding]."""
        code = self.background_dense(layers.flatten(self.background_pyramid(features)[-1]))
        return tf.cast(code, tf.float32)
