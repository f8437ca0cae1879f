"""The tasks of trained networks as functions with typed, named inputs and outputs."""

import dataclasses
import functools
from collections.abc import Callable

import tensorflow as tf

from dpig_tf2.config import STAGES, ModelConfig
from dpig_tf2.models import factory
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.images import to_uint8
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS

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
        function: tensors -> {name: tensor}; its arguments are named as `inputs`.
        purpose: what comes out, one sentence.
        inputs: by name, in the order of the function's arguments.
        networks: names of the networks that it runs.
    """

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
        graph = tf.function(self.function, input_signature=specs, autograph=False)
        return graph.get_concrete_function()


class PersonTasks:
    """A PersonModel as signatures; all preprocessing is inside, randomness comes from a seed.

    Equal to PersonSampler on the same arguments, but without its checks of values: a SavedModel
    refuses only wrong types and shapes.
    """

    def __init__(self, model: PersonModel):
        self.model = model

    def signatures(self) -> tuple[dict[str, Signature], dict[str, str]]:
        """Signatures that the trained networks can run, and why the others cannot run.

        Returns:
            available: {name: Signature}.
            unavailable: {name: reason}.
        """
        available, unavailable = {}, {}
        for name, signature in self._all_signatures().items():
            missing = [n for n in signature.networks if n not in self.model.networks]
            if missing:
                stages = sorted({_stage_of(n, self.model.config) for n in missing})
                unavailable[name] = (
                    f"needs {', '.join(missing)}: not trained (stage {', '.join(stages)})"
                )
            else:
                available[name] = signature
        return available, unavailable

    # ---- tasks

    def transfer(self, images, keypoints, target_keypoints):
        appearance = self.model.encode_appearance(images, keypoints)
        return self.generate(appearance, target_keypoints)

    def reconstruct(self, images, keypoints):
        return self.transfer(images, keypoints, keypoints)

    def encode(self, images, keypoints):
        return self.encode_appearance(images, keypoints) | self.encode_pose(keypoints)

    def encode_appearance(self, images, keypoints):
        return {"appearance": self.model.encode_appearance(images, keypoints)}

    def encode_pose(self, keypoints):
        return {"pose": self.model.encode_pose(keypoints)}

    def decode_pose(self, pose):
        return {"keypoints": self.model.decode_pose(pose)}

    def generate(self, appearance, keypoints):
        return {"images": to_uint8(self.model.generate(appearance, keypoints))}

    def sample(self, count, seed):
        codes = {f: self._sample_code(f, count, seed) for f in self.model.config.factors}
        appearance = self.model.join_appearance(codes)
        return self._person(appearance, self.model.decode_pose(codes["pose"]))

    def sample_factor(self, factor, images, keypoints, seed):
        """One factor from noise for every image, the others held at that image."""
        code = self._sample_code(factor, tf.shape(images)[0], seed)
        appearance = self.model.encode_appearance(images, keypoints)
        if factor == "pose":
            return self._person(appearance, self.model.decode_pose(code))
        parts = self.model.split_appearance(appearance) | {factor: code}
        return self._person(self.model.join_appearance(parts), keypoints)

    def _sample_code(self, factor, count, seed):
        return self.model.map_noise(self.model.draw_noise(count, factor, seed), factor)

    def _person(self, appearance, keypoints):
        codes = {"appearance": appearance, "keypoints": keypoints}
        return self.generate(appearance, keypoints) | codes

    def _all_signatures(self) -> dict[str, Signature]:
        config = self.model.config
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
        table = {
            "reconstruct": Signature(
                self.reconstruct, "The persons in their own poses.", photo, _TRANSFER
            ),
            "transfer": Signature(
                self.transfer,
                "The persons of the images in the target poses.",
                photo | {"target_keypoints": keypoints},
                _TRANSFER,
            ),
            "encode": Signature(
                self.encode,
                "Appearance and pose embeddings of the images.",
                photo,
                (*_ENCODE, "pose_encoder"),
            ),
            "encode_appearance": Signature(
                self.encode_appearance, "Appearance embeddings of the images.", photo, _ENCODE
            ),
            "encode_pose": Signature(
                self.encode_pose,
                "Pose embeddings of keypoints.",
                {"keypoints": keypoints},
                ("pose_encoder",),
            ),
            "decode_pose": Signature(
                self.decode_pose,
                "Keypoints of pose embeddings.",
                {"pose": pose},
                ("pose_decoder",),
            ),
            "generate": Signature(
                self.generate,
                "Persons of the given appearance embeddings in the given poses.",
                {"appearance": appearance, "keypoints": keypoints},
                ("generator",),
            ),
            "sample": Signature(
                self.sample,
                "New persons, every factor from noise, and their codes.",
                {"count": count, "seed": seed},
                (*mappings.values(), "pose_decoder", "generator"),
            ),
        }
        for factor, mapping in mappings.items():
            decoder = ("pose_decoder",) if factor == "pose" else ()
            table[f"sample_{factor}"] = Signature(
                functools.partial(self.sample_factor, factor),
                f"Every person with another {factor} from noise, all else held, and their codes.",
                photo | {"seed": seed},
                (mapping, *decoder, *_TRANSFER),
            )
        return table


def describe(signature: Signature, graph: tf.types.experimental.ConcreteFunction) -> dict:
    """Purpose, inputs and outputs of a traced signature for JSON; "B" stands for the batch."""
    return {
        "purpose": signature.purpose,
        "inputs": {n: _entry(i.spec, i.meaning) for n, i in signature.inputs.items()},
        "outputs": {
            name: _entry(tensor, _OUTPUT_MEANINGS[name])
            for name, tensor in graph.structured_outputs.items()
        },
    }


def _entry(tensor, meaning):
    shape = ["B" if size is None else size for size in tensor.shape]
    return {"dtype": tensor.dtype.name, "shape": shape, "meaning": meaning}


def _stage_of(network, config: ModelConfig):
    return next(stage for stage in STAGES if network in factory.stage_networks(stage, config))
