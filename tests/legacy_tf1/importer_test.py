import json

import numpy as np
import pytest

from dpig_tf2.config import ConfigError
from dpig_tf2.io import locks
from dpig_tf2.legacy_tf1 import importer, variable_map
from dpig_tf2.legacy_tf1.checkpoint import Checkpoint, CheckpointError
from dpig_tf2.models import weights
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.training import trainers
from tests.legacy_tf1.reference import STAGES, Reference

pytestmark = pytest.mark.slow  # writes and reads whole checkpoints

KERNEL = "PoseGaussian/G_FC/fully_connected_3/weights"
KERNEL_PATH = "pose_mapping/trunk/residual_1/dense_1/kernel"


@pytest.fixture(scope="module")
def reference(shared_dir, tmp_path_factory):
    return Reference(shared_dir, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def pose_mapping(reference):
    """The smallest checkpoint that has own, frozen and unused variables."""
    return reference.checkpoint("m4").tensors


def _import(reference, tensors, strict=True, model="m4", prefix="model.ckpt-7"):
    checkpoint = Checkpoint(prefix, tensors)
    return importer.import_stage(checkpoint, reference.new_trainer(model), strict)


def _without(tensors, *names):
    return {name: value for name, value in tensors.items() if name not in names}


@pytest.mark.parametrize("model", ["m1", "m2", "m3", "m4", "m103"])
def test_the_state_is_what_the_trainer_checkpoints(reference, model):
    imported = _import(reference, reference.checkpoint(model).tensors, model=model)
    state = reference.new_trainer(model).state_variables()
    assert set(imported.arrays) == {v.path for v in state}
    assert imported.report["fresh"] == []
    assert imported.report["skipped"] == {}


def test_slots_and_rates_are_taken_over(reference):
    tensors = reference.checkpoint("m1").tensors
    arrays = _import(reference, tensors, model="m1").arrays
    source, ours = "ID_AE/G/Conv_3/weights", "generator_pyramid_down_0_kernel"
    optimizer = "generator_optimizer"
    for suffix, slot in (("Adam", "momentum"), ("Adam_1", "velocity")):
        expected = tensors[f"{source}/{suffix}"]
        np.testing.assert_array_equal(arrays[f"{optimizer}/{ours}_{slot}"], expected)
    assert arrays["generator_optimizer/learning_rate"] == tensors["g_lr"]
    assert arrays["discriminator_optimizer/learning_rate"] == tensors["d_lr"]
    assert arrays["generator_optimizer/iteration"] == 3  # the powers hold four factors


def test_absent_slots_and_rates_start_afresh_and_are_reported(reference, pose_mapping):
    tensors = {n: v for n, v in pose_mapping.items() if "/RMSProp" not in n and n != "g_lr"}
    imported = _import(reference, tensors)
    slot = f"pose_mapping_optimizer/{KERNEL_PATH.replace('/', '_')}_velocity"
    rate = "pose_mapping_optimizer/learning_rate"
    assert {slot, rate} <= set(imported.report["fresh"])
    np.testing.assert_array_equal(imported.arrays[slot], np.ones([512, 512]))
    assert imported.arrays[rate] == np.float32(2e-5)
    assert imported.report["optimizer_slots_imported"] == 0


@pytest.mark.parametrize("absent", ["/Adam", "/fully_connected/weights/Adam_1"])
def test_new_moments_count_their_updates_from_zero(reference, absent):
    """Adam divides young moments by what they lack; the step itself is kept."""
    tensors = {n: v for n, v in reference.checkpoint("m2").tensors.items() if absent not in n}
    assert len(tensors) < len(reference.checkpoint("m2").tensors)
    imported = _import(reference, tensors, model="m2")
    assert imported.arrays["pose_optimizer/iteration"] == 0
    assert imported.arrays["step"] == 3


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("missing", lambda t: _without(t, KERNEL)),
        ("misshapen", lambda t: t | {KERNEL: t[KERNEL][:, :-1]}),
        ("misshapen", lambda t: t | {KERNEL: t[KERNEL][None]}),
        ("misshapen", lambda t: t | {KERNEL: t[KERNEL][:1, :1]}),
        ("misshapen", lambda t: t | {KERNEL: t[KERNEL].astype(np.float64)}),
    ],
    ids=["missing", "narrow", "rank", "broadcastable", "float64"],
)
def test_an_unfit_variable_fails_by_name_or_is_listed(reference, pose_mapping, kind, change):
    tensors = change(pose_mapping)
    with pytest.raises(CheckpointError, match=f"{kind} variables: {KERNEL}") as caught:
        _import(reference, tensors)
    assert caught.value.field == KERNEL
    imported = _import(reference, tensors, strict=False)
    assert list(imported.report["skipped"]) == [kind]
    assert list(imported.report["skipped"][kind]) == [KERNEL]
    assert np.abs(imported.arrays[KERNEL_PATH] - pose_mapping[KERNEL]).max() > 0


@pytest.mark.parametrize(
    "name", ["PoseGaussian/G_FC/fully_connected_10/weights", "Encoder/G_encoder/Conv_99/biases"]
)
def test_a_surplus_variable_fails_by_name_or_is_listed(reference, pose_mapping, name):
    tensors = pose_mapping | {name: np.zeros(3, np.float32)}
    with pytest.raises(CheckpointError, match=f"surplus variables: {name}"):
        _import(reference, tensors)
    imported = _import(reference, tensors, strict=False)
    assert list(imported.report["skipped"]["surplus"]) == [name]


def test_a_misshapen_slot_fails_by_name(reference, pose_mapping):
    name = f"{KERNEL}/RMSProp"
    with pytest.raises(CheckpointError, match=f"misshapen variables: {name}"):
        _import(reference, pose_mapping | {name: np.ones(3, np.float32)})


@pytest.mark.parametrize("change", [lambda value: value[:, :100], np.sum], ids=["narrow", "rank"])
def test_a_variable_that_sizes_are_read_from_is_still_named(reference, pose_mapping, change):
    name = "PoseGaussian/G_FC/fully_connected/weights"
    tensors = pose_mapping | {name: change(pose_mapping[name])}
    checkpoint = Checkpoint("model.ckpt-7", tensors)
    config = importer.infer_sizes(reference.config("m4"), {"pose_mapping": checkpoint})
    assert config == reference.config("m4")
    with pytest.raises(CheckpointError, match=f"misshapen variables: {name}"):
        _import(reference, tensors)


def test_values_that_are_not_finite_are_refused(reference, pose_mapping):
    kernel = pose_mapping[KERNEL].copy()
    kernel[0, 0] = np.nan
    with pytest.raises(CheckpointError, match=f"{KERNEL} has values not finite"):
        _import(reference, pose_mapping | {KERNEL: kernel})


@pytest.mark.parametrize(
    ("power_1", "power_2", "prefix", "step", "source"),
    [
        (0.5**1, 0.999, "model.ckpt-7", 0, "beta1_power"),
        (0.5**100, 0.9, "model.ckpt-7", 99, "beta1_power"),
        # 0.5 ** 60001 is zero in float32; the other power is not yet.
        (0.0, np.float32(np.float64(np.float32(0.999)) ** 60_001), "x", 60_000, "beta2_power"),
        (0.0, 0.0, "model.ckpt-120000", 120_000, "the file's name"),
        (0.0, 0.0, "model", 87_293, "nothing: the checkpoint does not tell"),
        (0.0, 0.0, "model.ckpt-7", 87_293, "nothing: the checkpoint does not tell"),
    ],
)
def test_the_step_of_adam_stages(reference, power_1, power_2, prefix, step, source):
    powers = {"beta1_power": np.float32(power_1), "beta2_power": np.float32(power_2)}
    tensors = reference.checkpoint("m2").tensors | powers
    imported = _import(reference, tensors, model="m2", prefix=prefix)
    assert (imported.step, imported.report["step_read_from"]) == (step, source)
    assert imported.arrays["step"] == imported.arrays["pose_optimizer/iteration"] == step


def test_the_side_that_is_ahead_tells_the_step(reference):
    """The release skips the generator's update at step 0."""
    ahead = {"beta1_power_1": np.float32(0.5**9)}
    imported = _import(reference, reference.checkpoint("m1").tensors | ahead, model="m1")
    assert imported.step == imported.arrays["discriminator_optimizer/iteration"] == 8
    assert imported.arrays["generator_optimizer/iteration"] == 3


@pytest.mark.parametrize(
    ("prefix", "step", "source"),
    [
        ("folder-3/model.ckpt-60000", 60_000, "the file's name"),
        ("folder-3/model", 0, "nothing: the checkpoint does not tell"),
    ],
)
def test_the_step_of_rmsprop_stages(reference, pose_mapping, prefix, step, source):
    imported = _import(reference, pose_mapping, prefix=prefix)
    assert (imported.step, imported.report["step_read_from"]) == (step, source)
    assert imported.arrays["pose_mapping_optimizer/iteration"] == step
    assert imported.arrays["pose_critic_optimizer/iteration"] == 5 * step


@pytest.fixture(scope="module")
def run(reference, tmp_path_factory):
    """A run with the pose stages imported, and its report."""
    folder = tmp_path_factory.mktemp("run")
    paths = {"pose": reference.prefix("m2"), "pose_mapping": reference.prefix("m4")}
    return folder, importer.import_checkpoints("market1501", paths, folder)


def test_a_run_folder_holds_the_imported_values(reference, run):
    folder, report = run
    path, arrays = RunFolder.open(folder).load_checkpoint("pose_mapping")
    assert path.name == "step-00000007.npz"
    np.testing.assert_array_equal(arrays[KERNEL_PATH], reference.checkpoint("m4").tensors[KERNEL])
    assert RunFolder.open(folder).config.model == reference.config("m4").model
    assert json.loads((folder / importer.REPORT_NAME).read_text()) == report
    assert report["notes"] == []
    counts = report["stages"]["pose_mapping"]["networks"]["pose_critic"]
    assert (counts["variables"], counts["parameters"]) == (10, 805_377)
    importer.verify(folder, report)


def test_a_learning_rate_is_continued(reference, tmp_path):
    """The configuration tells that of the first step, which two halvings have led to the stored."""
    changes = {"g_lr": 1e-5, "beta1_power": 0.0, "beta2_power": 0.0}
    tensors = {name: np.float32(value) for name, value in changes.items()}
    prefix = reference.write("late-120000", reference.checkpoint("m2").tensors | tensors)
    importer.import_checkpoints("market1501", {"pose": prefix}, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    assert run.config.pose.learning_rate == 4e-5
    trainer = trainers.build_trainer("pose", run.config)
    path, arrays = run.load_checkpoint("pose")
    trainer.restore(arrays, str(path))
    assert trainer.optimized["pose"].optimizer.learning_rate == tensors["g_lr"]


def test_verification_notices_one_changed_value(run, tmp_path):
    folder, report = run
    _, arrays = RunFolder.open(folder).load_checkpoint("pose_mapping")
    changed = RunFolder.create(tmp_path, RunFolder.open(folder).config)
    only = report | {"stages": {"pose_mapping": report["stages"]["pose_mapping"]}}
    arrays["pose_critic/output/bias"] = arrays["pose_critic/output/bias"] + np.float32(1e-6)
    changed.save_checkpoint("pose_mapping", 7, arrays)
    with pytest.raises(CheckpointError, match="pose_critic is not what was imported"):
        importer.verify(tmp_path, only)


def test_a_later_import_joins_the_run(reference, run, tmp_path):
    folder, _ = run
    RunFolder.create(tmp_path, RunFolder.open(folder).config)
    with locks.writing(tmp_path), pytest.raises(locks.LockedError):
        importer.import_checkpoints("market1501", {"pose": reference.prefix("m2")}, tmp_path)
    importer.import_checkpoints("market1501", {"pose": reference.prefix("m2")}, tmp_path)
    assert RunFolder.open(tmp_path).latest_step("pose") == 3
    with pytest.raises(CheckpointError, match="already holds a checkpoint of stage pose"):
        importer.import_checkpoints("market1501", {"pose": reference.prefix("m2")}, tmp_path)


def test_a_later_import_knows_of_earlier_ones(reference, pose_mapping, tmp_path):
    RunFolder.create(tmp_path, reference.config("m4"))  # of sizes that poses do not tell
    first = {"pose": reference.prefix("m2")}
    importer.import_checkpoints("market1501", first, tmp_path)
    report = json.loads((tmp_path / importer.REPORT_NAME).read_text())
    frozen = variable_map.frozen_tables("pose_mapping", reference.config("m4").model)
    name = next(iter(frozen["pose_encoder"]))
    changed = pose_mapping | {name: pose_mapping[name] + np.float32(0.1)}
    second = {"pose_mapping": reference.write("changed-7", changed)}
    later = importer.import_checkpoints("market1501", second, tmp_path)
    assert [note.endswith("with another pose_encoder") for note in later["notes"]] == [True]
    assert list(later["stages"]) == ["pose_mapping"], "what is verified is what was imported now"
    assert json.loads((tmp_path / importer.REPORT_NAME).read_text()) == {
        "preset": "market1501",
        "stages": report["stages"] | later["stages"],
        "notes": later["notes"],
    }


def test_a_run_of_another_preset_is_not_joined(reference, tmp_path):
    """A checkpoint of poses is the same for both."""
    RunFolder.create(tmp_path, reference.config("m102"))
    with pytest.raises(ConfigError, match="holds a run of preset deepfashion, not market1501"):
        importer.import_checkpoints("market1501", {"pose": reference.prefix("m2")}, tmp_path)
    assert RunFolder.open(tmp_path).latest_step("pose") is None


@pytest.mark.parametrize(
    ("model", "stage", "preset_name", "message"),
    [
        ("m4", "pose", "market1501", "looks like a checkpoint of stage pose_mapping"),
        ("m2", "pose_mapping", "market1501", "looks like a checkpoint of stage pose,"),
        ("m103", "appearance_mapping", "market1501", "looks like a checkpoint of preset deepf"),
        ("m4", "pose_mapping", "deepfashion", "looks like a checkpoint of preset market1501"),
    ],
)
def test_a_checkpoint_of_something_else_is_named(
    reference, tmp_path, model, stage, preset_name, message
):
    folder = tmp_path / "run"
    with pytest.raises(CheckpointError, match=message):
        importer.import_checkpoints(preset_name, {stage: reference.prefix(model)}, folder)
    assert not folder.exists()


def test_a_foreign_checkpoint_is_refused(reference, tmp_path):
    prefix = reference.write("foreign", {"dense/kernel": np.ones([2, 2], np.float32)})
    with pytest.raises(CheckpointError, match="holds no network of the released code"):
        importer.import_checkpoints("market1501", {"pose": prefix}, tmp_path / "run")


def test_nothing_is_written_if_the_second_checkpoint_is_bad(reference, pose_mapping, tmp_path):
    paths = {
        "pose": reference.prefix("m2"),
        "pose_mapping": reference.write("incomplete-1", _without(pose_mapping, KERNEL)),
    }
    with pytest.raises(CheckpointError, match=KERNEL):
        importer.import_checkpoints("market1501", paths, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_checkpoints_of_other_sizes_do_not_belong_together(reference, pose_mapping):
    narrow = {name: value for name, value in pose_mapping.items() if name.startswith("PoseG")}
    for leaf, axis in (("_9/weights", 1), ("_9/biases", 0), ("/weights", 0)):
        name = f"PoseGaussian/G_FC/fully_connected{leaf}"
        narrow[name] = np.take(narrow[name], range(16), axis)
    checkpoints = {"pose": reference.checkpoint("m2"), "pose_mapping": Checkpoint("other", narrow)}
    with pytest.raises(CheckpointError, match="other has pose_embedding 16, but .* has 32"):
        importer.infer_sizes(reference.config("m4"), checkpoints)


@pytest.mark.parametrize(
    ("owner", "mapping", "network"),
    [("m2", "m4", "pose_encoder"), ("m1", "m3", "appearance_encoder")],
)
def test_a_mapping_trained_with_another_encoder_is_noted(reference, owner, mapping, network):
    config, stage = reference.config(mapping), STAGES[mapping]
    tensors = reference.checkpoint(mapping).tensors
    name = next(iter(variable_map.frozen_tables(stage, config.model)[network]))
    first = {STAGES[owner]: reference.checkpoint(owner)}
    same = {stage: Checkpoint("mapping", tensors)}
    assert importer.frozen_differences(first | same, config) == []
    retrained = Checkpoint("mapping", tensors | {name: tensors[name] + np.float32(0.1)})
    notes = importer.frozen_differences(first | {stage: retrained}, config)
    assert notes == [f"mapping was trained with another {network}"]
    first = {STAGES[owner]: Checkpoint("first", _without(first[STAGES[owner]].tensors, name))}
    assert importer.frozen_differences(first | {stage: retrained}, config) == []


def test_checksums_depend_on_values_and_names():
    arrays = {"net/kernel": np.ones([2, 3], np.float32), "net/bias": np.zeros(3, np.float32)}
    summary = importer.summarize("net", arrays | {"network/bias": np.ones(9)})
    assert (summary["variables"], summary["parameters"]) == (2, 9)
    for other in (
        {**arrays, "net/bias": np.full(3, 1e-9, np.float32)},
        {"net/kernel": arrays["net/kernel"], "net/offset": arrays["net/bias"]},
    ):
        assert importer.summarize("net", other)["checksum"] != summary["checksum"]


def test_imported_weights_load_into_networks(reference, run):
    folder, _ = run
    path, arrays = RunFolder.open(folder).load_checkpoint("pose")
    encoder = reference.network("m2", "pose_encoder")
    weights.assign(encoder.variables, arrays, str(path))
    expected = reference.checkpoint("m2").tensors["PoseAE/G_Pose_Encoder/fully_connected/biases"]
    np.testing.assert_array_equal(encoder.trunk.input_dense.bias, expected)
