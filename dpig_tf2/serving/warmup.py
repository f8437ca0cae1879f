"""Requests that TensorFlow Serving sends to a model before its clients may.

The messages are those of TensorFlow Serving's `prediction_log.proto` and what it imports, described
here with the few fields that a warm-up needs: its Python package is not a dependency.
"""

import functools
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from tensorflow.core.framework import tensor_pb2

PLACE = pathlib.Path("assets.extra", "tf_serving_warmup_requests")

# Of our own, so as not to meet those of TensorFlow Serving's package where it is installed; on the
# wire a message has no name.
_PACKAGE = "dpig_tf2.warmup"
_Field = descriptor_pb2.FieldDescriptorProto
# {message: {field: (number, kind)}}
_MESSAGES = {
    "ModelSpec": {"signature_name": (3, "string")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "map")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}


def write(path: str | os.PathLike, requests: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Writes a file of one request for each signature, {signature: {input: array}}."""
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for signature, inputs in requests.items():
            log: Any = _log_class()()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            writer.write(log.SerializeToString())


def read(path: str | os.PathLike) -> dict[str, dict[str, np.ndarray]]:
    """What `write` wrote."""
    found = {}
    records: Iterator[Any] = tf.data.TFRecordDataset(os.fspath(path)).as_numpy_iterator()
    for record in records:
        log: Any = _log_class()()
        log.ParseFromString(record)
        request = log.predict_log.request
        found[request.model_spec.signature_name] = {
            name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()
        }
    return found


@functools.cache
def _log_class():
    file = descriptor_pb2.FileDescriptorProto(
        name="dpig_tf2/warmup.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[tensor_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(message, field, number, kind)
    pool = descriptor_pool.Default()  # where TensorFlow's TensorProto is
    pool.AddSerializedFile(file.SerializeToString())
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog")
    return message_factory.GetMessageClass(found)


def _add(message, field, number, kind):
    added = message.field.add(name=field, number=number, label=_Field.LABEL_OPTIONAL)
    if kind == "string":
        added.type = _Field.TYPE_STRING
        return
    added.type = _Field.TYPE_MESSAGE
    if kind != "map":
        added.type_name = f".{_PACKAGE}.{kind}"
        return
    # A map from strings to tensors is a list of messages that are marked as its entries.
    entry = message.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    _add(entry, "key", 1, "string")
    value = entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL)
    value.type, value.type_name = _Field.TYPE_MESSAGE, ".tensorflow.TensorProto"
    added.label = _Field.LABEL_REPEATED
    added.type_name = f".{_PACKAGE}.{message.name}.InputsEntry"
