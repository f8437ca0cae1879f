"""Blocks shared by the networks. Convolutions are 3x3, SAME, Glorot-uniform, zero biases."""

import functools
import inspect

import keras
import numpy as np
import tensorflow as tf

from dpig_tf2.ops import convolutions

LEAKY_SLOPE = 0.2
CONVOLUTIONS = ("direct", "products")


class Network(keras.Model):
    """Base of the networks: the constructor's arguments, kept as attributes, are the config."""

    def get_config(self):
        arguments = inspect.signature(type(self).__init__).parameters
        names = [name for name in arguments if name not in ("self", "kwargs")]
        return {"name": self.name, **{name: getattr(self, name) for name in names}}

    def freeze(self) -> None:
        """For inference: computes once what depends on weights alone, from the present weights."""
        for conv in self._convolutions():
            conv.freeze()

    def thaw(self) -> None:
        """Takes `freeze` back, for graphs traced from now on."""
        for conv in self._convolutions():
            conv.frozen_kernel = None

    def _convolutions(self):
        return [layer for layer in self._flatten_layers() if isinstance(layer, Conv)]


def leaky_relu(x):
    """Leaky rectifier with the slope that every network here uses, 0.2."""
    return tf.nn.leaky_relu(x, alpha=LEAKY_SLOPE)


class Conv(keras.layers.Conv2D):
    """Convolution, SAME, in one of two equal forms.

    Args:
        channels: output channels.
        size: side of the kernel, pixels.
        convolution: "direct", or "products" for matrix products where they are faster on CPU, see
            `ops.convolutions`. Equal within 1e-5 in float32.
    """

    def __init__(self, channels: int, size: int, convolution: str = "direct", **kwargs):
        if convolution not in CONVOLUTIONS:
            raise ValueError(f"convolution must be one of {CONVOLUTIONS}, got {convolution!r}")
        super().__init__(channels, size, padding="same", **kwargs)
        self.convolution = convolution
        self.frozen_kernel = None

    def build(self, input_shape):
        super().build(input_shape)
        self.image_shape = input_shape

    def convolution_op(self, inputs, kernel):
        kernel = tf.cast(kernel, inputs.dtype)
        form = self.form(inputs.shape)
        if form == "winograd":
            if self.frozen_kernel is None:
                return convolutions.winograd(inputs, kernel)
            return convolutions.winograd_with(inputs, self.frozen_kernel)
        if form == "single_product":
            return convolutions.single_product(inputs, kernel, self.strides[0])
        return super().convolution_op(inputs, kernel)

    def freeze(self) -> None:
        """Prepares the present kernel for inference, where its form takes preparation."""
        if self.form(self.image_shape) == "winograd":
            kernel = tf.cast(self.kernel, self.compute_dtype)
            self.frozen_kernel = convolutions.winograd_kernel(kernel)

    def form(self, input_shape) -> str:
        """How inputs [B, H, W, C] are convolved: "direct" or a function of `ops.convolutions`."""
        # Between its transforms Winograd's form needs a wider range than float16 has.
        if self.convolution == "direct" or self.compute_dtype == "float16":
            return "direct"
        kernel_shape = (*self.kernel_size, input_shape[-1], self.filters)
        return convolutions.fastest_form(input_shape, kernel_shape, self.strides[0])


def conv3x3(channels: int, convolution: str, name: str, activation: str | None = "relu", **kwargs):
    return Conv(channels, 3, convolution, activation=activation, name=name, **kwargs)


def run_level(level, *inputs, rematerialize: bool):
    """`level(*inputs)`, its activations kept for the backward pass or computed again there.

    Args:
        level: function of tensors.
        inputs: its arguments; they are kept in any case.
        rematerialize: compute again. The level's layers must have their variables by then, so the
            first call, which creates them, is a plain one.
    """
    return (tf.recompute_grad(level) if rematerialize else level)(*inputs)


class ResidualConv(keras.layers.Layer):
    """x + relu(conv(relu(conv(x)))): both convolutions are activated, the sum is not."""

    def __init__(self, channels: int, convolution: str = "direct", **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv_1 = conv3x3(channels, convolution, "conv_1")
        self.conv_2 = conv3x3(channels, convolution, "conv_2")

    def call(self, x):
        return x + self.conv_2(self.conv_1(x))


class UpsampledResidualConv(ResidualConv):
    """The residual level of [small map doubled to nearest | skip], the doubling folded into conv_1.

    Three rows of the doubled map are only two of the small one, so the doubled half of conv_1 is a
    transposed convolution of the small map with a 4x4 kernel of summed taps: 4/9 of the products.
    The result is that of the plain convolution up to rounding. Where conv_1 takes Winograd's form,
    that saves more.

    Call arguments: small float [B, H/2, W/2, C1]; skip float [B, H, W, C2].
    Returns: float [B, H, W, C1 + C2].
    """

    def __init__(self, channels: int, convolution: str = "direct", **kwargs):
        super().__init__(channels, convolution, **kwargs)
        self.upsample = keras.layers.UpSampling2D(2, interpolation="nearest", name="upsample")

    def build(self, small_shape, skip_shape):
        self.conv_1.build((*skip_shape[:-1], small_shape[-1] + skip_shape[-1]))

    def call(self, small, skip):
        x = tf.concat([self.upsample(small), skip], axis=-1)
        if self.conv_1.form(x.shape) == "winograd":
            return super().call(x)
        return x + self.conv_2(self._first_conv(small, skip))

    def _first_conv(self, small, skip):
        kernel = tf.cast(self.conv_1.kernel, skip.dtype)
        from_small, from_skip = tf.split(kernel, [small.shape[-1], skip.shape[-1]], axis=2)
        shape = [tf.shape(skip)[0], *skip.shape[1:3], self.channels]
        doubled = tf.nn.conv2d_transpose(small, _doubling_kernel(from_small), shape, strides=2)
        direct = tf.nn.conv2d(skip, from_skip, strides=1, padding="SAME")
        return tf.nn.relu(direct + doubled + tf.cast(self.conv_1.bias, skip.dtype))


# Which taps [3] of a plain kernel reach the taps [4] of the transposed one, along an axis: pixel i
# of the small map adds to the outputs 2i - 1 ... 2i + 2 through the taps 2, 1 + 2, 0 + 1 and 0.
_DOUBLED_TAPS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)


def _doubling_kernel(kernel):
    """Kernel [4, 4, C, I] of the transposed convolution, from the plain one's, [3, 3, I, C]."""
    # One product for all taps: large kernels are summed in one pass over memory.
    _, _, inputs, channels = kernel.shape
    taps = tf.reshape(tf.transpose(kernel, [0, 1, 3, 2]), [9, channels * inputs])
    summed = tf.matmul(tf.cast(np.kron(_DOUBLED_TAPS, _DOUBLED_TAPS), kernel.dtype), taps)
    return tf.reshape(summed, [4, 4, channels, inputs])


class ResidualDense(keras.layers.Layer):
    """x + lrelu(dense(lrelu(dense(x))))."""

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense_1 = keras.layers.Dense(units, activation=leaky_relu, name="dense_1")
        self.dense_2 = keras.layers.Dense(units, activation=leaky_relu, name="dense_2")

    def call(self, x):
        return x + self.dense_2(self.dense_1(x))


class ConvPyramid(keras.layers.Layer):
    """Residual levels of h, 2h, 3h, ... channels, halving the resolution between them.

    With `rematerialize` only these outputs are kept for the backward pass, a quarter of what a
    level computes. `convolution` is the form of the convolutions, see `Conv`.

    Call argument: float [B, H, W, h]. Returns the list of the levels' outputs, finest first.
    """

    def __init__(
        self,
        hidden: int,
        levels: int,
        rematerialize: bool = False,
        convolution: str = "direct",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.levels = levels
        self.rematerialize = rematerialize
        self.residuals = [
            ResidualConv(hidden * (level + 1), convolution, name=f"residual_{level}")
            for level in range(levels)
        ]
        self.downs = [
            conv3x3(hidden * (level + 2), convolution, f"down_{level}", strides=2)
            for level in range(levels - 1)
        ]

    def call(self, x):
        outputs = []
        for level, residual in enumerate(self.residuals):
            again = self.rematerialize and residual.built
            x = run_level(functools.partial(self._level, level), x, rematerialize=again)
            outputs.append(x)
        return outputs

    def _level(self, level, x):
        if level:
            x = self.downs[level - 1](x)
        return self.residuals[level](x)


class DenseTrunk(keras.layers.Layer):
    """Dense layer and four residual dense blocks of the same width.

    The backbone of the pose autoencoder and of the mapping networks.
    """

    BLOCKS = 4

    def __init__(self, hidden: int, activation=leaky_relu, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.input_dense = keras.layers.Dense(hidden, activation=activation, name="input")
        self.residuals = [
            ResidualDense(hidden, name=f"residual_{block}") for block in range(self.BLOCKS)
        ]

    def call(self, x):
        x = self.input_dense(x)
        for residual in self.residuals:
            x = residual(x)
        return x


class EmbeddingMapConv(keras.layers.Layer):
    """3x3 convolution of [embedding broadcast over H x W | map], without the broadcast.

    The embedding is the same at every pixel, so its part of the convolution is one dense product
    for each of the nine kernel taps; SAME padding only decides which taps a border pixel sums. The
    result is that of the plain convolution on all channels up to rounding.

    Call arguments: embedding float [B, E]; feature map float [B, H, W, C].
    Returns: float [B, H, W, channels], relu-activated.
    """

    def __init__(self, channels: int, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels

    def build(self, embedding_shape, feature_map_shape):
        self.embedding_size = embedding_shape[-1]
        inputs = embedding_shape[-1] + feature_map_shape[-1]
        self.kernel = self.add_weight(
            shape=(3, 3, inputs, self.channels), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(self.channels,), initializer="zeros", name="bias")

    def call(self, embedding, feature_map):
        kernel = tf.cast(self.kernel, feature_map.dtype)
        from_map = tf.nn.conv2d(
            feature_map, kernel[:, :, self.embedding_size :], strides=1, padding="SAME"
        )
        taps = tf.einsum("be,yxec->byxc", embedding, kernel[:, :, : self.embedding_size])
        rows = _taps_inside(feature_map.shape[1]).astype(feature_map.dtype.as_numpy_dtype)
        columns = _taps_inside(feature_map.shape[2]).astype(feature_map.dtype.as_numpy_dtype)
        from_embedding = tf.einsum("wx,byxc->bywc", columns, taps)
        from_embedding = tf.einsum("hy,bywc->bhwc", rows, from_embedding)
        return tf.nn.relu(from_map + from_embedding + tf.cast(self.bias, feature_map.dtype))


def _taps_inside(length):
    """[length, 3] in {0, 1}: which taps of a 3-wide SAME kernel fall inside the axis."""
    source = np.arange(length)[:, None] + np.arange(-1, 2)[None, :]
    return ((source >= 0) & (source < length)).astype(np.float32)
