"""PersonModel's functions compiled, on NumPy arrays of any length."""

import functools

import numpy as np
import tensorflow as tf

from dpig_tf2.models.person_model import PersonModel

# A graph takes longer to trace than these take to compute some rows without one. Not the small
# networks: their numbers are to be the same bits each time, and without a graph differ by rounding.
_MAY_BE_EAGER = {"encode_appearance", "generate", "pictures", "transfer", "draw"}


class CompiledModel:
    """Runs functions of a PersonModel as graphs, over chunks of the arrays' first axis.

    Args:
        model: the networks.
        batch_size: rows per chunk.
        eager_at_first: compute photos and pictures without a graph until there is a second chunk.
    """

    def __init__(self, model: PersonModel, batch_size: int, eager_at_first: bool = False):
        self._model, self._batch_size = model, batch_size
        self._eager = _MAY_BE_EAGER if eager_at_first else set()
        self._graphs: dict[tuple, tf.types.experimental.PolymorphicFunction] = {}
        self._known: set[tuple] = set()  # kinds of arguments that were computed before

    def __call__(self, verb: str, arrays: dict, **fixed):
        """What `verb` gives, NumPy arrays nested as there.

        Args:
            verb: name of a PersonModel function.
            arrays: its arguments of one length; may be nested.
            fixed: its other arguments, traced into the graph.
        """
        count, size = len(tf.nest.flatten(arrays)[0]), self._batch_size
        compute = self._function(verb, arrays, fixed, once=count <= size)
        chunks = [
            compute(tf.nest.map_structure(lambda array, i=i: array[i : i + size], arrays))
            for i in range(0, count, size)
        ]
        return tf.nest.map_structure(lambda *found: np.concatenate(found), *chunks)

    def forget(self) -> None:
        """Traces every graph anew, as after the networks were frozen."""
        self._graphs.clear()

    def _function(self, verb, arrays, fixed, once):
        """A function of the arrays: the graph for any number of rows, traced once for each kind."""
        specs = tf.nest.map_structure(
            lambda array: tf.TensorSpec([None, *array.shape[1:]], array.dtype), arrays
        )
        key = (verb, str(specs), *fixed.values())
        # A partial for each kind: TensorFlow would take functions of one code for one function
        # that is traced again and again, and warn.
        call = functools.partial(_with_keywords, getattr(self._model, verb), fixed)
        if once and verb in self._eager and key not in self._known:
            self._known.add(key)
            return call
        if key not in self._graphs:
            # Without autograph, which would wrap our errors in its own.
            self._graphs[key] = tf.function(call, input_signature=[specs], autograph=False)
        return self._graphs[key]


def _with_keywords(function, fixed, tensors):
    return function(**tensors, **fixed)
