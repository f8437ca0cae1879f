"""What is measured: each case does one piece of work in several ways, in turns."""

import dataclasses
import functools
from collections.abc import Callable, Iterable

import tensorflow as tf

from dpig_tf2 import testing
from dpig_tf2.benchmarks import operations, reference
from dpig_tf2.benchmarks.measure import REFERENCE, Result, Way, compare, wait_for
from dpig_tf2.config import SCENE_CELL, Config
from dpig_tf2.execution import Execution
from dpig_tf2.models import factory
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops import convolution_speed, regions
from dpig_tf2.ops import pose_maps as pose_map_ops
from dpig_tf2.pipeline.batches import CACHES, training_batches
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.training.mapping import MappingTrainer
from dpig_tf2.training.reconstruction import ReconstructionTrainer
from dpig_tf2.training.trainers import build_trainer

FAST, AUTO = "fast", "auto"


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        config: sizes; the batch size of the case's stage is used.
        precisions: of the fast ways, each one of `config.PRECISIONS`; the reference is float32.
        runs: how often everything is done.
    """

    config: Config
    precisions: tuple[str, ...] = ("float32",)
    runs: int = 5

    def measure(self, what: str, batch: int, ways: dict[str, Way], **options) -> list[Result]:
        """`measure.compare` with these settings, on this machine's device."""
        return compare(what, self.config, batch, device(), ways, self.runs, **options)

    def fast_ways(self, build: Callable[[str], Way], name: str = FAST) -> dict[str, Way]:
        """{name: way} of every precision."""
        return {f"{name} {precision}": build(precision) for precision in self.precisions}


def device() -> str:
    """What TensorFlow computes on: "GPU" where it finds one, else "CPU"."""
    return "GPU" if tf.config.list_physical_devices("GPU") else "CPU"


def reconstruction(settings: Settings) -> list[Result]:
    """A training step of stage reconstruction: photos to updated networks.

    The placed architecture is not the paper's: it has no reference.
    """
    config = settings.config
    size = config.reconstruction.batch_size
    batch = testing.random_pair(config.model, size)
    ways = {}
    if config.model.architecture == "published":
        ways[REFERENCE] = _reference_step(config, batch)
    for name, execution in {FAST: _fast, AUTO: _auto}.items():
        ways |= settings.fast_ways(lambda p, e=execution: _step(settings, batch, e(p)), name)
    return settings.measure("training step, reconstruction", size, ways)


def _reference_step(config, batch):
    names = ReconstructionTrainer.NETWORKS
    networks = factory.build_networks(names, config.model, reference.EXECUTION)
    trainer = reference.ReferenceReconstructionTrainer(config, networks)
    counted = operations.total(operations.count(graph, batch) for graph in trainer.graphs)
    return Way(lambda: float(trainer.run_step(batch)["loss/reconstruction"]), operations=counted)


def _fast(precision):
    return Execution(precision=precision)


def _auto(precision):
    """What `--implementation=auto` takes on this machine."""
    return convolution_speed.measured_execution(_fast(precision), say=lambda _: None)


def _step(settings, batch, execution):
    trainer = build_trainer("reconstruction", settings.config, execution)
    step = tf.function(trainer.train_step)
    counted = operations.count(step, batch)
    return Way(lambda: float(step(batch)["loss/reconstruction"]), execution.precision, counted)


def stage2(settings: Settings) -> list[Result]:
    """A training step of stage appearance_mapping: one mapping and several critic updates a factor.

    The fast one takes the embeddings from the cache that training computes once; the reference runs
    the frozen encoder for every critic update. Mapping networks that are flows have no critics.
    """
    config, stage = settings.config, "appearance_mapping"
    model, size = config.model, config.appearance_mapping.batch_size
    names = factory.stage_networks(stage, model)
    trainer = MappingTrainer(config, stage, factory.build_networks(names, model))
    rows = size * trainer.updates_per_step
    noise = testing.random_noise(model, trainer.factors, rows)
    step = tf.function(trainer.train_step)
    # Networks do the same work on any numbers, so noise stands in for embeddings here.
    cached = {"embedding": noise, "noise": noise}

    frozen = factory.build_networks(["appearance_encoder"], model, reference.EXECUTION)
    encoder = PersonModel(model, frozen)
    compared = reference.ReferenceMappingTrainer(config, trainer.networks, encoder)
    photos = {"source": testing.random_person(model, rows), "noise": noise}
    loss = f"loss/{trainer.factors[-1]}_critic"
    ways = {
        REFERENCE: Way(lambda: float(compared.run_step(photos)[loss])),
        f"{FAST} float32": Way(lambda: float(step(cached)[loss])),
    }
    return settings.measure("training step, appearance mapping", size, ways)


def sampling(settings: Settings) -> list[Result]:
    """Pictures of persons from noise alone: mapping networks, pose decoder, generator.

    Frozen: as after `PersonSampler.freeze`.
    """
    config = settings.config
    size = config.reconstruction.batch_size
    mappings = [f"{factor}_mapping" for factor in config.model.factors]
    names = ["generator", "pose_decoder", *mappings]

    def build(kind, execution, frozen=False):
        networks = factory.build_networks(names, config.model, execution)
        if frozen:
            for network in networks.values():
                network.freeze()
        model = kind(config.model, networks)
        graph = tf.function(lambda seed: model.sample(size, seed)["images"])
        seed = tf.constant(0)
        counted = operations.count(graph, seed)
        return Way(lambda: wait_for(graph(seed)), execution.precision, counted)

    ways = {REFERENCE: build(reference.ReferencePersonModel, reference.EXECUTION)}
    for name, execution in {FAST: _fast, AUTO: _auto}.items():
        for suffix, frozen in {"": False, ", frozen": True}.items():

            def fast(precision, execution=execution, frozen=frozen):
                return build(PersonModel, execution(precision), frozen)

            ways |= settings.fast_ways(fast, name + suffix)
    return settings.measure("sampling", size, ways)


def pose_maps(settings: Settings) -> list[Result]:
    """Pose maps of a batch."""
    model, size = settings.config.model, settings.config.reconstruction.batch_size
    keypoints = tf.constant(testing.random_keypoints(model, size))

    def way(implementation):
        size = model.height, model.width, model.pose_map_radius
        graph = tf.function(lambda points: pose_map_ops.pose_map(points, *size, implementation))
        return Way(lambda: wait_for(graph(keypoints)), repetitions=10)

    ways = {REFERENCE: way("reference"), f"{FAST} float32": way("fast")}
    return settings.measure("pose maps", size, ways)


def crops(settings: Settings) -> list[Result]:
    """Region crops of the encoder's features and their gradient, in both equal ways."""
    model, size = settings.config.model, settings.config.reconstruction.batch_size
    shape = (size, model.height, model.width, model.hidden)
    features = tf.random.stateless_normal(shape, [0, 0])
    boxes = testing.random_person(model, size)["part_boxes"]

    def way(implementation, jit_compile):
        @tf.function
        def graph(features):
            with tf.GradientTape() as tape:
                tape.watch(features)
                found = regions.crop_regions(
                    features, boxes, model.region_size, implementation, jit_compile
                )
                loss = tf.nn.l2_loss(found)
            return tape.gradient(loss, features)

        return Way(lambda: wait_for(graph(features)), repetitions=10)

    ways = {
        "products": way("fast", jit_compile=True),
        "crop_and_resize": way("reference", jit_compile=False),
    }
    return settings.measure("region crops with gradient", size, ways, against="products")


def supply(settings: Settings, records: RecordSet) -> list[Result]:
    """A batch of the input pipeline with nobody consuming it, beside a training step on one."""
    config = settings.config
    size = config.reconstruction.batch_size

    def batches(cache):
        return training_batches(records, config.model, size, config.seed, cache=cache)

    step = _step(settings, next(iter(batches("none"))), _fast(settings.precisions[0]))
    ways = {"training step": step}
    for cache in CACHES:
        # Longer than what is prefetched while others run.
        draw = functools.partial(next, iter(batches(cache)))
        ways[f"input, cache {cache}"] = Way(draw, repetitions=200)
    return settings.measure("input pipeline", size, ways, against="training step")


def curves(settings: Settings, sizes: Iterable[Config]) -> list[Result]:
    """Training steps of stage reconstruction at other sizes.

    Args:
        settings: how to measure; its own configuration is not.
        sizes: the configurations to measure.
    """
    results = []
    for config in sizes:
        other = dataclasses.replace(settings, config=config)
        size = config.reconstruction.batch_size
        batch = testing.random_pair(config.model, size)
        ways = other.fast_ways(lambda p, o=other, b=batch: _step(o, b, _fast(p)))
        results += other.measure("training step, reconstruction", size, ways)
    return results


def curve_sizes(config: Config, factors: Iterable[float]) -> list[Config]:
    """The configuration, then with batch size, base width, and both sides of images scaled in turn.

    The first one is the point that the three curves share; what scales to no other size is left
    out. A published discriminator keeps one logit for each image, a placed scene the length of a
    cell's code.

    Raises:
        ConfigError: if networks of one of the sizes cannot be built.
    """
    model, stage, factors = config.model, config.reconstruction, tuple(factors)
    sizes = [
        {name: max(1, round(value * factor))}
        for name, value in (
            ("reconstruction.batch_size", stage.batch_size),
            ("model.hidden", model.hidden),
        )
        for factor in factors
    ]
    for factor in factors:
        height, width = round(model.height * factor), round(model.width * factor)
        size = {"model.height": height, "model.width": width}
        if model.architecture == "placed":
            cells = height * width // SCENE_CELL**2
            length = model.background_embedding // model.scene_cells
            size["model.background_embedding"] = length * cells
        else:
            row = 8 * model.discriminator_hidden * -(-height // 16) * -(-width // 16)
            size["model.discriminator_row"] = row
        sizes.append(size)
    others = [config.override(**size) for size in sizes]
    return [config, *(other for other in others if other != config)]
