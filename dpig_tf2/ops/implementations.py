"""Which of the equal ways of computing an operation is taken."""

import os

import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.execution import IMPLEMENTATIONS
from dpig_tf2.io import processor

# With any of these TensorFlow computes by oneDNN, unless the environment says otherwise.
_ONEDNN_INSTRUCTIONS = {"avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16"}


def is_reference(implementation: str) -> bool:
    """Whether the way is "reference", not "fast"; raises DpigError if it is neither."""
    if implementation not in IMPLEMENTATIONS:
        choices = ", ".join(IMPLEMENTATIONS)
        raise DpigError(f"implementation must be one of {choices}; got {implementation!r}")
    return implementation == "reference"


def runs_on_cpu_uncompiled(jit_compile: bool) -> bool:
    """Whether graphs run on CPU by TensorFlow's own kernels: no GPU is listed, XLA is not used."""
    return not (jit_compile or tf.config.list_logical_devices("GPU"))


def library_prepares_constants(jit_compile: bool) -> bool:
    """Whether a convolution is faster if its kernel is a constant of the graph.

    oneDNN orders the numbers of a kernel anew in every call unless it is one, which for one picture
    at a time takes as long as the products.
    """
    given = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    by_default = bool(_ONEDNN_INSTRUCTIONS.intersection(processor.instructions()))
    uses_onednn = by_default if given is None else given.lower() in ("1", "true")
    return uses_onednn and runs_on_cpu_uncompiled(jit_compile)
