"""Floating-point operations of a compiled function: its products, counted from the graph."""

import math
from collections.abc import Iterable

import tensorflow as tf

_PRODUCTS = ("MatMul", "BatchMatMulV2")
_LOOPS = ("While", "StatelessWhile")
_LIMIT = 1  # input of a loop: the most rounds, negative where only its condition ends it


def count(function, *arguments) -> int | None:
    """Operations of one call: two for each multiplication of convolutions, products and einsums.

    What else there is (activations, sums, optimizers) is memory traffic rather than arithmetic.

    Args:
        function: a `tf.function`.
        arguments: as the call's; the batch size must be known.

    Returns:
        the number, in loops for their most rounds; None if a loop with products does not tell them.
    """
    return _of_graph(function.get_concrete_function(*arguments).graph)


def total(counts: Iterable[int | None]) -> int | None:
    """The sum of what `count` gives; None if one of them is."""
    found = list(counts)
    return None if None in found else sum(n for n in found if n is not None)


def _of_graph(graph):
    return total(_operations(operation) for operation in _needed(graph))


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
    if kind in _LOOPS:
        once, rounds = _of_graph(_function(operation, "body")), _rounds(operation)
        if once == 0:
            return 0
        return None if once is None or rounds is None else once * rounds
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


def _function(operation, name):
    return operation.graph._get_function(operation.get_attr(name).name).graph


def _rounds(loop):
    """How often a loop's body runs at most; None if the graph does not say."""
    limit = tf.get_static_value(loop.inputs[_LIMIT])
    if limit is not None and limit >= 0:
        return int(limit)
    condition, body = _function(loop, "cond"), _function(loop, "body")
    test = _origin(condition.outputs[0]).op
    names = [tensor.name for tensor in condition.inputs]
    if test.type != "Less" or test.inputs[0].name not in names:
        return None
    place = names.index(test.inputs[0].name)
    step = _origin(body.outputs[place]).op
    if step.type != "AddV2" or step.inputs[0].name != body.inputs[place].name:
        return None
    first = _value(loop.inputs[place])
    last, by = (_kept_value(loop, *each) for each in ((condition, test), (body, step)))
    if first is None or last is None or by is None or by <= 0:
        return None
    return max(0, math.ceil((last - first) / by))


def _origin(tensor):
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _kept_value(loop, graph, operation):
    """The second input of an operation in a loop, if it is the same number in every round."""
    tensor, body = operation.inputs[1], _function(loop, "body")
    for outer, inner, before, after in zip(
        loop.inputs, graph.inputs, body.inputs, body.outputs, strict=True
    ):
        if inner.name == tensor.name:
            return _value(outer) if _origin(after).name == before.name else None
    return _value(tensor)


def _value(tensor):
    if tensor.op.type in _LOOPS and tensor.value_index == 0:  # a loop's first output is its rounds
        return _rounds(tensor.op)
    return tf.get_static_value(tensor)


def _einsum_operations(operation):
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        sizes |= dict(zip(term, tensor.shape, strict=True))
    return 2 * math.prod(sizes.values())
