"""How networks compute: one object that travels from the flags to every layer.

Nothing here imports TensorFlow, so that a program can refuse bad flags before the slow import.
"""

import dataclasses

from dpig_tf2.config import PRECISIONS, ConfigError

IMPLEMENTATIONS = ("reference", "fast")

# Channels, tiles of 4x4 pixels, and whether the kernel is prepared; see `ops.convolution_speed`.
ConvolutionClass = tuple[int, int, bool]


@dataclasses.dataclass(frozen=True)
class Execution:
    """How networks compute; never changes what they compute beyond rounding.

    Attributes:
        precision: one of `config.PRECISIONS`, the names of Keras dtype policies. Mixed ones compute
            in 16 bits; variables, inputs and outputs are float32 all the same.
        implementation: "reference" computes every layer as the paper and the release write it;
            "fast" takes equal ways with less work, chosen by shape, type, device and `jit_compile`
            (`ops.convolutions`, `ops.regions`). Equal within 1e-5 in float32.
        rematerialize: the published appearance encoder and generator compute the activations of
            their resolution levels again in the backward pass instead of keeping them: less memory,
            more time. Other networks take no notice.
        jit_compile: the graphs are compiled by XLA, or must be able to be, as those of an export
            that runs everywhere: "fast" keeps to what XLA compiles.
        library: classes of convolutions that "fast" leaves to the library, which is TensorFlow,
            because it was faster in a measurement of this machine. None by default: shapes alone
            then decide, the same everywhere.

    Raises:
        ConfigError: naming the field, if a value is unknown, or if "reference" is to be compiled:
            its region crops are a TensorFlow operation that XLA does not know.
    """

    precision: str = "float32"
    implementation: str = "fast"
    rematerialize: bool = False
    jit_compile: bool = False
    library: tuple[ConvolutionClass, ...] = ()

    def __post_init__(self):
        # From a JSON file, as networks are saved, they come as lists.
        object.__setattr__(self, "library", tuple(map(tuple, self.library)))
        for field, choices in (("precision", PRECISIONS), ("implementation", IMPLEMENTATIONS)):
            value = getattr(self, field)
            if value not in choices:
                raise ConfigError(
                    f"{field} must be one of {', '.join(choices)}; got {value!r}", field=field
                )
        for field in ("rematerialize", "jit_compile"):
            value = getattr(self, field)
            if not isinstance(value, bool):
                raise ConfigError(f"{field} must be True or False, got {value!r}", field=field)
        if self.jit_compile and self.implementation == "reference":
            raise ConfigError(
                "jit_compile needs implementation=fast: XLA does not compile the region crops of "
                "implementation=reference",
                field="jit_compile",
            )
