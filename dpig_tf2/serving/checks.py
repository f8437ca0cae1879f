"""What a SavedModel demands of its inputs, checked in its graph; the rules are PersonSampler's.

Every function returns its tensor, to be used in its place: what is computed from it waits for the
check. XLA leaves such checks out: a client that compiles a signature checks its inputs itself.
"""

from collections.abc import Mapping

import tensorflow as tf

from dpig_tf2.config import ModelConfig
from dpig_tf2.models.person_model import LARGEST_VALUE
from dpig_tf2.ops import keypoints as keypoint_ops
from dpig_tf2.serving import photos


def checked(
    model: ModelConfig,
    inputs: Mapping[str, tf.Tensor],
    shapes: Mapping[str, tf.TensorShape],
    need_visible: tuple[str, ...] = (),
) -> dict[str, tf.Tensor]:
    """The inputs of a signature, of which any that break a rule end the call with its name.

    Args:
        model: gives the image size.
        inputs: by name; those of a batch must have one number of rows.
        shapes: by name; TensorFlow lets other sizes of an axis into a loaded signature.
        need_visible: names of the keypoints of which each person needs a visible one.
    """
    inputs = {name: tf.ensure_shape(inputs[name], shapes[name], name=name) for name in inputs}
    checks = [*_rows(inputs)]
    for name, values in inputs.items():
        if name == "count":
            checks.append(_require(values >= 1, f"{name}: must be at least 1, got", values))
        elif name.endswith("bytes"):
            text = f"{name}: must be JPEG or PNG files"
            checks.append(_require(tf.reduce_all(photos.are_files(values)), text))
        elif name.endswith("keypoints"):
            checks += _keypoints(name, values, name in need_visible)
            if "image_bytes" not in inputs:  # their pixels are the model's
                checks.append(_near(model, name, values))
        elif values.dtype.is_floating:
            checks += _numbers(name, values)
    with tf.control_dependencies(checks):
        return {name: tf.identity(values) for name, values in inputs.items()}


def within_reach(model: ModelConfig, keypoints: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Keypoints in the model's pixels, of which one far outside of the image ends the call."""
    checks = [_near(model, name, values) for name, values in keypoints.items()]
    with tf.control_dependencies(checks):
        return {name: tf.identity(values) for name, values in keypoints.items()}


def _rows(inputs):
    """One number of rows for all, at least 1."""
    batches = {name: tf.shape(values)[0] for name, values in inputs.items() if values.shape.rank}
    for name, rows in batches.items():
        yield _require(rows >= 1, f"{name}: must have at least one row, got", rows)
        first = next(iter(batches))
        if name != first:
            text = f"{name}: must have as many rows as {first}, got"
            yield _require(tf.equal(rows, batches[first]), text, rows, "and", batches[first])


def _near(model, name, values):
    far = keypoint_ops.is_far_outside(values, model.height, model.width)
    text = f"{name}: a coordinate is far outside the image of {model.height} x {model.width} pixels"
    return _require(~tf.reduce_any(far), text)


def _keypoints(name, values, need_visible):
    yield from _numbers(name, values)
    seen = values[..., 2]
    flags = tf.reduce_all(tf.equal(seen, 0.0) | tf.equal(seen, 1.0))
    yield _require(flags, f"{name}: visibility must be 0 or 1")
    if need_visible:
        found = tf.reduce_all(tf.reduce_any(tf.equal(seen, 1.0), axis=1))
        yield _require(found, f"{name}: each person must have at least one visible keypoint")


def _numbers(name, values):
    finite = tf.math.is_finite(values)
    yield _require(tf.reduce_all(finite), f"{name}: holds NaN or infinite values")
    within = ~tf.reduce_any(finite & (tf.abs(values) > LARGEST_VALUE))
    yield _require(within, f"{name}: holds values beyond {LARGEST_VALUE:g}")


def _require(condition, *data):
    return tf.debugging.Assert(condition, [*data])
