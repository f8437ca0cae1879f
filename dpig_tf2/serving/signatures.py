"""The tasks of trained networks as functions with typed, named inputs and outputs."""

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from dpig_tf2.config import STAGES, ModelConfig
from dpig_tf2.models import factory
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.serving import checks, photos

_POSE = (
    "(row, column, visibility) in the order of keypoint_names; pixels{}, origin top left; "
    "visibility 0 or 1; a missing keypoint is (0, 0, 0)"
)
_KEYPOINTS = _POSE.format("")
_PHOTO_KEYPOINTS = _POSE.format(" of the photo as it was given, the target pose's too")
_IMAGES = "RGB in [0, 255], one person filling the frame, of exactly this size"
_FILES = "JPEG or PNG files, RGB, of any size; each is fitted in with gray margins"
_SEED = "the same seed gives the same persons"
_NOISE = "from the normal distribution with mean 0 and standard deviation {}"
_OUTPUT_MEANINGS = {
    "images": "RGB in [0, 255]",
    "image_bytes": "PNG files, RGB, of the model's size",
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

    @property
    def batched(self) -> bool:
        """Whether every input is a list of one entry for each person."""
        return all(each.spec.shape.rank for each in self.inputs.values())

    def trace(
        self,
        rows: int | None = None,
        with_checks: bool = True,
        prefix: str = "",
        weights: Mapping[str, keras.Variable] = types.MappingProxyType({}),
    ) -> tf.types.experimental.ConcreteFunction:
        """The function's graph.

        Args:
            rows: batch size; None for any.
            with_checks: refuse inputs that break a rule; not every format can.
            prefix: of the names of outputs.
            weights: variables whose values become inputs of these names, after the others.
        """
        # Formats name the arguments by their specs.
        specs = [
            tf.TensorSpec(
                [rows if n is None else n for n in each.spec.shape], each.spec.dtype, name
            )
            for name, each in self.inputs.items()
        ]
        specs += [tf.TensorSpec(v.shape, v.dtype, name) for name, v in weights.items()]

        def call(*tensors):
            given = dict(zip(self.inputs, tensors, strict=False))
            values = zip(weights.values(), tensors[len(given) :], strict=True)
            with keras.StatelessScope(list(values)):
                outputs = self.function(**(self._checked(given) if with_checks else given))
            return {prefix + name: tensor for name, tensor in outputs.items()}

        return tf.function(call, input_signature=specs, autograph=False).get_concrete_function()

    def _checked(self, given):
        shapes = {name: each.spec.shape for name, each in self.inputs.items()}
        # Whose appearance is encoded must be seen.
        need_visible = ("keypoints",) if {"images", "image_bytes"} & given.keys() else ()
        return checks.checked(self.model, given, shapes, need_visible)


def available_signatures(
    model: PersonModel, portable: bool = False
) -> tuple[dict[str, Signature], dict[str, str]]:
    """Signatures that the trained networks can run, and why the others cannot run.

    All preprocessing is inside. Equal to PersonSampler on the same arguments, and with its checks,
    see `serving.checks`.

    Args:
        model: the networks.
        portable: for formats that know neither seeds nor files: noise is an input.

    Returns:
        available: {name: Signature}.
        unavailable: {name: reason}.
    """
    available, unavailable = {}, {}
    for name, signature in _all_signatures(model, portable).items():
        missing = [n for n in signature.networks if n not in model.networks]
        if missing:
            stages = sorted({_stage_of(n, model.config) for n in missing})
            unavailable[name] = (
                f"needs {', '.join(missing)}: not trained (stage {', '.join(stages)})"
            )
        else:
            available[name] = signature
    return available, unavailable


def _all_signatures(model: PersonModel, portable: bool) -> dict[str, Signature]:
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
    noise = {
        f"{factor}_noise": Input(
            tf.TensorSpec([None, config.embedding_size(factor)]), _NOISE.format(config.noise_scale)
        )
        for factor in config.factors
    }
    photo = {"images": images, "keypoints": keypoints}
    mappings = {factor: f"{factor}_mapping" for factor in config.factors}

    signature = functools.partial(Signature, config)

    def encode_appearance(images, keypoints):
        return {"appearance": model.encode_appearance(images, keypoints)}

    def encode_pose(keypoints):
        return {"pose": model.encode_pose(keypoints)}

    def sample(**noise):
        return model.draw({}, {name.removesuffix("_noise"): rows for name, rows in noise.items()})

    def sample_factor(factor, images, keypoints, **noise):
        return model.replace_factor(factor, images, keypoints, noise[f"{factor}_noise"])

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
            sample if portable else model.sample,
            "New persons, every factor from noise, and their codes.",
            noise if portable else {"count": count, "seed": seed},
            (*mappings.values(), "pose_decoder", "generator"),
        ),
    }
    for factor, mapping in mappings.items():
        decoder = ("pose_decoder",) if factor == "pose" else ()
        name = f"{factor}_noise"
        table[f"sample_{factor}"] = signature(
            functools.partial(sample_factor if portable else model.sample_factor, factor),
            f"Every person with another {factor} from noise, all else held, and their codes.",
            photo | ({name: noise[name]} if portable else {"seed": seed}),
            (mapping, *decoder, *_TRANSFER),
        )
    if not portable:
        for name in ("reconstruct", "transfer", "encode_appearance"):
            table[f"{name}_encoded"] = _of_files(table[name])
    return table


def _of_files(signature: Signature) -> Signature:
    """A signature that takes its photos as files, and gives its pictures as such."""
    model = signature.model
    inputs = {
        "image_bytes": Input(tf.TensorSpec([None], tf.string), _FILES),
        **{
            name: dataclasses.replace(each, meaning=_PHOTO_KEYPOINTS)
            for name, each in signature.inputs.items()
            if name != "images"
        },
    }

    def function(image_bytes, **keypoints):
        images, scale, offset = photos.letterbox(image_bytes, model.height, model.width)
        moved = {name: photos.move(each, scale, offset) for name, each in keypoints.items()}
        moved = checks.within_reach(model, moved)
        outputs = signature.function(images, **moved)
        if "images" in outputs:
            outputs["image_bytes"] = photos.encode(outputs.pop("images"))
        return outputs

    return dataclasses.replace(signature, function=function, inputs=inputs)


def describe(signature: Signature, graph: Any, prefix: str = "") -> dict:
    """Purpose, inputs and outputs of a graph of `Signature.trace` for JSON; "B" is any batch."""
    given = {tensor.name.partition(":")[0]: tensor for tensor in graph.inputs}
    outputs = graph.structured_outputs
    return {
        "purpose": signature.purpose,
        "inputs": {n: _entry(given[n], n, i.meaning) for n, i in signature.inputs.items()},
        "outputs": {
            name.removeprefix(prefix): _entry(
                tensor, name, _OUTPUT_MEANINGS[name.removeprefix(prefix)]
            )
            for name, tensor in outputs.items()
        },
    }


def _entry(tensor, name, meaning):
    shape = ["B" if size is None else size for size in tensor.shape]
    return {"tensor": name, "dtype": tensor.dtype.name, "shape": shape, "meaning": meaning}


def _stage_of(network, config: ModelConfig):
    return next(stage for stage in STAGES if network in factory.stage_networks(stage, config))
