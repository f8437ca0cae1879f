"""Inputs for signatures from real or synthetic persons, and what an export makes of them."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import tensorflow as tf

from dpig_tf2 import synthetic
from dpig_tf2.config import ModelConfig
from dpig_tf2.io.images import encode_png
from dpig_tf2.ops import images as image_ops
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.serving.formats import ExportError
from dpig_tf2.serving.signatures import Signature

PERSONS = 8  # that an export is verified on
CALIBRATION_PERSONS = 32  # that the ranges of int8 are found on
# What float32 may differ by: levels of pictures, and of codes by their largest number.
MOST_LEVELS, MOST_OF_CODES = 1, 1e-3
_FIRST_IDENTITY = 9001  # of the persons drawn here
_PICTURES = ("images", "image_bytes")


def synthetic_persons(model: ModelConfig, count: int, skip: int = 0) -> dict[str, np.ndarray]:
    """Images and keypoints of synthetic persons, each of another identity.

    Args:
        model: gives the image size.
        count: how many.
        skip: leave out so many first.
    """
    size = model.height, model.width
    made = synthetic.make_images(0, count, 1, _FIRST_IDENTITY + skip)
    images = [synthetic.render(m.foreground, m.background, m.pose, *size) for m in made]
    keypoints = [synthetic.pose_keypoints(m.pose, *size) for m in made]
    return {"images": np.stack(images), "keypoints": np.stack(keypoints).astype(np.float32)}


def recorded_persons(records: RecordSet, model: ModelConfig, count: int) -> dict[str, np.ndarray]:
    """Images and keypoints of the first distinct source photos that show a visible keypoint.

    Args:
        records: of the persons.
        model: its image size is that of the records.
        count: how many at most.

    Returns:
        images uint8 [N, H, W, 3] and keypoints float32 [N, 18, 3] in pixels, N up to `count`.

    Raises:
        ExportError: if no source has a visible keypoint.
    """
    found = {}  # by the picture, of which pairs have several; its name is absent in older records
    for batch in evaluation_batches(records, model, count).as_numpy_iterator():
        person = batch["source"]
        for image, keypoints in zip(person["image"], person["keypoints"], strict=True):
            if keypoints[:, 2].any() and len(found) < count:
                found.setdefault(image.tobytes(), (image, keypoints))
        if len(found) == count:
            break
    if not found:
        message = f"{records.paths[0]}: not one person has a visible keypoint"
        raise ExportError(message, file=records.paths[0])
    images, keypoints = zip(*found.values(), strict=True)
    return {"images": np.stack(images), "keypoints": np.stack(keypoints)}


def inputs_of(
    signature: Signature, sampler: PersonSampler, persons: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What a signature takes, of these persons; target poses are those of the next person."""
    networks = sampler.model.networks
    images, keypoints = persons["images"], persons["keypoints"]
    count = len(images)

    def value(name):
        factor, _, kind = name.rpartition("_")
        if kind == "noise":
            return sampler.draw_noise(count, factor)
        if name == "appearance" and "appearance_encoder" in networks:
            return sampler.encode_appearance(images, keypoints)
        if name == "pose" and "pose_encoder" in networks:
            return sampler.encode_pose(keypoints)
        if name in ("appearance", "pose"):  # its encoder is absent: any code will do
            length = sampler.config.model.embedding_size("pose")
            if name == "appearance":
                length = sampler.config.model.appearance_embedding
            return np.random.default_rng(0).normal(size=(count, length)).astype(np.float32)
        return {
            "images": images,
            "image_bytes": np.array([encode_png(image) for image in images], object),
            "keypoints": keypoints,
            "target_keypoints": np.roll(keypoints, -1, axis=0),
            "count": np.int32(count),
            "seed": np.int32(0),
        }[name]

    return {name: value(name) for name in signature.inputs}


def differences(
    signature: Signature,
    sampler: PersonSampler,
    run: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
    persons: Mapping[str, np.ndarray],
) -> dict[str, dict[str, float]]:
    """How far an exported signature is from the sampler.

    A picture of a pose that was itself computed is compared to what the sampler draws for the same
    codes: the last digit of a coordinate may move a keypoint by a pixel.

    Args:
        signature: by the sampler's networks.
        sampler: what is compared to.
        run: the exported signature.
        persons: as `synthetic_persons` gives them.

    Returns:
        {output: {"mean": ..., "max": ..., "allowed": ...}}: of pictures in levels of 255, of others
        in its numbers; "allowed" is what rounding in float32 explains.
    """
    inputs = inputs_of(signature, sampler, persons)
    found = dict(run(inputs))
    expected = _computed(signature, inputs)
    if {"images", "appearance", "keypoints"} <= found.keys():
        expected["images"] = sampler.generate(found["appearance"], found["keypoints"])
    result = {}
    for name, array in expected.items():
        numbers = _numbers(name, array)
        apart = np.abs(_numbers(name, found[name]) - numbers)
        allowed = MOST_OF_CODES * max(1.0, float(np.abs(numbers).max()))
        if name in _PICTURES:
            allowed = MOST_LEVELS
        result[name] = {"mean": float(apart.mean()), "max": float(apart.max()), "allowed": allowed}
    return result


def largest(found: Iterable[Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Mean and largest difference in levels of all pictures of several `differences`."""
    pictures = [each[name] for each in found for name in _PICTURES if name in each]
    if not pictures:
        return {}
    return {
        "mean": float(np.mean([each["mean"] for each in pictures])),
        "max": max(each["max"] for each in pictures),
    }


def _computed(signature, inputs):
    graph = signature.trace(with_checks=False)
    found = graph(*(tf.constant(inputs[name]) for name in signature.inputs))
    return {name: tensor.numpy() for name, tensor in found.items()}


def _numbers(name, array):
    if name == "image_bytes":
        array = np.stack([image_ops.decode_image(each).numpy() for each in array])
    return array.astype(np.float64)
