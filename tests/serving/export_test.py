"""The SavedModel, loaded where the package cannot be imported, equals the in-memory sampler."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.io import locks
from dpig_tf2.io.images import encode_png
from dpig_tf2.models import factory
from dpig_tf2.ops import images as image_ops
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.serving import formats, runtimes, warmup
from dpig_tf2.serving.export import export
from dpig_tf2.serving.formats import ExportError, ExportSettings

pytestmark = pytest.mark.slow  # exports and starts fresh processes

_DESCRIPTION = formats.DESCRIPTION["saved_model"]
_BATCH_SIZES = (1, 3)
_SEED = 11

# Runs every signature on the inputs that it takes, each under "<batch size>/<signature>/<output>".
_CLIENT = """
import sys
sys.modules["dpig_tf2"] = None  # importing it now fails, even where it is installed
try:
    import dpig_tf2
except ImportError:
    pass
else:
    raise SystemExit("dpig_tf2 can be imported")
import numpy as np
import tensorflow as tf


model_path, inputs_path, outputs_path = sys.argv[1:]
signatures = tf.saved_model.load(model_path).signatures
inputs, outputs = np.load(inputs_path), {}
for size in (int(name[5:]) for name in inputs.files if name.startswith("size_")):
    for name, signature in signatures.items():
        _, arguments = signature.structured_input_signature
        given = {a: tf.constant(inputs[f"{size}/{a}"]) for a in arguments}
        for output, value in signature(**given).items():
            array = value.numpy()
            if array.dtype == object:  # files, none of which ends with a zero
                array = array.astype("S")
            outputs[f"{size}/{name}/{output}"] = array
np.savez(outputs_path, **outputs)
"""

# Calls signatures on inputs that they must refuse, and prints {case: message}.
_REFUSED_CLIENT = """
import json, sys
sys.modules["dpig_tf2"] = None
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
told = {}
with np.load(sys.argv[2]) as inputs:
    for case in sorted({name.partition("/")[0] for name in inputs.files}):
        given = {n.partition("/")[2]: inputs[n] for n in inputs.files if n.startswith(case + "/")}
        signature = model.signatures[str(given.pop("signature"))]
        try:
            signature(**{name: tf.constant(value) for name, value in given.items()})
            told[case] = "accepted"
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            told[case] = str(error)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def exported(sampler, tmp_path_factory):
    return export(sampler.config, sampler.model.networks, tmp_path_factory.mktemp("models"))


def _person_inputs(count, seed, model):
    rng = np.random.default_rng(seed)

    def poses():
        coordinates = rng.uniform(0, 1, (count, 18, 2)) * (model.height, model.width)
        visibility = rng.random((count, 18, 1)) < 0.8
        return np.concatenate([coordinates * visibility, visibility], axis=-1).astype(np.float32)

    images = rng.integers(0, 256, (count, model.height, model.width, 3), np.uint8)
    return {
        "images": images,
        "image_bytes": np.array([encode_png(image) for image in images], "S"),
        "keypoints": poses(),
        "target_keypoints": poses(),
        "appearance": rng.normal(size=(count, model.appearance_embedding)).astype(np.float32),
        "pose": rng.normal(size=(count, model.pose_embedding)).astype(np.float32),
        "count": np.int32(count),
        "seed": np.int32(_SEED),
    }


@pytest.fixture(scope="module")
def client_run(sampler, exported, tmp_path_factory):
    """Inputs by batch size, and what a process without the package made of them."""
    folder = tmp_path_factory.mktemp("client")
    inputs = {size: _person_inputs(size, size, sampler.config.model) for size in _BATCH_SIZES}
    arrays = {f"{s}/{n}": a for s, named in inputs.items() for n, a in named.items()}
    np.savez(folder / "inputs.npz", **arrays, **{f"size_{s}": s for s in inputs})
    command = [sys.executable, "-I", "-c", _CLIENT, exported, "inputs.npz", "outputs.npz"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    with np.load(folder / "outputs.npz") as outputs:
        return inputs, dict(outputs)


def _sampled(samples):
    return {
        "images": samples.images,
        "appearance": samples.appearance,
        "keypoints": samples.keypoints,
    }


def _expected(sampler, given):
    """{signature: {output: array}} by the in-memory sampler."""
    photo = given["images"], given["keypoints"]
    appearance = {"appearance": sampler.encode_appearance(*photo)}
    reposed = sampler.transfer(*photo, given["target_keypoints"])
    own = sampler.reconstruct(*photo)
    pose = {"pose": sampler.encode_pose(given["keypoints"])}
    return {
        "reconstruct": {"images": own},
        "transfer": {"images": reposed},
        "reconstruct_encoded": {"image_bytes": own},
        "transfer_encoded": {"image_bytes": reposed},
        "encode_appearance_encoded": appearance,
        "encode": appearance | pose,
        "encode_appearance": appearance,
        "encode_pose": pose,
        "decode_pose": {"keypoints": sampler.decode_pose(given["pose"])},
        "generate": {"images": sampler.generate(given["appearance"], given["keypoints"])},
        "sample": _sampled(
            sampler.sample(int(given["count"]), sampler.config.model.factors, seed=_SEED)
        ),
    }


def _assert_close(found, expected, name):
    if found.dtype.kind == "S":
        found = np.stack([image_ops.decode_image(file).numpy() for file in found])
    assert found.dtype == expected.dtype and found.shape == expected.shape, name
    if found.dtype == np.uint8:
        assert np.abs(found.astype(int) - expected).max() <= 1, name
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("size", _BATCH_SIZES)
def test_equals_sampler(sampler, client_run, size):
    inputs, outputs = client_run
    for signature, arrays in _expected(sampler, inputs[size]).items():
        for output, expected in arrays.items():
            name = f"{size}/{signature}/{output}"
            _assert_close(outputs[name], expected, name)


@pytest.mark.parametrize("factor", ["foreground", "background", "pose"])
def test_sampled_factor_equals_sampler(sampler, client_run, factor):
    inputs, outputs = client_run
    photo = inputs[1]["images"], inputs[1]["keypoints"]
    expected = sampler.sample(1, [factor], *photo, seed=_SEED)
    for output, array in _sampled(expected).items():
        name = f"1/sample_{factor}/{output}"
        _assert_close(outputs[name], array, name)


def test_a_seed_gives_the_same_codes_whatever_the_count(sampler, client_run):
    outputs = client_run[1]
    for size in _BATCH_SIZES:
        samples = sampler.sample(2, sampler.config.model.factors, seed=_SEED)
        for name in ("appearance", "keypoints"):
            np.testing.assert_array_equal(
                outputs[f"{size}/sample/{name}"][:1], getattr(samples, name)[:1]
            )


@pytest.mark.parametrize("factor", ["foreground", "background", "pose"])
def test_sampled_factor_leaves_the_others(client_run, exported, factor):
    inputs, outputs = client_run
    layout = json.loads((exported / _DESCRIPTION).read_text())["appearance_layout"]
    codes = outputs[f"3/sample_{factor}/appearance"], outputs["3/encode/appearance"]
    for name, (first, end) in layout.items():
        same = np.array_equal(codes[0][:, first:end], codes[1][:, first:end])
        assert same == (name != factor)
    poses = outputs[f"3/sample_{factor}/keypoints"], inputs[3]["keypoints"]
    assert np.array_equal(*poses) == (factor != "pose")


def test_outputs_fill_the_range(client_run):
    """Without contrast, comparing images within a level would prove nothing."""
    images = client_run[1]["3/transfer/images"]
    assert images.std() > 20


def test_description_is_what_the_signatures_take(exported, client_run):
    description = json.loads((exported / _DESCRIPTION).read_text())
    inputs, outputs = client_run
    for name, signature in description["signatures"].items():
        for side, arrays in (("inputs", inputs[3]), ("outputs", outputs)):
            for key, entry in signature[side].items():
                array = arrays[key if side == "inputs" else f"3/{name}/{key}"]
                assert entry["dtype"] == ("string" if array.dtype.kind == "S" else array.dtype.name)
                assert "difference" in entry or side == "inputs"
                assert [3 if n == "B" else n for n in entry["shape"]] == list(array.shape)
                assert entry["meaning"]
    assert description["preset"] == "synthetic" and description["unavailable"] == {}
    found = {tuple(name.split("/")[1:]) for name in outputs}
    described = {(n, o) for n, s in description["signatures"].items() for o in s["outputs"]}
    assert found == described


def _changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def _refused_calls(given, model):
    """{case: (signature, changed inputs, what the message says)}."""
    keypoints, targets = given["keypoints"], given["target_keypoints"]
    far = float(2 * model.height + 1)
    files = given["image_bytes"].astype(object)
    return {
        "no file": (
            "reconstruct_encoded",
            {"image_bytes": _changed(files, 1, b"photo").astype("S")},
            "image_bytes: must be JPEG or PNG files",
        ),
        "cut file": (
            "reconstruct_encoded",
            {"image_bytes": _changed(files, 1, files[1][:80]).astype("S")},
            "PNG",
        ),
        "far in the photo": (
            "transfer_encoded",
            {"target_keypoints": _changed(targets, (0, 0), (far, 0, 1))},
            "target_keypoints: a coordinate is far outside the image",
        ),
        "unseen in the photo": (
            "transfer_encoded",
            {"keypoints": _changed(keypoints, 1, 0)},
            "keypoints: each person must have at least one visible keypoint",
        ),
        "rows": ("transfer", {"images": given["images"][:1]}, "keypoints: must have as many rows"),
        "target rows": (
            "transfer",
            {"target_keypoints": targets[:1]},
            "target_keypoints: must have as many rows",
        ),
        "no rows": (
            "encode_pose",
            {"keypoints": keypoints[:0]},
            "keypoints: must have at least one row",
        ),
        "image size": ("encode", {"images": given["images"][:, 1:]}, "tensor images"),
        "keypoint count": ("encode_pose", {"keypoints": keypoints[:, :17]}, "tensor keypoints"),
        "nan": (
            "transfer",
            {"target_keypoints": _changed(targets, (1, 2, 0), np.nan)},
            "target_keypoints: holds NaN",
        ),
        "infinite": (
            "encode_pose",
            {"keypoints": _changed(keypoints, 0, np.inf)},
            "keypoints: holds NaN",
        ),
        "far": (
            "reconstruct",
            {"keypoints": _changed(keypoints, (0, 0), (far, 0, 1))},
            "keypoints: a coordinate is far outside the image",
        ),
        "far and missing": (
            "encode_pose",
            {"keypoints": _changed(keypoints, (0, 0), (0, -far, 0))},
            "keypoints: a coordinate is far outside the image",
        ),
        "visibility": (
            "generate",
            {"keypoints": _changed(keypoints, (0, 0, 2), 0.5)},
            "keypoints: visibility must be 0 or 1",
        ),
        "unseen": (
            "encode_appearance",
            {"keypoints": _changed(keypoints, 1, 0)},
            "keypoints: each person must have at least one visible keypoint",
        ),
        "appearance": (
            "generate",
            {"appearance": _changed(given["appearance"], (2, 3), np.inf)},
            "appearance: holds NaN or infinite values",
        ),
        "large": (
            "generate",
            {"appearance": _changed(given["appearance"], (2, 3), -1e7)},
            "appearance: holds values beyond 1e+06",
        ),
        "pose": ("decode_pose", {"pose": _changed(given["pose"], 0, np.nan)}, "pose: holds NaN"),
        "count": ("sample", {"count": np.int32(0)}, "count: must be at least 1"),
        "sampled unseen": (
            "sample_foreground",
            {"keypoints": _changed(keypoints, 0, 0)},
            "keypoints: each person must",
        ),
        # Who only lends a pose need not be seen.
        "accepted": ("transfer", {"target_keypoints": _changed(targets, 0, 0)}, "accepted"),
    }


def test_odd_inputs_are_refused_by_name_without_the_package(sampler, exported, tmp_path):
    model = sampler.config.model
    given = _person_inputs(3, 0, model)
    calls = _refused_calls(given, model)
    described = json.loads((exported / _DESCRIPTION).read_text())["signatures"]
    arrays = {}
    for case, (signature, changed, _) in calls.items():
        inputs = {name: given[name] for name in described[signature]["inputs"]} | changed
        arrays |= {f"{case}/{name}": array for name, array in inputs.items()}
        arrays[f"{case}/signature"] = np.array(signature)
    np.savez(tmp_path / "inputs.npz", **arrays)
    command = [sys.executable, "-I", "-c", _REFUSED_CLIENT, exported, tmp_path / "inputs.npz"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    for case, (_, _, message) in calls.items():
        assert message in told[case], case


def test_a_signature_is_compiled_by_xla_which_leaves_the_checks_out(tiny_config, tmp_path):
    networks = factory.build_networks(
        ("appearance_encoder", "generator"), tiny_config.model, Execution(jit_compile=True)
    )
    model = tf.saved_model.load(export(tiny_config, networks, tmp_path))
    given = _person_inputs(2, 0, tiny_config.model)
    given = {n: tf.constant(given[n]) for n in ("images", "keypoints", "target_keypoints")}
    plain = model.signatures["transfer"]
    compiled = tf.function(lambda **inputs: plain(**inputs), jit_compile=True)
    _assert_close(compiled(**given)["images"].numpy(), plain(**given)["images"].numpy(), "xla")
    odd = given | {"target_keypoints": given["target_keypoints"] * np.nan}
    with pytest.raises(tf.errors.InvalidArgumentError, match="target_keypoints: holds NaN"):
        plain(**odd)
    compiled(**odd)  # documented in serving/checks.py; if this fails, XLA has learned to check


def test_stage_one_alone_leaves_sampling_out(sampler, tmp_path):
    networks = {name: sampler.model.networks[name] for name in ("pose_encoder", "pose_decoder")}
    path = export(sampler.config, networks, tmp_path, ExportSettings(version=7))
    assert path == tmp_path / "7"
    description = json.loads((path / _DESCRIPTION).read_text())
    assert list(description["signatures"]) == ["encode_pose", "decode_pose"]
    missing = description["unavailable"]
    assert missing["transfer"] == (
        "needs appearance_encoder, generator: not trained (stage reconstruction)"
    )
    assert missing["sample"] == (
        "needs foreground_mapping, background_mapping, pose_mapping, generator: not trained "
        "(stage appearance_mapping, pose_mapping, reconstruction)"
    )


def test_frozen_kernels_stay_out_of_the_graphs(tiny_config, tmp_path):
    """As constants they would pass the size limit of a graph at the published width."""
    wide = tiny_config.override(
        **{
            "model.height": 16,
            "model.width": 16,
            "model.hidden": 64,
            "model.discriminator_row": 32,
            "model.generator_levels": 2,
        }
    )
    generator = factory.build_network("generator", wide.model)
    sampler = PersonSampler(wide, {"generator": generator})
    given = _person_inputs(2, 0, wide.model)
    expected = sampler.generate(given["appearance"], given["keypoints"])
    sampler.freeze()
    frozen = generator.residuals[-1].conv_1.frozen_kernel
    _assert_close(sampler.generate(given["appearance"], given["keypoints"]), expected, "frozen")
    path = export(sampler.config, sampler.model.networks, tmp_path)
    assert (path / "saved_model.pb").stat().st_size < frozen.numpy().nbytes
    generate = tf.saved_model.load(path).signatures["generate"]
    found = generate(**{name: tf.constant(given[name]) for name in ("appearance", "keypoints")})
    _assert_close(found["images"].numpy(), expected, "generate")


def test_one_export_at_a_time_which_removes_what_a_killed_one_left(sampler, tmp_path):
    poses = sampler.config, {"pose_encoder": sampler.model.networks["pose_encoder"]}
    with locks.writing(tmp_path / "held"), pytest.raises(locks.LockedError, match="held"):
        export(*poses, tmp_path / "held")
    for name in (".1.12.tmp", ".mine.tmp"):
        (tmp_path / "free" / name).mkdir(parents=True)
    assert export(*poses, tmp_path / "free").name == "1"
    assert {path.name for path in (tmp_path / "free").iterdir()} == {"1", ".mine.tmp"}


def test_versions_count_up_and_are_never_replaced(sampler, tmp_path):
    poses = sampler.config, {"pose_encoder": sampler.model.networks["pose_encoder"]}
    (tmp_path / "4").mkdir()
    (tmp_path / "notes").mkdir()
    assert export(*poses, tmp_path) == tmp_path / "5"
    with pytest.raises(ExportError, match="5 exists already"):
        export(*poses, tmp_path, ExportSettings(version=5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["4", "5", "notes"]


def test_nothing_is_left_of_a_failed_export(sampler, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr("dpig_tf2.serving.export._description", fail)
    networks = {"pose_encoder": sampler.model.networks["pose_encoder"]}
    with pytest.raises(OSError, match="no space left"):
        export(sampler.config, networks, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_refuses_a_file_and_a_sampler_without_networks(sampler, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="is a file"):
        export(sampler.config, sampler.model.networks, tmp_path / "file")
    with pytest.raises(ExportError, match="suffice for no signature: reconstruct needs"):
        export(sampler.config, {}, tmp_path)


def test_an_export_that_differs_from_the_sampler_is_refused(sampler, tmp_path, monkeypatch):
    networks = {"pose_encoder": sampler.model.networks["pose_encoder"]}
    monkeypatch.setattr("dpig_tf2.serving.verification.MOST_OF_CODES", -1.0)
    with pytest.raises(ExportError, match="differs from PersonSampler by") as caught:
        export(sampler.config, networks, tmp_path)
    assert caught.value.field == "encode_pose/pose"
    assert list(tmp_path.iterdir()) == []
    # Half precision is not held to it.
    half = factory.build_networks(
        networks, sampler.config.model, Execution(precision="mixed_bfloat16")
    )
    assert export(sampler.config, half, tmp_path).name == "1"


def test_an_export_of_what_is_no_number_is_refused(sampler, tmp_path):
    networks = factory.build_networks(("pose_encoder",), sampler.config.model)
    weights = networks["pose_encoder"].variables[0]
    weights.assign(weights * np.nan)
    with pytest.raises(ExportError, match="encode_pose: pose .* differs from PersonSampler by nan"):
        export(sampler.config, networks, tmp_path)


def test_warm_up_requests_are_what_the_signatures_take(exported):
    model = tf.saved_model.load(exported)
    requests = warmup.read(exported / warmup.PLACE)
    # A server with --enable_batching loads no model with a request of an input without batch axis.
    of_counts = {name for name in model.signatures if name.startswith("sample")}
    assert set(requests) == set(model.signatures) - of_counts and len(of_counts) == 4
    for name, inputs in requests.items():
        assert all(array.ndim and len(array) == 1 for array in inputs.values())
        model.signatures[name](**{key: tf.constant(array) for key, array in inputs.items()})


def test_the_description_tells_the_difference_of_pictures(exported):
    description = runtimes.describe(exported)
    assert description["format"] == "saved_model" and description["verified"]["persons"] == 8
    assert description["verified"]["levels_of_pictures"]["max"] <= 1


def test_an_unknown_signature_is_named(exported):
    with pytest.raises(ExportError, match="has no signature 'nothing'"):
        runtimes.load(exported, "saved_model", "nothing")
