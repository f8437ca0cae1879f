"""The placed architecture: codes read and drawn at anchors of the body, a figure before a scene."""

import math

import keras
import tensorflow as tf

from dpig_tf2.config import SCENE_CELL
from dpig_tf2.execution import Execution
from dpig_tf2.models import layers, texture
from dpig_tf2.ops import anchors, convolutions
from dpig_tf2.ops.body_parts import NUM_REGIONS

_SMALLEST_POWER = 1e-6
_TEXELS = anchors.TEXELS_OF_REGION


@layers.serializable
class NormalizedResidual(layers.Block):
    """x + conv(relu(conv(x / |x|))), |x| a pixel's root mean square; it starts as the identity.

    Args:
        channels: of input and output.
        execution: how it computes.

    Call argument: float [B, H, W, channels]. Returns: float [B, H, W, channels].
    """

    def __init__(self, channels: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.channels = channels
        self.conv_1 = layers.Conv(
            channels, 3, activation="relu", execution=execution, name="conv_1"
        )
        self.conv_2 = layers.Conv(
            channels, 3, kernel_initializer="zeros", execution=execution, name="conv_2"
        )

    def get_config(self):
        return super().get_config() | {"channels": self.channels}

    def call(self, x):
        wide = tf.cast(x, tf.float32)
        power = tf.reduce_mean(tf.square(wide), axis=-1, keepdims=True)
        normalized = tf.cast(wide * tf.math.rsqrt(power + _SMALLEST_POWER), x.dtype)
        return x + self.conv_2(self.conv_1(normalized))


@layers.serializable
class PlacedEncoder(layers.Network):
    """Reads the seven regions under the maps of their anchors, and the scene as a coarse grid.

    Args:
        hidden: base width h; the figure's features have h, 2 h and 4 h channels, at a half, a
            quarter and an eighth of the resolution.
        region_embedding: code length of one region.
        scene_embedding: code length of the scene, a multiple of its cells.
        texels: read the regions under their texels too, finely.
        execution: how it computes.

    Call arguments:
        images: float32 [B, H, W, 3] in [-1, 1], H and W multiples of 16.
        keypoints: float32 [B, 18, 3], pixels.
        body_mask: float32 [B, H, W, 1] in {0, 1}.

    Returns:
        float32 [B, 7 * region_embedding + scene_embedding], foreground first.
    """

    def __init__(
        self,
        hidden: int,
        region_embedding: int,
        scene_embedding: int,
        texels: bool = False,
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(autocast=False, execution=execution, **kwargs)
        self.hidden = hidden
        self.region_embedding = region_embedding
        self.scene_embedding = scene_embedding
        self.texels = texels
        widths = (hidden, 2 * hidden, 4 * hidden)
        self.figure_downs = [self._conv(w, 2, f"figure_down_{i}") for i, w in enumerate(widths)]
        self.figure_residuals = [
            NormalizedResidual(w, execution, name=f"figure_residual_{i}")
            for i, w in enumerate(widths)
        ]
        self.region_hidden = [
            self._dense(2 * region_embedding, f"region_{i}_hidden") for i in range(NUM_REGIONS)
        ]
        # Added to what the anchors tell.
        self.region_texels = [
            self._dense(2 * region_embedding, f"region_{i}_texels", use_bias=False)
            for i in (_TEXELS if texels else ())
        ]
        if texels:
            self.texture = texture.TextureEncoder(region_embedding, execution, name="texture")
        self.region_codes = [
            self._dense(region_embedding, f"region_{i}_code") for i in range(NUM_REGIONS)
        ]
        widths = (hidden, 3 * hidden // 2, 3 * hidden, 4 * hidden)
        self.scene_downs = [self._conv(w, 2, f"scene_down_{i}") for i, w in enumerate(widths)]
        self.scene_residuals = [
            NormalizedResidual(w, execution, name=f"scene_residual_{i}")
            for i, w in enumerate(widths[-2:], len(widths) - 2)
        ]

    def _conv(self, channels, strides, name):
        return layers.Conv(
            channels, 3, strides, activation="relu", execution=self.execution, name=name
        )

    def _dense(self, units, name, use_bias=True):
        return keras.layers.Dense(units, use_bias=use_bias, dtype=self.dtype_policy, name=name)

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "region_embedding": self.region_embedding,
            "scene_embedding": self.scene_embedding,
            "texels": self.texels,
        }

    def build(self, images_shape, keypoints_shape, body_mask_shape):
        cells = (images_shape[1] // SCENE_CELL) * (images_shape[2] // SCENE_CELL)
        self.scene_code = self._dense(self.scene_embedding // cells, "scene_code")

    def call(self, images, keypoints, body_mask):
        foreground = self.encode_figure(images, keypoints, body_mask)
        return tf.concat([foreground, self.encode_scene(images, body_mask)], axis=-1)

    def encode_figure(self, images, keypoints, body_mask) -> tf.Tensor:
        """Codes of the seven regions, zero where unseen: float32 [B, 7 * region_embedding]."""
        _, height, width, _ = images.shape
        x = tf.cast(tf.concat([images * body_mask, body_mask], axis=-1), self.compute_dtype)
        body = anchors.BodyMaps(keypoints, height, width, self.texels)
        # Colors as they are, then features of growing surroundings, fine ones under texels too.
        features = [tf.nn.avg_pool2d(x, 2, 2, "VALID")]
        for down, residual in zip(self.figure_downs, self.figure_residuals, strict=True):
            x = residual(down(x))
            features.append(x)
        found = _under_maps(features, body.of_anchors, body.known)
        found = tf.split(found, anchors.ANCHORS_PER_REGION, axis=1)
        hidden = [
            dense(layers.flatten(f)) for dense, f in zip(self.region_hidden, found, strict=True)
        ]
        if self.texels:
            found = _under_maps(features[:2], body.of_texels, body.texels_known)
            found = tf.split(found, list(_TEXELS.values()), axis=1)
            for i, dense, f in zip(_TEXELS, self.region_texels, found, strict=True):
                hidden[i] += dense(layers.flatten(f))
        # All regions at once: TensorFlow's optimizer of graphs for oneDNN breaks off, with pages of
        # errors, at an activation of the very sum of two dense layers.
        hidden = tf.split(tf.nn.relu(tf.concat(hidden, axis=-1)), NUM_REGIONS, axis=-1)
        codes = [dense(h) for dense, h in zip(self.region_codes, hidden, strict=True)]
        if self.texels:
            for i, code in self.texture(*texture.read_halved(features[0], body)).items():
                codes[i] += code
        known = tf.split(body.known, anchors.ANCHORS_PER_REGION, axis=1)
        seen = [tf.reduce_max(k, axis=1, keepdims=True) for k in known]
        return tf.concat(
            [tf.cast(code, tf.float32) * s for code, s in zip(codes, seen, strict=True)], axis=-1
        )

    def encode_scene(self, images, body_mask) -> tf.Tensor:
        """Code of the scene around the person, float32 [B, scene_embedding]."""
        around = 1.0 - body_mask
        x = tf.cast(tf.concat([images * around, around], axis=-1), self.compute_dtype)
        plain = len(self.scene_downs) - len(self.scene_residuals)
        for i, down in enumerate(self.scene_downs):
            x = down(x)
            if i >= plain:
                x = self.scene_residuals[i - plain](x)
        return tf.reshape(tf.cast(self.scene_code(x), tf.float32), [-1, self.scene_embedding])


def _under_maps(features, maps_on, known):
    """Means of features [B, h, w, C] under maps of N points, and which are known, [B, N, sum + 1].

    The features are of several resolutions; `maps_on` gives the maps on a grid.
    """
    found = []
    for feature in features:
        maps = maps_on(tuple(feature.shape[1:3]))
        # Of a point outside the picture hardly anything is left: its mean falls to 0.
        maps /= tf.reduce_sum(maps, axis=[1, 2], keepdims=True) + 1e-3
        found.append(tf.einsum("bhwn,bhwc->bnc", tf.cast(maps, feature.dtype), feature))
    return tf.concat([*found, tf.cast(known, found[0].dtype)[..., None]], axis=-1)


def composed(figure, scene) -> tf.Tensor:
    """A figure [B, H, W, 4], its coverage last, before a scene [B, H, W, 3]: [B, H, W, 3]."""
    colors, coverage = tf.split(figure, [3, 1], axis=-1)
    return coverage * colors + (1.0 - coverage) * scene


@layers.serializable
class PlacedGenerator(layers.Network):
    """Draws a figure with its coverage from region codes and pose, before a scene from its code.

    The figure knows nothing of the scene and the scene nothing of the figure: what one factor
    changes cannot show where only the other is seen.

    Args:
        height, width: pixels, multiples of 16.
        hidden: base width h; from the coarsest level to the finest the figure has widths of 3 h,
            3 h and 3/2 h, the scene 4 h, 3 h, 2 h and h.
        region_embedding: code length of one region.
        scene_embedding: code length of the scene.
        placed: channels that the codes of the regions are placed in.
        texels: place them at the texels too, finely.
        execution: how it computes.

    Call arguments:
        embedding: float32 [B, 7 * region_embedding + scene_embedding].
        keypoints: float32 [B, 18, 3], pixels.

    Returns:
        float32 [B, H, W, 3] in [-1, 1] units, unbounded.
    """

    def __init__(
        self,
        height: int,
        width: int,
        hidden: int,
        region_embedding: int,
        scene_embedding: int,
        placed: int,
        texels: bool = False,
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(autocast=False, execution=execution, **kwargs)
        self.height = height
        self.width = width
        self.hidden = hidden
        self.region_embedding = region_embedding
        self.scene_embedding = scene_embedding
        self.placed = placed
        self.texels = texels
        self.place = [
            keras.layers.Dense(count * placed, dtype=self.dtype_policy, name=f"place_{i}")
            for i, count in enumerate(anchors.ANCHORS_PER_REGION)
        ]
        self.place_texels = [
            keras.layers.Dense(
                count * placed, use_bias=False, dtype=self.dtype_policy, name=f"place_{i}_texels"
            )
            for i, count in (_TEXELS if texels else {}).items()
        ]
        if texels:
            self.texture = texture.TextureDecoder(region_embedding, execution, name="texture")
        # From an eighth to a half of the resolution; the last two pixels come from channels.
        figure = (3 * hidden, 3 * hidden, 3 * hidden // 2)
        self.figure_convs = [self._conv(w, f"figure_{i}") for i, w in enumerate(figure)]
        self.figure_residuals = [
            NormalizedResidual(w, execution, name=f"figure_residual_{i}")
            for i, w in enumerate(figure)
        ]
        self.figure_narrow = layers.Conv(
            figure[2], 1, activation="relu", execution=execution, name="figure_narrow"
        )
        self.figure_output = layers.Conv(16, 3, execution=execution, name="figure_output")
        scene = (4 * hidden, 3 * hidden, 2 * hidden, hidden)
        self.scene_convs = [self._conv(w, f"scene_{i}") for i, w in enumerate(scene)]
        self.scene_residuals = [
            NormalizedResidual(w, execution, name=f"scene_residual_{i}")
            for i, w in enumerate(scene)
        ]
        self.scene_output = layers.Conv(12, 3, execution=execution, name="scene_output")

    def _conv(self, channels, name):
        return layers.Conv(channels, 3, activation="relu", execution=self.execution, name=name)

    def get_config(self):
        return super().get_config() | {
            "height": self.height,
            "width": self.width,
            "hidden": self.hidden,
            "region_embedding": self.region_embedding,
            "scene_embedding": self.scene_embedding,
            "placed": self.placed,
            "texels": self.texels,
        }

    def build(self, embedding_shape, keypoints_shape):
        self.grid = (self.height // SCENE_CELL, self.width // SCENE_CELL)
        # Where in the picture a cell lies: walls above, ground below.
        self.position = self.add_weight(
            shape=(1, *self.grid, self.scene_convs[0].filters),
            initializer="zeros",
            name="position",
        )

    def call(self, embedding, keypoints):
        return composed(*self.layers_of(embedding, keypoints))

    def layers_of(self, embedding, keypoints) -> tuple[tf.Tensor, tf.Tensor]:
        """The figure [B, H, W, 4], its coverage last in [0, 1], and the scene [B, H, W, 3]."""
        foreground = embedding[:, : NUM_REGIONS * self.region_embedding]
        scene = embedding[:, NUM_REGIONS * self.region_embedding :]
        return self.draw_figure(foreground, keypoints), self.draw_scene(scene)

    def draw_figure(self, foreground, keypoints) -> tf.Tensor:
        """Figure and coverage, float32 [B, H, W, 4]."""
        values = self._values(tf.cast(foreground, self.compute_dtype))
        body = anchors.BodyMaps(keypoints, self.height, self.width, self.texels)
        x = self._conditions(values, body, 8)
        x = self.figure_residuals[0](self.figure_convs[0](x))
        x = self._finer(x, self._conditions(values, body, 4), 1)
        conditions = self._conditions(values, body, 2)
        if self.texels:
            grid = tuple(conditions.shape[1:3])
            drawn = texture.draw(self.texture(foreground), body, grid)
            conditions = tf.concat([conditions, tf.cast(drawn, conditions.dtype)], axis=-1)
        x = self._finer(self.figure_narrow(x), conditions, 2)
        x = tf.cast(tf.nn.depth_to_space(self.figure_output(x), 2), tf.float32)
        colors, coverage = tf.split(x, [3, 1], axis=-1)
        return tf.concat([colors, tf.sigmoid(coverage)], axis=-1)

    def _values(self, foreground):
        """What is placed at each anchor, then at each texel, [B, A + T, placed]."""
        codes = tf.split(foreground, NUM_REGIONS, axis=1)
        placed = [place(code) for place, code in zip(self.place, codes, strict=True)]
        if self.texels:
            placed += [p(codes[i]) for i, p in zip(_TEXELS, self.place_texels, strict=True)]
        points = anchors.NUM_ANCHORS + self.texels * anchors.NUM_TEXELS
        return tf.reshape(tf.concat(placed, axis=1), [-1, points, self.placed])

    def _finer(self, x, conditions, level):
        x = convolutions.upsample(x, self.execution.implementation)
        x = convolutions.concat(x, conditions)
        return self.figure_residuals[level](self.figure_convs[level](x))

    def _conditions(self, values, body, cell):
        """Placed values and keypoints as maps, [B, H / cell, W / cell, placed + 18]."""
        grid = (self.height // cell, self.width // cell)
        maps = body.of_anchors(grid)
        if self.texels and cell < 8:  # an eighth is too coarse to tell one from the next
            maps = tf.concat([maps, body.of_texels(grid)], axis=-1)
        values = values[:, : maps.shape[-1]]
        placed = tf.einsum("bhwn,bnc->bhwc", tf.cast(maps, values.dtype), values)
        return tf.concat([placed, tf.cast(body.of_keypoints(grid), values.dtype)], axis=-1)

    def draw_scene(self, code) -> tf.Tensor:
        """The scene without the person, float32 [B, H, W, 3]."""
        cells = tf.reshape(code, [-1, *self.grid, code.shape[-1] // math.prod(self.grid)])
        cells = tf.cast(cells, self.compute_dtype)
        x = self.scene_convs[0](cells) + tf.cast(self.position, self.compute_dtype)
        x = self.scene_residuals[0](x)
        for conv, residual in zip(self.scene_convs[1:], self.scene_residuals[1:], strict=True):
            x = residual(conv(convolutions.doubled(x)))
        return tf.cast(tf.nn.depth_to_space(self.scene_output(x), 2), tf.float32)
