"""The released code's numbers, and the released checkpoints that they were computed from."""

import functools
import importlib.util
import pathlib

import numpy as np
import tensorflow as tf

from dpig_tf2.config import preset
from dpig_tf2.execution import Execution
from dpig_tf2.legacy_tf1 import importer, variable_map
from dpig_tf2.legacy_tf1.checkpoint import Checkpoint, read
from dpig_tf2.models import factory, weights
from dpig_tf2.training import trainers

STAGES = {
    "m1": "reconstruction",
    "m2": "pose",
    "m3": "appearance_mapping",
    "m4": "pose_mapping",
    "m101": "reconstruction",
    "m102": "pose",
    "m103": "appearance_mapping",
    "m104": "pose_mapping",
}


class Reference:
    """Checkpoints by the reference's model names, written on demand into a folder of the tests."""

    def __init__(self, shared_dir: pathlib.Path, folder: pathlib.Path):
        self.fixtures = shared_dir / "fixtures" / "tf1"
        self.folder = folder
        path = self.fixtures / "make_checkpoints.py"
        spec = importlib.util.spec_from_file_location("make_checkpoints", path)
        self._maker = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._maker)

    @functools.lru_cache  # noqa: B019 one instance per test module
    def prefix(self, model: str) -> str:
        return self._maker.write(model, str(self.folder))

    @functools.lru_cache  # noqa: B019
    def checkpoint(self, model: str) -> Checkpoint:
        return read(self.prefix(model))

    @functools.lru_cache  # noqa: B019
    def numbers(self, model: str, kind: str) -> dict[str, np.ndarray]:
        """{name: array}; kind "io" or "traj"."""
        with np.load(self.fixtures / f"{model}_{kind}.npz") as file:
            return {name: file[name] for name in file.files}

    def write(self, name: str, tensors: dict[str, np.ndarray]) -> str:
        """Saves {name: array} as a checkpoint of the released code's format; returns its prefix."""
        prefix = str(self.folder / name)
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(value) for value in tensors.values()],
        )
        return prefix

    def config(self, model: str, **overrides):
        """The preset with the sizes of a model's checkpoint."""
        base = preset("deepfashion" if len(model) > 2 else "market1501")
        config = importer.infer_sizes(base, {STAGES[model]: self.checkpoint(model)})
        return config.override(**overrides)

    @functools.lru_cache  # noqa: B019
    def network(self, model: str, name: str, execution=Execution()):
        """A network of a model's sizes; its values are whatever the last caller assigned."""
        return factory.build_network(name, self.config(model).model, execution)

    def loaded_network(self, model: str, name: str, tensors=None, execution=Execution()):
        """The network with the checkpoint's values, or with those of another {name: array}."""
        network = self.network(model, name, execution)
        tensors = tensors or self.checkpoint(model).tensors
        table = variable_map.network_table(name, self.config(model).model)
        weights.assign(network.variables, {p: tensors[s] for s, p in table.items()}, model)
        return network

    @functools.lru_cache  # noqa: B019
    def new_trainer(self, model: str):
        """A trainer of a model's sizes in its initial state; not to be changed."""
        return trainers.build_trainer(STAGES[model], self.config(model))

    def trainer(self, model: str, **overrides):
        """A trainer in the state of the model's checkpoint."""
        stage, checkpoint = STAGES[model], self.checkpoint(model)
        imported = importer.import_stage(checkpoint, self.new_trainer(model))
        rates = {f"{stage}.{name}": rate for name, rate in imported.rates.items()}
        trainer = trainers.build_trainer(stage, self.config(model, **rates, **overrides))
        weights.assign(trainer.state_variables(), imported.arrays, self.prefix(model))
        return trainer

    def source_names(self, model: str) -> dict[str, str]:
        """{path of our variable: name in the checkpoint}."""
        table = variable_map.stage_table(STAGES[model], self.config(model).model)
        return {target: source for source, target in table.items()}


def person(numbers, prefix: str = "in/", suffix: str = "_0", index=()) -> dict:
    """What the trainers take of one person: image, keypoints, mask, boxes and visibility."""

    def field(name):
        return numbers[f"{prefix}{name}{suffix}"][index]

    keypoints = field("pose_rcv")
    return {
        "image": field("image_raw"),
        "keypoints": keypoints.reshape(*keypoints.shape[:-1], 18, 3),
        "body_mask": field("mask_r6"),  # the name says 6, the radius is 7
        "part_boxes": field("part_bbox")[..., :7, :].astype(np.float32),
        "part_visibility": field("part_vis")[..., :7].astype(np.float32),
    }


def deviation(found, expected) -> float:
    """Largest absolute difference, as a share of the largest expected magnitude."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape, f"shape {found.shape}, expected {expected.shape}"
    return float(np.max(np.abs(found - expected)) / np.max(np.abs(expected)))
