"""PersonModel's functions compiled, on NumPy arrays of any length."""

import functools

import numpy as np
import tensorflow as tf

from dpig_tf2.models.person_model import PersonModel


class CompiledModel:
    """Runs functions of a PersonModel as graphs, over chunks of the arrays' first axis.

    Args:
        model: the networks.
        batch_size: rows per chunk.
    """

    def __init__(self, model: PersonModel, batch_size: int):
        self._model, self._batch_size = model, batch_size
        self._graphs: dict[tuple, tf.types.experimental.PolymorphicFunction] = {}

    def __call__(self, verb: str, arrays: dict, **fixed):
        """What `verb` gives, NumPy arrays nested as there.

        Args:
            verb: name of a PersonModel function.
            arrays: its arguments of one length; may be nested.
            fixed: its other arguments, traced into the graph.
        """
        graph = self._graph(verb, arrays, fixed)
        count, size = len(tf.nest.flatten(arrays)[0]), self._batch_size
        chunks = [
            graph(tf.nest.map_structure(lambda array, i=i: array[i : i + size], arrays))
            for i in range(0, count, size)
        ]
        return tf.nest.map_structure(lambda *found: np.concatenate(found), *chunks)

    def forget(self) -> None:
        """Traces every graph anew, as after the networks were frozen."""
        self._graphs.clear()

    def _graph(self, verb, arrays, fixed):
        """The graph for any number of rows; traced once for each kind of arguments."""
        specs = tf.nest.map_structure(
            lambda array: tf.TensorSpec([None, *array.shape[1:]], array.dtype), arrays
        )
        key = (verb, str(specs), *fixed.values())
        if key not in self._graphs:
            # A partial for each graph: TensorFlow would take functions of one code for one function
            # that is traced again and again, and warn. Without autograph, which would wrap our
            # errors in its own.
            call = functools.partial(getattr(self._model, verb), **fixed)
            self._graphs[key] = tf.function(
                functools.partial(_with_keywords, call), input_signature=[specs], autograph=False
            )
        return self._graphs[key]


def _with_keywords(call, tensors):
    return call(**tensors)
