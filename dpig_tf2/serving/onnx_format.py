"""Signatures as ONNX files, also with 16-bit weights or computed in 8 bits."""

import contextlib
import logging
import pathlib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf

OPSET = 17
_LEAST_WEIGHTS = 256  # of an array that is stored in 16 bits
OUTPUT_LAYER = "output"  # in the names of layers
_QUANTIZED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def convert(graph: Any, weights: Mapping[str, Any], name: str):
    """The graph of `Signature.trace`, a concrete function, as an `onnx.ModelProto`.

    Its outputs must not be named as its inputs are.

    Args:
        graph: takes its weights as inputs: the converter copies constants again and again.
        weights: their variables by the names of these inputs.
        name: of the model.
    """
    from onnx import numpy_helper
    from tf2onnx import optimizer, tf_loader, tfonnx

    assert not graph.captured_inputs
    taken = [tensor.name for tensor in graph.inputs]
    outputs = {tensor.name: given for given, tensor in graph.structured_outputs.items()}

    def converted():
        with tf.Graph().as_default() as plain:
            tf.import_graph_def(frozen, name="")
            return tfonnx.process_tf_graph(
                plain,
                opset=OPSET,
                input_names=taken,
                output_names=list(outputs),
                tensors_to_rename=outputs | {n: n.partition(":")[0] for n in taken},
            )

    with _silent():
        frozen = tf_loader.from_function(graph, taken, list(outputs))
        try:
            optimized = optimizer.optimize_graph(converted(), catch_errors=False)
        except Exception:
            # Without the pass that failed. Half the time goes into copies of the graph for that.
            optimized = optimizer.optimize_graph(converted(), catch_errors=True)
        model = optimized.make_model(name, graph_name=name)
    inputs = list(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend(each for each in inputs if each.name not in weights)
    for each in inputs:
        if each.name in weights:
            array = weights[each.name].numpy()
            model.graph.initializer.append(numpy_helper.from_array(array, each.name))
    return _folded(model)


def _folded(model):
    """The model with whatever depends on weights alone computed, such as another order of axes."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(pathlib.Path(folder, "model.onnx"))
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return onnx.load(options.optimized_model_filepath)


def halve_weights(model) -> None:
    """Stores the weights of an `onnx.ModelProto` as float16; what is computed stays float32."""
    import onnx
    from onnx import numpy_helper

    casts = []
    for weights in model.graph.initializer:
        if weights.data_type != onnx.TensorProto.FLOAT or np.prod(weights.dims) < _LEAST_WEIGHTS:
            continue
        name, half = weights.name, f"{weights.name}_float16"
        array = numpy_helper.to_array(weights).astype(np.float16)
        weights.CopyFrom(numpy_helper.from_array(array, half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def quantize(
    model,
    target: pathlib.Path,
    persons: Sequence[Mapping[str, np.ndarray]],
    networks: Sequence[str],
) -> None:
    """Writes an `onnx.ModelProto` with the products of its networks computed in 8 bits.

    Args:
        model: the model.
        target: file to write.
        persons: inputs of the model, for the ranges of what it computes.
        networks: names of the networks; what lies outside of them, as the drawing of pose maps,
            keeps its precision, as do their output layers, in which colors may share one range
            with what is far larger.
    """
    from onnxruntime import quantization

    weights = {each.name for each in model.graph.initializer}
    inside = re.compile(rf"(^|/)({'|'.join(networks)})(_\d+)?/")
    nodes = [
        node.name
        for node in model.graph.node
        if node.op_type in _QUANTIZED
        and inside.search(node.name)
        and OUTPUT_LAYER not in node.name
        and weights & set(node.input)
    ]
    with _silent():
        quantization.quantize_static(
            model,
            target,
            cast(Any, _Reader(persons)),
            nodes_to_quantize=nodes,
            per_channel=True,
            # Seven bits of weights: processors without VNNI add two products in 16 bits.
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


class _Reader:
    """Inputs one by one, as a `CalibrationDataReader` of ONNX Runtime."""

    def __init__(self, inputs):
        self._inputs: Iterator = iter(inputs)

    def get_next(self):
        return next(self._inputs, None)


@contextlib.contextmanager
def _silent():
    """Without the notices of converters, which log what they leave as it is as failures."""
    loggers = [logging.getLogger(), logging.getLogger("tf2onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
