"""The tasks of trained networks as functions with typed, named inputs and outputs."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast

import tensorflow as tf

from dpig_tf2.config import STAGES, ModelConfig
from dpig_tf2.models import factory
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.serving import checks

_KEYPOINTS = (
    "(row, column, visibility) in the order of keypoint_names; pixels, origin top left; "
    "visibility 0 or 1; a missing keypoint is (0, 0, 0)"
)
_IMAGES = "RGB in [0, 255], one person filling the frame, of exactly this size"
_SEED = "the same seed gives the same persons"
_OUTPUT_MEANINGS = {
    "images": "RGB in [0, 255]",
    "appearance": "appearance embedding, unbounded; see appearance_layout",
    "pose": "pose embedding, unbounded",
    "keypoints": "(row, column, visibility) in the order of keypoint_names; pixels, clamped to the "
    "image, not rounded; visibility 0 or 1; coordinates where it is 0 mean nothing",
}
_ENCODE = ("appearance_encoder",)
_TRANSFER = ("appearance_encoder", "generator")


@dataclasses.dataclass(frozen=True)
class Input:
    """One typed input of a signature; a size of None in its shape is the batch."""

    spec: tf.TensorSpec
    meaning: str


@dataclasses.dataclass(frozen=True)
class Signature:
    """One callable task.

    Attributes:
        model: gives the image size, by which inputs are checked.
        function: tensors -> {name: tensor}; its arguments are named as `inputs`.
        purpose: what comes out, one sentence.
        inputs: by name, in the order of the function's arguments.
        networks: names of the networks that it runs.
    """

    model: ModelConfig
    function: Callable[..., dict[str, tf.Tensor]]
    purpose: str
    inputs: dict[str, Input]
    networks: tuple[str, ...]

    def trace(self) -> tf.types.experimental.ConcreteFunction:
        """The function's graph for any batch size."""
        # SavedModel names the arguments by their specs.
        specs = [
            tf.TensorSpec(each.spec.shape, each.spec.dtype, name)
            for name, each in self.inputs.items()
        ]
        shapes = {name: each.spec.shape for name, each in self.inputs.items()}
        # Whose appearance is encoded must be seen.
        need_visible = ("keypoints",) if "images" in self.inputs else ()

        def checked_function(*tensors):
            given = dict(zip(shapes, tensors, strict=True))
            return self.function(**checks.checked(self.model, given, shapes, need_visible))

        graph = tf.function(checked_function, input_signature=specs, autograph=False)
        return graph.get_concrete_function()


def available_signatures(model: PersonModel) -> tuple[dict[str, Signature], dict[str, str]]:
    """Signatures that the trained networks can run, and why the others cannot run.

    All preprocessing is inside, randomness comes from a seed. Equal to PersonSampler on the same
    arguments, and with its checks, see `serving.checks`.

    Returns:
        available: {name: Signature}.
        unavailable: {name: reason}.
    """
    available, unavailable = {}, {}
    for name, signature in _all_signatures(model).items():
        missing = [n for n in signature.networks if n not in model.networks]
        if missing:
            stages = sorted({_stage_of(n, model.config) for n in missing})
            unavailable[name] = (
                f"needs {', '.join(missing)}: not trained (stage {', '.join(stages)})"
            )
        else:
            available[name] = signature
    return available, unavailable


def _all_signatures(model: PersonModel) -> dict[str, Signature]:
    config = model.config
    image_shape = [None, config.height, config.width, 3]
    images = Input(tf.TensorSpec(image_shape, tf.uint8), _IMAGES)
    keypoints = Input(tf.TensorSpec([None, NUM_KEYPOINTS, 3]), _KEYPOINTS)
    appearance = Input(
        tf.TensorSpec([None, config.appearance_embedding]), _OUTPUT_MEANINGS["appearance"]
    )
    pose = Input(tf.TensorSpec([None, config.pose_embedding]), _OUTPUT_MEANINGS["pose"])
    count = Input(tf.TensorSpec([], tf.int32), "number of persons, at least 1")
    seed = Input(tf.TensorSpec([], tf.int32), _SEED)
    photo = {"images": images, "keypoints": keypoints}
    mappings = {factor: f"{factor}_mapping" for factor in config.factors}

    signature = functools.partial(Signature, config)

    def encode_appearance(images, keypoints):
        return {"appearance": model.encode_appearance(images, keypoints)}

    def encode_pose(keypoints):
        return {"pose": model.encode_pose(keypoints)}

    table = {
        "reconstruct": signature(
            lambda images, keypoints: {"images": model.transfer(images, keypoints, keypoints)},
            "The persons in their own poses.",
            photo,
            _TRANSFER,
        ),
        "transfer": signature(
            lambda images, keypoints, target_keypoints: {
                "images": model.transfer(images, keypoints, target_keypoints)
            },
            "The persons of the images in the target poses.",
            photo | {"target_keypoints": keypoints},
            _TRANSFER,
        ),
        "encode": signature(
            lambda images, keypoints: encode_appearance(images, keypoints) | encode_pose(keypoints),
            "Appearance and pose embeddings of the images.",
            photo,
            (*_ENCODE, "pose_encoder"),
        ),
        "encode_appearance": signature(
            encode_appearance, "Appearance embeddings of the images.", photo, _ENCODE
        ),
        "encode_pose": signature(
            encode_pose,
            "Pose embeddings of keypoints.",
            {"keypoints": keypoints},
            ("pose_encoder",),
        ),
        "decode_pose": signature(
            lambda pose: {"keypoints": model.decode_pose(pose)},
            "Keypoints of pose embeddings.",
            {"pose": pose},
            ("pose_decoder",),
        ),
        "generate": signature(
            lambda appearance, keypoints: {"images": model.pictures(appearance, keypoints)},
            "Persons of the given appearance embeddings in the given poses.",
            {"appearance": appearance, "keypoints": keypoints},
            ("generator",),
        ),
        "sample": signature(
            model.sample,
            "New persons, every factor from noise, and their codes.",
            {"count": count, "seed": seed},
            (*mappings.values(), "pose_decoder", "generator"),
        ),
    }
    for factor, mapping in mappings.items():
        decoder = ("pose_decoder",) if factor == "pose" else ()
        table[f"sample_{factor}"] = signature(
            lambda images, keypoints, seed, factor=factor: model.sample_factor(
                factor, images, keypoints, seed
            ),
            f"Every person with another {factor} from noise, all else held, and their codes.",
            photo | {"seed": seed},
            (mapping, *decoder, *_TRANSFER),
        )
    return table


def describe(signature: Signature, graph: tf.types.experimental.ConcreteFunction) -> dict:
    """Purpose, inputs and outputs of a traced signature for JSON; "B" stands for the batch."""
    outputs = cast(Any, graph).structured_outputs  # which TensorFlow's stubs do not know
    return {
        "purpose": signature.purpose,
        "inputs": {n: _entry(i.spec, i.meaning) for n, i in signature.inputs.items()},
        "outputs": {
            name: _entry(tensor, _OUTPUT_MEANINGS[name]) for name, tensor in outputs.items()
        },
    }


def _entry(tensor, meaning):
    shape = ["B" if size is None else size for size in tensor.shape]
    return {"dtype": tensor.dtype.name, "shape": shape, "meaning": meaning}


def _stage_of(network, config: ModelConfig):
    return next(stage for stage in STAGES if network in factory.stage_networks(stage, config))
