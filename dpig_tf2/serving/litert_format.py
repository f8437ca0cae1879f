"""Signatures as LiteRT files, also with 16-bit weights or computed in 8 bits."""

import contextlib
import dataclasses
import io
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from dpig_tf2.serving.onnx_format import OUTPUT_LAYER

_LARGEST_AT_ONCE = 32 * 2**20  # bytes of a kernel; beyond, the quantizer fails (its issue 512)
# Least width of a range. Behind units that are never active the range is nothing, and LiteRT
# refuses the scale that the quantizer would make of it.
_NARROWEST = 1e-3
_QUANTIZED = ("CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")


def convert(
    graph: tf.types.experimental.ConcreteFunction, name: str, owner: tf.Module, halve: bool = False
) -> bytes:
    """The graph of `Signature.trace`, of a fixed batch size, as the content of a LiteRT file.

    Args:
        graph: the graph.
        name: of the signature in the file.
        owner: of the variables that the graph uses.
        halve: store weights as float16; what is computed stays float32.
    """
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(owner, folder, signatures={name: graph})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
        if halve:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def quantize(
    content: bytes,
    name: str,
    persons: Sequence[Mapping[str, np.ndarray]],
    networks: Sequence[str],
) -> bytes:
    """A LiteRT file with the products of its networks computed in 8 bits.

    Args:
        content: of the file.
        name: of its signature.
        persons: inputs of the signature, for the ranges of what it computes.
        networks: names of the networks; what keeps its precision is told at
            `onnx_format.quantize`.
    """
    from ai_edge_quantizer import qtyping, quantizer

    def tensors(symmetric, granularity):
        return qtyping.TensorQuantizationConfig(8, symmetric, granularity)

    config = qtyping.OpQuantizationConfig(
        activation_tensor_config=tensors(False, qtyping.QuantGranularity.TENSORWISE),
        weight_tensor_config=tensors(True, qtyping.QuantGranularity.CHANNELWISE),
        compute_precision=qtyping.ComputePrecision.INTEGER,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.tflite")
        path.write_bytes(content)
        made = quantizer.Quantizer(str(path))
        for operation in _QUANTIZED:
            made.update_quantization_recipe(
                f".*(^|/)({'|'.join(networks)})(_[0-9]+)?/((?!{OUTPUT_LAYER}).)*$",
                qtyping.TFLOperationName[operation],
                config,
            )
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            # One by one: the quantizer would average the ranges of several, and cut values off.
            ranges = _joined(made.calibrate({name: [dict(each)]}) for each in persons)
            with _kernels_in_parts():
                quantized = bytes(made.quantize(ranges).quantized_model or b"")
    return _with_signature_outputs(quantized)


def _kernels_in_parts():
    """A context in which the quantizer takes large kernels a few channels at a time."""
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as library

    whole = library.uniform_quantize

    def in_parts(data, parameters, is_blockwise_quant=False):
        axis = parameters.quantized_dimension
        if data.nbytes <= _LARGEST_AT_ONCE or axis is None or is_blockwise_quant:
            return whole(data, parameters, is_blockwise_quant)
        parameters = library.fix_quantization_params_rank(data, parameters)
        channels = data.shape[axis]
        step = max(1, _LARGEST_AT_ONCE * channels // data.nbytes)
        arrays = (data, parameters.scale, parameters.zero_point)
        parts = (np.split(array, range(step, channels, step), axis) for array in arrays)
        made = [
            whole(part, dataclasses.replace(parameters, scale=scale, zero_point=zero_point))
            for part, scale, zero_point in zip(*parts, strict=True)
        ]
        return np.concatenate(made, axis)

    return mock.patch.object(library, "uniform_quantize", in_parts)


def _joined(calibrations):
    """The widest range of every tensor, {tensor: {"min": ..., "max": ...}}."""
    ranges = {}
    for found in calibrations:
        for tensor, range_ in found.items():
            known = ranges.setdefault(tensor, range_)
            least = np.minimum(known["min"], range_["min"])
            most = np.maximum(known["max"], range_["max"])
            ranges[tensor] = {"min": least, "max": np.maximum(most, least + _NARROWEST)}
    return ranges


def _with_signature_outputs(content):
    """The file with the outputs that its signature names.

    Of a code that is both an output and what another network takes, the quantizer gives out the
    8-bit copy, which the signature does not know.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    (signature,) = model.signatureDefs
    outputs = [output.tensorIndex for output in signature.outputs]
    model.subgraphs[signature.subgraphIndex].outputs = outputs
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
