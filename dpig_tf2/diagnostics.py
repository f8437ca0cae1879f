"""Checks of an installation: versions, devices, a training step, the same under XLA."""

import concurrent.futures
import ctypes
import dataclasses
import functools
import importlib.metadata
import math
import multiprocessing
import pathlib
import platform
import time
from collections.abc import Iterator

OK, WARNING, FAILED = "ok", "warning", "failed"

_REQUIREMENTS = pathlib.Path(__file__).parents[1] / "requirements.txt"
_TESTED_PYTHON = ((3, 11), (3, 13))
# TF 2.21 with cuDNN 9.3 to 9.5: XLA's autotuner dies on convolutions; 9.24 is known to work.
_XLA_BREAKING_CUDNN = ((9, 3), (9, 5))
_CUDNN_ADVICE = 'train without --jit_compile, or: pip install "nvidia-cudnn-cu12>=9.24"'
_XLA_TOLERANCE = 1e-3  # relative; the two losses differ only by rounding


@dataclasses.dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: what was looked at.
        verdict: OK, WARNING (works, or something optional does not) or FAILED (needed).
        finding: versions, devices, figures or the error.
        advice: what to do unless the verdict is OK.
    """

    name: str
    verdict: str
    finding: str
    advice: str = ""


def run_checks() -> Iterator[Check]:
    """Every check, those first on which others depend; on a CPU they take half a minute.

    With a needed package absent the rest could only repeat that, and is left out.
    """
    yield check_python()
    packages = [check_package(requirement) for requirement in requirements()]
    yield from packages
    yield check_addons()
    if any(package.verdict == FAILED for package in packages):
        return
    yield check_backend()
    yield check_build()
    gpus = visible_gpus()
    yield check_devices(gpus)
    if gpus:
        yield check_cudnn(cudnn_version())
    plain = training_steps(jit_compile=False)
    yield check_step(plain)
    yield check_xla(training_steps(jit_compile=True), plain)
    if not plain.error:
        yield check_bfloat16()


# ---- versions


def check_python() -> Check:
    version = platform.python_version()
    lowest, highest = _TESTED_PYTHON
    if lowest <= tuple(map(int, platform.python_version_tuple()[:2])) <= highest:
        return Check("python", OK, version)
    tested = f"{lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]}"
    return Check("python", WARNING, version, f"tested with Python {tested}")


def requirements() -> list[str]:
    """Requirement lines such as "numpy>=2.1,<3", of the installed package or the checkout."""
    try:
        lines = importlib.metadata.requires("dpig-tf2") or []
    except importlib.metadata.PackageNotFoundError:
        lines = _REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#") and "extra ==" not in line]


def check_package(requirement: str) -> Check:
    """Whether a package is installed, and in a tested version."""
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(wanted.name, FAILED, "not installed", f'pip install "{requirement}"')
    if wanted.specifier.contains(version, prereleases=True):
        return Check(wanted.name, OK, version)
    return Check(wanted.name, WARNING, version, f"tested with {wanted.specifier}")


def check_addons() -> Check:
    try:
        version = importlib.metadata.version("tensorflow-addons")
    except importlib.metadata.PackageNotFoundError:
        return Check("tensorflow-addons", OK, "absent, as it should be")
    advice = "not needed, and cannot be imported beside Keras 3: pip uninstall tensorflow-addons"
    return Check("tensorflow-addons", WARNING, version, advice)


def check_backend() -> Check:
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return Check("keras backend", OK, backend)
    return Check("keras backend", FAILED, backend, "set KERAS_BACKEND=tensorflow")


def check_build() -> Check:
    import tensorflow as tf

    info = tf.sysconfig.get_build_info()
    if not info.get("is_cuda_build"):
        return Check("tensorflow build", OK, "for CPU only")
    versions = ", ".join(
        f"{label} {info[key]}"
        for label, key in (("CUDA", "cuda_version"), ("cuDNN", "cudnn_version"))
        if key in info
    )
    return Check("tensorflow build", OK, f"for {versions}")


# ---- devices


def visible_gpus() -> list[str]:
    """Descriptions of the GPUs that TensorFlow can use."""
    import tensorflow as tf

    return [
        " ".join(str(v) for v in tf.config.experimental.get_device_details(gpu).values())
        for gpu in tf.config.list_physical_devices("GPU")
    ]


def check_devices(gpus: list[str]) -> Check:
    if gpus:
        return Check("devices", OK, f"{len(gpus)} GPU: {'; '.join(gpus)}")
    if list(pathlib.Path("/dev").glob("nvidia[0-9]*")):
        advice = (
            "TensorFlow misses its CUDA libraries or a newer driver: "
            'pip install "tensorflow[and-cuda]", and look at nvidia-smi'
        )
        return Check("devices", WARNING, "CPU only, although there is an NVIDIA GPU", advice)
    return Check("devices", OK, f"CPU only ({multiprocessing.cpu_count()} cores)")


def cudnn_version() -> tuple[int, int] | None:
    """(major, minor) of the cuDNN that TensorFlow loads: its package's or the system's."""
    for package in ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13"):
        try:
            major, minor = importlib.metadata.version(package).split(".")[:2]
            return int(major), int(minor)
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        number = ctypes.CDLL("libcudnn.so.9").cudnnGetVersion()  # 90501 is 9.5.1
    except OSError:
        return None
    return number // 10000, number // 100 % 100


def check_cudnn(version: tuple[int, int] | None) -> Check:
    if version is None:
        return Check("cuDNN", WARNING, "not found", 'pip install "tensorflow[and-cuda]"')
    found = f"{version[0]}.{version[1]}"
    lowest, highest = _XLA_BREAKING_CUDNN
    if lowest <= version <= highest:
        return Check("cuDNN", WARNING, f"{found} breaks XLA on GPU", _CUDNN_ADVICE)
    return Check("cuDNN", OK, found)


# ---- training


@dataclasses.dataclass(frozen=True)
class StepResult:
    """Outcome of two training steps; `error` is empty if they ran."""

    loss: float = math.nan  # reconstruction loss before the second update
    seconds: float = math.nan
    error: str = ""


def training_steps(jit_compile: bool) -> StepResult:
    """Two steps of a tiny reconstruction stage, in a process of their own.

    A broken driver or compiler can kill the process that uses it; the checks must survive that.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        try:
            return pool.submit(_guarded, functools.partial(_train, jit_compile)).result()
        except concurrent.futures.process.BrokenProcessPool:
            return StepResult(error="the process died, see the messages above")


def check_step(result: StepResult) -> Check:
    name = "training step"
    if result.error:
        advice = "training cannot work here: look for a failed line above"
        return Check(name, FAILED, result.error, advice)
    return Check(name, OK, f"loss {result.loss:.5f}, {result.seconds:.0f} s with tracing")


def check_xla(compiled: StepResult, plain: StepResult) -> Check:
    """XLA is optional, so whatever it does is at worst a warning."""
    name = "training step under XLA"
    if compiled.error:
        return Check(name, WARNING, compiled.error, _CUDNN_ADVICE)
    finding = f"loss {compiled.loss:.5f}, {compiled.seconds:.0f} s with compilation"
    if abs(compiled.loss - plain.loss) > _XLA_TOLERANCE * abs(plain.loss):
        return Check(name, WARNING, f"{finding}, not that of the plain step", _CUDNN_ADVICE)
    return Check(name, OK, finding)


def check_bfloat16() -> Check:
    """Whether training in 16 bits saves time, measured."""
    from dpig_tf2.execution import Execution
    from dpig_tf2.training.precision import MOST_SLOWDOWN, slowdown

    factor = slowdown(Execution("mixed_bfloat16"))
    finding = f"{factor:.1f} times the time of float32"
    if factor > MOST_SLOWDOWN:
        return Check("mixed_bfloat16", WARNING, finding, "train in float32, the default")
    return Check("mixed_bfloat16", OK, finding)


def _guarded(function) -> StepResult:
    # Not every TensorFlow error survives the way back from another process, its text does.
    try:
        return function()
    except Exception as error:
        text = " ".join(str(error).split())
        return StepResult(error=f"{type(error).__name__}: {text[:300]}")


def _train(jit_compile) -> StepResult:
    import keras
    import tensorflow as tf

    from dpig_tf2 import testing
    from dpig_tf2.execution import Execution
    from dpig_tf2.training.trainers import build_trainer

    start = time.perf_counter()
    config = testing.tiny_config()
    keras.utils.set_random_seed(0)
    trainer = build_trainer("reconstruction", config, Execution(jit_compile=jit_compile))
    person = testing.random_person(config.model, config.reconstruction.batch_size)
    step = tf.function(trainer.train_step, jit_compile=jit_compile)
    step({"source": person})
    loss = float(step({"source": person})["loss/reconstruction"])
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")
    return StepResult(loss, time.perf_counter() - start)
