"""Which of the equal ways of computing an operation is taken."""

import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.execution import IMPLEMENTATIONS


def is_reference(implementation: str) -> bool:
    """Whether the way is "reference", not "fast"; raises DpigError if it is neither."""
    if implementation not in IMPLEMENTATIONS:
        choices = ", ".join(IMPLEMENTATIONS)
        raise DpigError(f"implementation must be one of {choices}; got {implementation!r}")
    return implementation == "reference"


def runs_on_cpu_uncompiled(jit_compile: bool) -> bool:
    """Whether graphs run on CPU by TensorFlow's own kernels: no GPU is listed, XLA is not used."""
    return not (jit_compile or tf.config.list_logical_devices("GPU"))
