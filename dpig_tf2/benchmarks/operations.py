"""Floating-point operations of a compiled function: its products, counted from the graph."""

import math

_PRODUCTS = ("MatMul", "BatchMatMulV2")


def count(function, *arguments) -> int:
    """Operations of one call: two for each multiplication of convolutions, products and einsums.

    What else there is (activations, sums, optimizers) is memory traffic rather than arithmetic.

    Args:
        function: a `tf.function`.
        arguments: as the call's; the batch size must be known.
    """
    graph = function.get_concrete_function(*arguments).graph
    return sum(_operations(operation) for operation in _needed(graph))


def _needed(graph):
    """The operations that results or side effects need; TensorFlow drops the others."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed = set()
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
            waiting += operation.control_inputs
    return needed


def _operations(operation):
    kind = operation.type
    if kind == "Conv2D":
        *_, inputs, _ = operation.inputs[1].shape
        rows, columns = operation.inputs[1].shape[:2]
        return 2 * math.prod(operation.outputs[0].shape) * rows * columns * inputs
    if kind == "Conv2DBackpropInput":
        rows, columns, inputs, _ = operation.inputs[1].shape
        return 2 * math.prod(operation.inputs[2].shape) * rows * columns * inputs
    if kind == "Conv2DBackpropFilter":
        rows, columns, inputs, _ = operation.outputs[0].shape
        return 2 * math.prod(operation.inputs[2].shape) * rows * columns * inputs
    if kind in _PRODUCTS:
        transposed = operation.get_attr("transpose_a" if kind == "MatMul" else "adj_x")
        summed = operation.inputs[0].shape[-2 if transposed else -1]
        return 2 * math.prod(operation.outputs[0].shape) * summed
    if kind == "Einsum":
        return _einsum_operations(operation)
    return 0


def _einsum_operations(operation):
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        sizes |= dict(zip(term, tensor.shape, strict=True))
    return 2 * math.prod(sizes.values())
