"""The choice that a measurement makes: which convolutions are left to the library."""

import json
import multiprocessing

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2.execution import Execution
from dpig_tf2.models import layers
from dpig_tf2.ops import convolution_speed, convolutions

_KERNEL = (3, 3, 512, 512)
_TAKEN = {(512, 2, False): (1.0, 2.0), (512, 8, False): (2.0, 1.0), (512, 8, True): (1.0, 1.001)}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Folder of stored measurements; a measurement gives `_TAKEN`."""
    monkeypatch.setattr(convolution_speed, "cache_folder", lambda name: tmp_path / name)
    monkeypatch.setattr(convolution_speed, "measure", lambda precision: dict(_TAKEN))
    return tmp_path / "convolutions"


def test_only_what_the_library_computes_clearly_faster_is_left_to_it():
    assert convolution_speed.library_classes(_TAKEN) == ((512, 2, False),)


@pytest.mark.parametrize(
    "batch, side, prepared, expected",
    [
        (1, 4, False, 2),
        (1, 8, True, 8),
        (None, 8, False, 32),
        (8, 8, False, 32),
        (8, 16, True, 256),
    ],
)
def test_a_convolution_belongs_to_the_nearest_class(batch, side, prepared, expected):
    found = convolution_speed.class_of((batch, side, 2 * side, 512), _KERNEL, prepared)
    assert found == (512, expected, prepared)


def test_left_out_classes_go_to_the_library_and_no_others():
    def choose(batch, prepared=False):
        shape = (batch, 8, 4, 512)
        return convolutions.choose_algorithm(
            shape, _KERNEL, 1, "float32", Execution(library=((512, 2, False),)), prepared
        )

    assert choose(1) == "library"
    assert choose(1, prepared=True) == choose(8) == "winograd"


def test_a_layer_computes_as_its_execution_says():
    """The numbers are the library's bits where the class is left to it, and equal to rounding."""
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 128)).astype(np.float32)
    found = []
    for library in ((), ((128, 32, False),)):
        layer = layers.Conv(128, 3, execution=Execution(library=library))
        layer(images)
        layer.kernel.assign(tf.random.stateless_normal(layer.kernel.shape, [0, 0]))
        found.append(layer(images).numpy())
        expected = tf.nn.conv2d(images, layer.kernel, 1, "SAME").numpy()
    np.testing.assert_array_equal(found[1], expected)
    assert (found[0] != expected).any()
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5 * np.abs(expected).max())
    again = layers.Conv.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.execution == layer.execution


def test_a_machine_is_measured_once(cache, capsys):
    assert convolution_speed.seconds("float32") == _TAKEN
    assert convolution_speed.seconds("float32") == _TAKEN
    assert capsys.readouterr().out == "measuring this machine's convolutions, once for float32\n"
    assert len(list(cache.iterdir())) == 1
    convolution_speed.seconds("mixed_bfloat16")
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b'{"machine": {}, "seconds": [[512, 2, false, 1, 2]]}',
        "seconds=5", "seconds=[[7, 7, false, 1, 2]]", "seconds=[[512]]", "seconds=[]",
    ],
)  # fmt: skip
def test_a_damaged_cache_is_measured_again(cache, content):
    convolution_speed.seconds("float32")
    (path,) = cache.iterdir()
    good = path.read_bytes()
    if isinstance(content, str):
        rows = json.loads(content.removeprefix("seconds="))
        content = json.dumps(json.loads(good) | {"seconds": rows}).encode()
    path.write_bytes(content)
    said = []
    assert convolution_speed.seconds("float32", said.append) == _TAKEN
    assert len(said) == 1 and path.read_bytes() == good


def test_a_cache_that_cannot_be_written_costs_only_the_measurement(cache):
    cache.write_text("a file where the folder would be")
    said = []
    for _ in range(2):
        assert convolution_speed.seconds("float32", said.append) == _TAKEN
    assert len(said) == 2


def _measure_in_a_process(folder, barrier):
    convolution_speed.cache_folder = lambda name: folder / name
    convolution_speed.measure = lambda precision: dict(_TAKEN)
    barrier.wait()
    for _ in range(20):
        for path in (folder / "convolutions").glob("*.json"):
            path.unlink(missing_ok=True)
        assert convolution_speed.seconds("float32", str) == _TAKEN


@pytest.mark.slow
def test_two_processes_measure_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    both = [
        context.Process(target=_measure_in_a_process, args=(tmp_path, barrier)) for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    (path,) = (tmp_path / "convolutions").iterdir()
    assert json.loads(path.read_text())["seconds"]


def test_the_measurement_keeps_to_its_time():
    found = convolution_speed.measure("float32", limit=0.0)
    assert len(found) == 2
    assert all(0 < taken < 60 for pair in found.values() for taken in pair)


def test_the_fastest_of_the_turns_counts(monkeypatch):
    seconds = iter([*(9.0, 9.0, 9.0), *(3.0, 1.0, 4.0), *(5.0, 9.0, 2.0)])
    monkeypatch.setattr(convolution_speed, "CLASSES", [(512, 2)])
    monkeypatch.setattr(convolution_speed, "_ROUNDS", 3)
    monkeypatch.setattr(convolution_speed, "_timed", lambda way: next(seconds))
    found = convolution_speed.measure("float32")
    assert found == {(512, 2, False): (3.0, 1.0), (512, 2, True): (3.0, 2.0)}


def test_the_ways_are_the_library_and_winograd_with_and_without_a_prepared_kernel(monkeypatch):
    done = []
    module = convolution_speed.matrix_convolutions
    for name in ("winograd", "winograd_with"):
        monkeypatch.setattr(module, name, lambda *_, n=name: done.append(n))
    monkeypatch.setattr(tf.nn, "conv2d", lambda *_: done.append("library"))
    for way in convolution_speed._ways(32, 2, "float32"):
        way()
    assert done == ["library", "winograd", "winograd_with"]


def test_other_cores_are_measured_anew(cache, monkeypatch):
    convolution_speed.seconds("float32", str)
    monkeypatch.setattr(convolution_speed.processor, "cores", lambda: 99)
    convolution_speed.seconds("float32", str)
    assert len(list(cache.iterdir())) == 2


def test_what_was_measured_of_slower_transforms_is_measured_anew(cache, monkeypatch):
    now = convolution_speed._machine("float32")
    before = {name: value for name, value in now.items() if name != "transforms"}
    with monkeypatch.context() as patched:
        patched.setattr(convolution_speed, "_machine", lambda precision: before)
        convolution_speed.seconds("float32", str)
    said = []
    convolution_speed.seconds("float32", said.append)
    assert said and len(list(cache.iterdir())) == 2


def test_nothing_is_measured_where_there_is_no_choice(cache, monkeypatch):
    def measured(**options):
        return convolution_speed.measured_execution(Execution(**options), str)

    for options in (
        {"implementation": "reference"}, {"jit_compile": True}, {"precision": "mixed_float16"},
    ):  # fmt: skip
        assert measured(**options) == Execution(**options)
    with monkeypatch.context() as patched:
        patched.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
        assert measured() == Execution()
    assert not cache.exists()
    assert measured() == Execution(library=((512, 2, False),))


def test_a_prepared_kernel_counts_as_prepared():
    images = np.random.default_rng(0).normal(size=(1, 8, 8, 128)).astype(np.float32)
    kernel = tf.random.stateless_normal((3, 3, 128, 128), [0, 0])
    execution = Execution(library=((128, 32, False),))
    prepared = convolutions.prepare_kernel(images.shape, kernel, 1, execution)
    found = convolutions.convolve(images, tf.zeros_like(kernel), 1, execution, prepared)
    expected = tf.nn.conv2d(images, kernel, 1, "SAME")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
