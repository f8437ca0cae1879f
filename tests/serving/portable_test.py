"""ONNX and LiteRT files, each in its own runtime, equal the in-memory sampler."""

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.models import factory
from dpig_tf2.serving import litert_format, runtimes, verification
from dpig_tf2.serving.export import _Export, export
from dpig_tf2.serving.formats import ExportError, ExportSettings
from dpig_tf2.serving.signatures import available_signatures

pytest.importorskip("tf2onnx", reason="the extra is absent: pip install 'dpig-tf2[onnx]'")
pytest.importorskip(
    "ai_edge_quantizer", reason="the extra is absent: pip install 'dpig-tf2[litert]'"
)
pytestmark = pytest.mark.slow  # converts

_FORMATS = ("onnx", "litert")


def _exported(sampler, folder, format, *signatures, **settings):
    settings = ExportSettings(format, signatures=signatures, **settings)
    return export(sampler.config, sampler.model.networks, folder, settings)


def _persons(sampler, count):
    persons = verification.synthetic_persons(sampler.config.model, count)
    return persons["images"], persons["keypoints"], np.roll(persons["keypoints"], -1, axis=0)


@pytest.fixture(scope="module")
def onnx_transfer(sampler, tmp_path_factory):
    return _exported(sampler, tmp_path_factory.mktemp("onnx"), "onnx", "transfer")


def test_onnx_takes_any_number_of_persons(sampler, onnx_transfer):
    run = runtimes.load(onnx_transfer, "onnx", "transfer")
    for count in (1, 3):
        images, keypoints, targets = _persons(sampler, count)
        found = run({"images": images, "keypoints": keypoints, "target_keypoints": targets})
        expected = sampler.transfer(images, keypoints, targets)
        assert found["images"].dtype == np.uint8 and found["images"].shape == expected.shape
        assert np.abs(found["images"].astype(int) - expected).max() <= 1
        assert expected.std() > 20  # there is something to compare


def test_the_converter_meets_no_weights_and_the_file_has_them_ready(sampler, onnx_transfer):
    """As constants they took 21 GiB and two minutes at the published width."""
    import onnx

    signature = available_signatures(sampler.model, portable=True)[0]["transfer"]
    variables = [v for n in signature.networks for v in sampler.model.networks[n].variables]
    weights = {f"w{i}": variable for i, variable in enumerate(variables)}
    assert not signature.trace(with_checks=False, weights=weights).captured_inputs
    model = onnx.load(onnx_transfer / "transfer.onnx")
    stored = {each.name for each in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert convolutions and all(node.input[1] in stored for node in convolutions)


def test_the_description_is_what_the_file_takes(onnx_transfer, sampler):
    import onnxruntime

    description = runtimes.describe(onnx_transfer)
    assert description["format"] == "onnx" and description["batch_size"] is None
    assert description["preset"] == "synthetic"
    (signature,) = description["signatures"].values()
    path = onnx_transfer / signature["file"]
    assert signature["bytes"] == path.stat().st_size
    session = onnxruntime.InferenceSession(path)
    for side, found in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        entries = {entry["tensor"]: entry for entry in signature[side].values()}
        assert entries.keys() == {each.name for each in found}
        for each in found:
            entry = entries[each.name]
            assert entry["shape"][1:] == each.shape[1:] and entry["shape"][0] == "B"
            assert {"float32": "tensor(float)", "uint8": "tensor(uint8)"}[
                entry["dtype"]
            ] == each.type
    difference = signature["outputs"]["images"]["difference"]
    assert difference["mean"] <= difference["max"] <= 1
    assert description["verified"]["levels_of_pictures"] == difference


@pytest.mark.parametrize("format", _FORMATS)
def test_noise_is_an_input_of_sampling(sampler, tmp_path, format):
    folder = _exported(sampler, tmp_path, format, "sample", batch_size=2)
    noise = {f: sampler.draw_noise(2, f, seed=3) for f in sampler.config.model.factors}
    run = runtimes.load(folder, format, "sample")
    found = run({f"{factor}_noise": rows for factor, rows in noise.items()})
    expected = sampler.sample(2, sampler.config.model.factors, seed=3)
    np.testing.assert_allclose(found["appearance"], expected.appearance, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["keypoints"], expected.keypoints, rtol=1e-4, atol=1e-3)
    redrawn = sampler.generate(found["appearance"], found["keypoints"])
    assert np.abs(found["images"].astype(int) - redrawn).max() <= 1


def test_litert_takes_one_person_at_a_time(sampler, tmp_path):
    folder = _exported(sampler, tmp_path, "litert", "transfer", "decode_pose")
    description = runtimes.describe(folder)
    assert description["batch_size"] == 1 and set(description["signatures"]) == {
        "transfer",
        "decode_pose",
    }
    images, keypoints, targets = _persons(sampler, 2)
    inputs = {"images": images, "keypoints": keypoints, "target_keypoints": targets}
    found = runtimes.in_batches(runtimes.load(folder, "litert", "transfer"), inputs, 1)
    expected = sampler.transfer(images, keypoints, targets)
    assert np.abs(found["images"].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("format", _FORMATS)
def test_networks_of_the_modern_recipe_are_exported_too(tmp_path, format):
    """Export itself compares them to the sampler."""
    tf.keras.utils.set_random_seed(0)
    sizes = {"height": 32, "width": 16, "hidden": 4, "region_embedding": 4}
    sizes |= {"background_embedding": 64, "background_mapping_hidden": 8}
    settings = config.preset("modern").override(**{f"model.{k}": v for k, v in sizes.items()})
    names = ("appearance_encoder", "generator", "background_mapping")
    networks = factory.build_networks(names, settings.model)
    output = networks["background_mapping"].output_dense.kernel
    output.assign(np.random.default_rng(0).normal(size=output.shape))
    asked = ExportSettings(format, signatures=("transfer", "sample_background"))
    told = []
    folder = export(settings, networks, tmp_path, asked, progress=lambda *done: told.append(done))
    assert told == [("exporting", 1, 2), ("exporting", 2, 2)]
    description = runtimes.describe(folder)
    assert description["verified"]["levels_of_pictures"]["max"] <= 1
    appearance = description["signatures"]["sample_background"]["outputs"]["appearance"]
    assert appearance["difference"]["max"] <= 1e-4
    if format == "onnx":
        import onnx

        # Written out, the steps of the flows that ship were not converted within five minutes.
        nodes = onnx.load(folder / "sample_background.onnx").graph.node
        assert [node.op_type for node in nodes].count("Loop") == 1


@pytest.mark.parametrize("format", _FORMATS)
def test_quantized_files_tell_what_they_lose(sampler, onnx_transfer, tmp_path, format):
    sizes, means = {}, {}
    for quantize in ("float16", "int8"):
        folder = _exported(sampler, tmp_path / quantize, format, "generate", quantize=quantize)
        signature = runtimes.describe(folder)["signatures"]["generate"]
        sizes[quantize] = signature["bytes"]
        means[quantize] = signature["outputs"]["images"]["difference"]["mean"]
    plain = _exported(sampler, tmp_path / "none", format, "generate")
    whole = runtimes.describe(plain)["signatures"]["generate"]["bytes"]
    assert sizes["float16"] < 0.8 * whole and sizes["int8"] < whole
    assert 0 < means["float16"] < 1 < means["int8"] < 40


def test_products_inside_of_the_networks_are_of_seven_bits_a_range_for_each_channel(
    sampler, tmp_path
):
    import onnx

    folder = _exported(sampler, tmp_path, "onnx", "generate", quantize="int8")
    graph = onnx.load(folder / "generate.onnx").graph
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            continue
        weights = made_by.get(node.input[1])
        quantized = weights is not None and weights.op_type == "DequantizeLinear"
        assert quantized == (node.name[:9] == "generator" and "output" not in node.name)
        if quantized:
            kernel, scale = (stored[name] for name in weights.input[:2])
            assert kernel.dtype == np.int8 and 60 < np.abs(kernel.astype(int)).max() <= 64
            assert scale.ndim == 1 and len(scale) > 1


def test_litert_computes_inside_of_the_networks_in_8_bits_a_range_for_each_channel():
    from ai_edge_litert.interpreter import Interpreter

    rng = np.random.default_rng(0)
    owner = tf.Module()
    owner.kernel = tf.Variable(rng.normal(size=(3, 3, 8, 8)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 8), tf.float32, "images")])
    def run(images):
        for scope in ("generator/", "generator/output/", "elsewhere/"):
            with tf.name_scope(scope):
                images = tf.nn.relu(tf.nn.conv2d(images, owner.kernel, 1, "SAME"))
        return {"images": images}

    images = rng.uniform(size=(1, 4, 4, 8)).astype(np.float32)
    plain = litert_format.convert(run.get_concrete_function(), "run", owner)
    made = Interpreter(
        model_content=litert_format.quantize(plain, "run", [{"images": images}], ["generator"])
    )
    tensors = {tensor["index"]: tensor for tensor in made.get_tensor_details()}
    products = [op for op in made._get_ops_details() if op["op_name"] == "CONV_2D"]
    inside, *others = [[tensors[i] for i in (*op["inputs"], *op["outputs"])] for op in products]
    features, kernel, bias, found = inside
    assert [each["dtype"] for each in inside] == [np.int8, np.int8, np.int32, np.int8]
    assert len(others) == 2
    for each in (features, found):  # which are not negative: all 8 bits are for what there is
        assert each["quantization_parameters"]["zero_points"].tolist() == [-128]
    for each in (kernel, bias):
        assert len(set(each["quantization_parameters"]["scales"].tolist())) == 8
    assert all(each["dtype"] == np.float32 for op in others for each in op)


def test_a_kernel_that_the_quantizer_alone_would_not_take_is_quantized():
    """36 MiB, as the published width has them; every channel has a range of its own."""
    from ai_edge_litert.interpreter import Interpreter

    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 1024, 1024)).astype(np.float32)
    owner = tf.Module()
    owner.kernel = tf.Variable(kernel * np.linspace(0.5, 2.0, 1024, dtype=np.float32))

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 1024), tf.float32, "images")])
    def run(images):
        with tf.name_scope("generator/"):
            features = tf.nn.conv2d(images, owner.kernel, 1, "SAME")
        return {"images": tf.negative(features)}

    images = rng.normal(size=(1, 4, 4, 1024)).astype(np.float32)
    plain = litert_format.convert(run.get_concrete_function(), "run", owner)
    content = litert_format.quantize(plain, "run", [{"images": images}], ["generator"])
    assert len(content) < len(plain) / 3
    found = Interpreter(model_content=content).get_signature_runner("run")(images=images)["images"]
    expected = run(images)["images"].numpy()
    lost = np.abs(found - expected).mean(axis=(0, 1, 2)) / expected.std(axis=(0, 1, 2))
    assert 0 < lost.min() and lost.max() < 0.1


def test_units_that_are_never_active_are_quantized(tmp_path):
    """As in trained networks: the outputs of a whole convolution are 0."""
    sizes = {"height": 32, "width": 16, "hidden": 8, "background_embedding": 16}
    settings = config.preset("modern").override(**{f"model.{k}": v for k, v in sizes.items()})
    networks = factory.build_networks(("appearance_encoder", "generator"), settings.model)
    rng = np.random.default_rng(0)
    for residual in networks["appearance_encoder"].scene_residuals:
        residual.conv_2.kernel.assign(rng.normal(0.0, 0.1, residual.conv_2.kernel.shape))
        residual.conv_1.bias.assign(np.full(residual.conv_1.bias.shape, -100.0))
    asked = ExportSettings("litert", "int8", signatures=("encode_appearance",))
    signature = runtimes.describe(export(settings, networks, tmp_path, asked))["signatures"]
    lost = signature["encode_appearance"]["outputs"]["appearance"]["difference"]
    assert 0 < lost["mean"] < 0.1


def test_int8_covers_the_ranges_of_all_persons():
    ranges = [{"a": {"min": -1.0, "max": 2.0}}, {"a": {"min": -3.0, "max": 1.0}, "b": _point(4.0)}]
    found = litert_format._joined(ranges)
    assert found["a"] == {"min": -3, "max": 2}
    assert found["b"]["min"] == 4 and found["b"]["max"] > 4, "no range is a point"


def _point(value):
    return {"min": np.full(1, value), "max": np.full(1, value)}


@pytest.mark.parametrize("rows", [None, 2, 8])
def test_every_given_person_is_among_those_that_int8_is_calibrated_with(sampler, rows):
    images, keypoints, _ = _persons(sampler, 3)
    calibration = {"images": images, "keypoints": keypoints}
    signature = available_signatures(sampler.model, portable=True)[0]["encode_appearance"]
    settings = ExportSettings("onnx", "int8", batch_size=rows)
    work = _Export(sampler.config, settings, {}, {}, sampler, calibration, print)
    batches = work._calibration(signature)
    assert {len(batch["images"]) for batch in batches} == {rows or 1}
    for name, array in calibration.items():
        seen = np.concatenate([batch[name] for batch in batches])
        np.testing.assert_array_equal(seen[:3], array)


def test_given_persons_set_the_ranges_of_int8(sampler, tmp_path):
    images, keypoints, _ = _persons(sampler, 3)
    dark = {"images": images // 16, "keypoints": keypoints}
    settings = ExportSettings("litert", "int8", signatures=("encode_appearance",))
    networks = sampler.model.networks
    given = export(sampler.config, networks, tmp_path / "given", settings, dark)
    drawn = export(sampler.config, networks, tmp_path / "drawn", settings)
    apart = [
        runtimes.describe(path)["signatures"]["encode_appearance"]["outputs"]["appearance"]
        for path in (given, drawn)
    ]
    assert apart[0]["difference"]["mean"] > apart[1]["difference"]["mean"]


def test_bad_input_is_refused_before_anything_is_written(sampler, tmp_path):
    networks = {"pose_encoder": sampler.model.networks["pose_encoder"]}
    for name, message in {
        "transfr": "unknown signature 'transfr'",
        "transfer": "needs appear",
    }.items():
        with pytest.raises(ExportError, match=message) as caught:
            settings = ExportSettings("onnx", signatures=(name,))
            export(sampler.config, networks, tmp_path, settings)
        assert caught.value.field == "signatures"
    assert list(tmp_path.iterdir()) == []


def test_a_failing_pass_of_the_optimizer_is_left_out(sampler, tmp_path, monkeypatch):
    from tf2onnx import optimizer

    failed = []

    class Failing:
        def __init__(self):
            self.graph_been_opt = False

        def optimize(self, graph, iteration):
            for node in list(graph.get_nodes()):  # as a pass that fails halfway
                graph.remove_node(node.name)
            failed.append(graph)
            raise ValueError("not for this graph")

    passes = optimizer._optimizers | {"failing": Failing}
    monkeypatch.setattr(optimizer, "_optimizers", passes)
    folder = _exported(sampler, tmp_path, "onnx", "encode_pose")  # compares to the sampler
    assert failed and (folder / "encode_pose.onnx").exists()
