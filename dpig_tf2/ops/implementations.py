"""Which of the equal ways of computing an operation is taken."""

import os

import tensorflow as tf

from dpig_tf2.errors import DpigError
from dpig_tf2.execution import IMPLEMENTATIONS
from dpig_tf2.io import processor

# With any of these TensorFlow computes by oneDNN, unless TF_ENABLE_ONEDNN_OPTS says otherwise.
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


def uses_onednn(jit_compile: bool) -> bool:
    """Whether graphs run on CPU by oneDNN: this processor suggests it to TensorFlow, or a user."""
    given = os.environ.get("TF_ENABLE_ONEDNN_OPTS")
    if given is None:
        chosen = bool(_ONEDNN_INSTRUCTIONS.intersection(processor.instructions()))
    else:
        chosen = given.lower() in ("1", "true")
    return chosen and runs_on_cpu_uncompiled(jit_compile)
