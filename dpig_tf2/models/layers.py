"""Blocks shared by the networks, as the paper has them; `ops.convolutions` makes them fast."""

import dataclasses
import functools
import math

import keras
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.ops import convolutions
from dpig_tf2.ops.implementations import uses_onednn

LEAKY_SLOPE = 0.2

serializable = keras.saving.register_keras_serializable(package="dpig_tf2")


def flatten(x) -> tf.Tensor:
    """[B, ...] of known sizes as [B, N]."""
    return tf.reshape(x, [-1, math.prod(x.shape[1:])])


def leaky_relu(x) -> tf.Tensor:
    """Leaky rectifier with the slope that every network here uses, 0.2."""
    return tf.nn.leaky_relu(x, alpha=LEAKY_SLOPE)


class _Executed:
    """What networks and blocks share: an `Execution`, and a config that it is part of."""

    name: str  # of the Keras class beside this one, as is the next
    trainable: bool

    def __init__(self, *args, execution: Execution = Execution(), **kwargs):
        super().__init__(*args, dtype=execution.precision, **kwargs)
        self.execution = execution
        # `keras.Model.fit` compiles with XLA where this is true; not every fast way can be.
        self.supports_jit = execution.jit_compile

    def get_config(self) -> dict:
        """The constructor's arguments, in types that JSON knows."""
        library = [list(each) for each in self.execution.library]
        execution = dataclasses.asdict(self.execution) | {"library": library}
        return {"name": self.name, "trainable": self.trainable, "execution": execution}

    @classmethod
    def from_config(cls, config: dict):
        return cls(**(config | {"execution": Execution(**config["execution"])}))

    def get_build_config(self) -> None:
        """None: variables come with the first call, under the paths of checkpoints."""


class _BuiltByCall:
    """A layer of layers, which are built as they are first called.

    Keras would otherwise trace the call once more to build them, in blocks of blocks four times.
    """

    def build(self, *_, **__) -> None:
        pass


class Block(_BuiltByCall, _Executed, keras.layers.Layer):
    """Base of the blocks.

    Args:
        execution: how the layers inside compute.
    """


class Network(_BuiltByCall, _Executed, keras.Model):
    """Base of the networks.

    Args:
        execution: how the layers inside compute.
    """

    def __call__(self, *inputs, **named):
        if not self.built:  # the shapes by which Keras builds the network from a file
            self._input_shapes = tuple(tuple(x.shape[1:]) for x in inputs)
        return super().__call__(*inputs, **named)

    def get_build_config(self) -> dict | None:
        """The shapes of the first call; None before it."""
        return {"input_shapes": self._input_shapes} if self.built else None

    def build_from_config(self, config: dict) -> None:
        """Creates the variables, as Keras asks for before it reads them from a file."""
        self(*(tf.zeros((0, *shape)) for shape in config["input_shapes"]))

    def freeze(self) -> None:
        """For inference: computes once what depends on weights alone.

        That is what Winograd's algorithm makes of a kernel, and the order in which oneDNN wants
        one. Graphs traced from now on have it from the weights of this moment; they ignore later
        changes of these. Convolutions that need neither stay as they are.
        """
        for conv in self._convolutions():
            conv.freeze()

    def thaw(self) -> None:
        """Takes `freeze` back: graphs traced from now on compute from the weights again."""
        for conv in self._convolutions():
            conv.thaw()

    def _convolutions(self):
        return [layer for layer in self._flatten_layers() if isinstance(layer, Conv)]


@serializable
class Conv(_Executed, keras.layers.Conv2D):
    """Convolution, SAME, with biases that start at zero.

    Args:
        channels: output channels.
        size: side of the kernel, pixels.
        strides: pixels.
        activation: as Keras takes it.
        kernel_initializer: as Keras takes it.
        execution: how it computes.

    Call argument: float [B, H, W, C]; with strides 1 also what `ops.convolutions.concat` makes if
    the size is 3, or `upsample` if it is 1.
    Returns: float [B, H / strides, W / strides, channels]; of an upsampled map one of its kind.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        strides: int = 1,
        activation=None,
        kernel_initializer="glorot_uniform",
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(
            channels,
            size,
            strides,
            padding="same",
            activation=activation,
            kernel_initializer=kernel_initializer,
            execution=execution,
            **kwargs,
        )
        self.input_spec = None  # a joined map would count as several inputs
        self.thaw()

    def get_config(self):
        return super().get_config() | {
            "channels": self.filters,
            "size": self.kernel_size[0],
            "strides": self.strides[0],
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }

    def build(self, input_shape):
        self.image_shape = (None, *convolutions.joined_shape(input_shape)[1:])
        super().build(self.image_shape)
        self.input_spec = None

    def call(self, x):
        return convolutions.pointwise(super().call, x)

    def convolution_op(self, inputs, kernel):
        if self.constant_kernel is not None and not tf.executing_eagerly():
            kernel = tf.constant(self.constant_kernel.numpy())
        return convolutions.convolve(
            inputs,
            tf.cast(kernel, self.compute_dtype),
            self.strides[0],
            self.execution,
            self.frozen_kernel,
        )

    def freeze(self) -> None:
        """Prepares the present kernel for inference, see `Network.freeze`."""
        kernel = tf.cast(self.kernel, self.compute_dtype)
        self.frozen_kernel = convolutions.prepare_kernel(
            self.image_shape, kernel, self.strides[0], self.execution
        )
        # oneDNN orders the numbers of a kernel anew in every call unless it is a constant. Not in
        # float32, where Winograd's algorithm has taken the large ones: little is gained, and graphs
        # grow by gigabytes.
        if self.frozen_kernel is None and self.compute_dtype != "float32":
            if uses_onednn(self.execution.jit_compile):
                self.constant_kernel = kernel

    def thaw(self) -> None:
        """Takes `freeze` back, for graphs traced from now on."""
        self.frozen_kernel = self.constant_kernel = None


def run_level(level, *inputs, rematerialize: bool):
    """`level(*inputs)`, its activations kept for the backward pass or computed again there.

    Args:
        level: function of tensors.
        inputs: its arguments; they are kept in any case.
        rematerialize: compute again. The level's layers must have their variables by then, so the
            first call, which creates them, is a plain one.
    """
    return (tf.recompute_grad(level) if rematerialize else level)(*inputs)


@serializable
class ResidualConv(Block):
    """x + relu(conv(relu(conv(x)))): both convolutions are activated, the sum is not.

    Args:
        channels: of input and output.
        execution: how it computes.

    Call argument: float [B, H, W, channels], or what `ops.convolutions.concat` makes.
    Returns: float [B, H, W, channels].
    """

    def __init__(self, channels: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.channels = channels
        conv = functools.partial(Conv, channels, 3, activation="relu", execution=execution)
        self.conv_1 = conv(name="conv_1")
        self.conv_2 = conv(name="conv_2")

    def get_config(self):
        return super().get_config() | {"channels": self.channels}

    def call(self, x):
        return convolutions.pixels(x) + self.conv_2(self.conv_1(x))


@serializable
class ResidualDense(Block):
    """x + lrelu(dense(lrelu(dense(x)))).

    Args:
        units: of input and output.
        execution: how it computes.
    """

    def __init__(self, units: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.units = units
        dense = functools.partial(
            keras.layers.Dense, units, activation=leaky_relu, dtype=self.dtype_policy
        )
        self.dense_1 = dense(name="dense_1")
        self.dense_2 = dense(name="dense_2")

    def get_config(self):
        return super().get_config() | {"units": self.units}

    def call(self, x):
        return x + self.dense_2(self.dense_1(x))


@serializable
class ConvPyramid(Block):
    """Residual levels of h, 2h, 3h, ... channels, halving the resolution between them.

    With `execution.rematerialize` only the levels' outputs are kept for the backward pass, a
    quarter of what a level computes.

    Args:
        hidden: channels h of the first level.
        levels: number of levels.
        execution: how it computes.

    Call argument: float [B, H, W, h]. Returns the list of the levels' outputs, finest first.
    """

    def __init__(self, hidden: int, levels: int, execution: Execution = Execution(), **kwargs):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.levels = levels
        self.residuals = [
            ResidualConv(hidden * (level + 1), execution, name=f"residual_{level}")
            for level in range(levels)
        ]
        self.downs = [
            Conv(
                hidden * (level + 2),
                3,
                strides=2,
                activation="relu",
                execution=execution,
                name=f"down_{level}",
            )
            for level in range(levels - 1)
        ]

    def get_config(self):
        return super().get_config() | {"hidden": self.hidden, "levels": self.levels}

    def call(self, x):
        outputs = []
        for level, residual in enumerate(self.residuals):
            again = self.execution.rematerialize and residual.built
            x = run_level(functools.partial(self._level, level), x, rematerialize=again)
            outputs.append(x)
        return outputs

    def _level(self, level, x):
        if level:
            x = self.downs[level - 1](x)
        return self.residuals[level](x)


@serializable
class DenseTrunk(Block):
    """Dense layer and four residual dense blocks of the same width.

    The backbone of the pose autoencoder and of the mapping networks.

    Args:
        hidden: units of every layer.
        activate_first: whether the first layer is activated.
        execution: how it computes.

    Call argument: float [B, N]. Returns: float [B, hidden].
    """

    BLOCKS = 4

    def __init__(
        self,
        hidden: int,
        activate_first: bool = True,
        execution: Execution = Execution(),
        **kwargs,
    ):
        super().__init__(execution=execution, **kwargs)
        self.hidden = hidden
        self.activate_first = activate_first
        self.input_dense = keras.layers.Dense(
            hidden,
            activation=leaky_relu if activate_first else None,
            dtype=self.dtype_policy,
            name="input",
        )
        self.residuals = [
            ResidualDense(hidden, execution, name=f"residual_{block}")
            for block in range(self.BLOCKS)
        ]

    def get_config(self):
        return super().get_config() | {
            "hidden": self.hidden,
            "activate_first": self.activate_first,
        }

    def call(self, x):
        x = self.input_dense(x)
        for residual in self.residuals:
            x = residual(x)
        return x
