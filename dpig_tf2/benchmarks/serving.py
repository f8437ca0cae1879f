"""Every way to serve the networks: as TensorFlow runs them, and as each export does."""

import concurrent.futures
import contextlib
import dataclasses
import json
import multiprocessing
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping

import numpy as np

from dpig_tf2.config import Config
from dpig_tf2.errors import DpigError
from dpig_tf2.execution import Execution
from dpig_tf2.models import factory
from dpig_tf2.models.layers import Network
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.serving import verification
from dpig_tf2.serving.export import export
from dpig_tf2.serving.formats import QUANTIZATIONS, ExportError, ExportSettings, require_packages

NETWORKS = ("appearance_encoder", "generator")
_SIGNATURE = "transfer"
_RUNTIMES = {"onnx": "onnxruntime", "litert": "LiteRT, XNNPACK"}


@dataclasses.dataclass(frozen=True)
class Served:
    """What one way to re-pose persons took, in a process of its own.

    Attributes:
        way: the program that computes.
        precision: of `config.PRECISIONS` or `formats.QUANTIZATIONS`.
        preset, height, width, hidden: sizes, pixels.
        size: bytes of what is loaded.
        mean_levels, max_levels: how far its pictures are from the reference's, of 255.
        batches: numbers of persons.
        seconds: for a picture, for each of `batches`, the median.
        ratios: how many times faster than the reference, the median over turns, for each.
        start_seconds: from the start of the program to the first picture.
        gib: the largest resident memory while pictures were drawn one at a time.
    """

    way: str
    precision: str
    preset: str
    height: int
    width: int
    hidden: int
    size: int
    mean_levels: float
    max_levels: float
    batches: tuple[int, ...]
    seconds: tuple[float, ...]
    ratios: tuple[float, ...]
    start_seconds: float
    gib: float


def serving(
    config: Config,
    precisions: tuple[str, ...],
    runs: int,
    batch: int,
    networks: Mapping[str, Network] | None = None,
) -> tuple[list[Served], list[str]]:
    """Measures all ways, each in turns with the reference.

    Args:
        config: sizes.
        precisions: of TensorFlow's ways, of `config.PRECISIONS`.
        runs: how often everything is done.
        batch: persons at a time, beside one.
        networks: {name: network} with those of `NETWORKS`; None draws their weights.

    Returns:
        what was measured, and a line for each way that was not: its extra is absent, or it cannot
            hold these networks.
    """
    networks = networks or factory.build_networks(NETWORKS, config.model)
    sampler = PersonSampler(config, {name: networks[name] for name in NETWORKS})
    with tempfile.TemporaryDirectory() as folder:
        work = _Comparison(sampler, pathlib.Path(folder), runs, (1, batch))
        return work.measured(precisions)


@dataclasses.dataclass
class _Comparison:
    """All ways to re-pose persons beside the reference; its files lie in a folder."""

    sampler: PersonSampler
    folder: pathlib.Path
    runs: int
    batches: tuple[int, ...]

    def measured(self, precisions):
        self.sampler.save(self.folder / "sampler")
        persons = verification.synthetic_persons(self.sampler.config.model, self.batches[-1])
        targets = np.roll(persons["keypoints"], -1, axis=0)
        np.savez(self.folder / "persons.npz", **persons, target_keypoints=targets)
        plain = self._way("reference", self.folder / "sampler")
        absent = []
        with _Process(plain) as reference:
            rows = [self._row("reference", "float32", plain, reference)]
            for name, precision, way in self._ways(precisions, absent):
                rows.append(self._row(name, precision, way, reference))
        return rows, absent

    def _ways(self, precisions, absent) -> Iterator[tuple[str, str, dict]]:
        """(name, precision, what its process is told); an export is written at its turn."""
        sampler = self.folder / "sampler"
        for precision in precisions:
            for name, frozen in (("TensorFlow, as loaded", False), ("TensorFlow, frozen", True)):
                yield name, precision, self._way("tensorflow", sampler, precision, frozen)
            yield "TensorFlow, SavedModel", precision, self._exported("saved_model", precision)
        for kind, name in _RUNTIMES.items():
            try:
                require_packages(kind)
            except ExportError as error:
                absent.append(f"{name}: {error}")
                continue
            for quantize in QUANTIZATIONS:
                precision = "float32" if quantize == "none" else quantize
                try:
                    way = self._exported(kind, quantize)
                except ExportError as error:
                    absent.append(f"{name}, {precision}: {error}")
                    continue
                yield name, precision, way

    def _way(self, kind, path, precision="float32", frozen=False):
        told = {"kind": kind, "path": path, "precision": precision, "frozen": frozen}
        return told | {"inputs": self.folder / "persons.npz"}

    def _exported(self, kind, how):
        """A way of one export; `how` is its precision, or how it is quantized."""
        settings = ExportSettings(kind, signatures=(_SIGNATURE,))
        execution = Execution()
        if kind == "saved_model":
            execution = Execution(how, jit_compile=True)
        else:
            settings = dataclasses.replace(settings, quantize=how)
        task = self.folder / "sampler", execution, self.folder / f"{kind} {how}"
        if kind != "litert":
            return self._way(kind, _in_own_process(*task, settings))
        settings = [dataclasses.replace(settings, batch_size=size) for size in self.batches]
        return self._way(kind, {str(s.batch_size): _in_own_process(*task, s) for s in settings})

    def _row(self, name, precision, way, reference):
        seconds, ratios, apart = [], [], None
        with _Process(way) as process:
            start = process.draw(1, first=True)
            gib = start["gib"]
            for batch in self.batches:
                found = [self._pictures(each, batch) for each in (reference, process)]
                apart = np.abs(found[0].astype(int) - found[1])
                turns = []
                for _ in range(self.runs):
                    base, own = reference.draw(batch), process.draw(batch)
                    turns.append((base["seconds"], own["seconds"]))
                    gib = max(gib, own["gib"]) if batch == 1 else gib
                seconds.append(statistics.median(own for _, own in turns) / batch)
                ratios.append(statistics.median(base / own for base, own in turns))
        config = self.sampler.config
        assert apart is not None
        return Served(
            way=name,
            precision=precision,
            preset=config.preset,
            height=config.model.height,
            width=config.model.width,
            hidden=config.model.hidden,
            size=_size(way["path"]),
            mean_levels=float(apart.mean()),
            max_levels=float(apart.max()),
            batches=self.batches,
            seconds=tuple(seconds),
            ratios=tuple(ratios),
            start_seconds=start["start_seconds"],
            gib=gib,
        )

    def _pictures(self, process, batch):
        process.draw(batch, save=self.folder / "images.npy")
        return np.load(self.folder / "images.npy", allow_pickle=False)


def _in_own_process(*task):
    """`_export`, with which the gigabytes go that converters keep."""
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
        return process.submit(_export, *task).result()


def _export(sampler, execution, folder, settings):
    loaded = PersonSampler.load(sampler, execution)
    return export(loaded.config, loaded.model.networks, folder, settings)


class _Process(contextlib.AbstractContextManager):
    """A process of `serving_process`."""

    def __init__(self, way):
        told = json.dumps(way, default=str)
        self._errors = tempfile.TemporaryFile("w+", errors="replace")
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dpig_tf2.benchmarks.serving_process", told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def draw(self, batch, first=False, save=None):
        """Draws a batch; what the process says of it, with the time since its start for `first`."""
        assert self._process.stdin and self._process.stdout
        request = {"batch": batch} | ({"save": str(save)} if save else {})
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            self._errors.seek(0)
            said = (self._errors.read().strip().splitlines() or ["nothing"])[-1]
            raise DpigError(f"measuring serving: exit status {status}; it said {said!r}")
        answer = json.loads(line)
        if first:
            answer["start_seconds"] = time.perf_counter() - self._started
        return answer

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._errors.close()


def _size(folders):
    """Bytes of a folder, or of the first of several."""
    first = folders if isinstance(folders, pathlib.Path) else next(iter(folders.values()))
    return sum(file.stat().st_size for file in first.rglob("*") if file.is_file())
