"""Trained networks in formats that run without this package, verified as they are written."""

import dataclasses
import functools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

import dpig_tf2
from dpig_tf2.config import Config
from dpig_tf2.execution import Execution
from dpig_tf2.io import locks
from dpig_tf2.io.atomic import replacing_folder
from dpig_tf2.models import factory, weights
from dpig_tf2.models.layers import Network
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.serving import (
    litert_format,
    onnx_format,
    runtimes,
    signatures,
    verification,
    warmup,
)
from dpig_tf2.serving.formats import DESCRIPTION, ExportError, ExportSettings
from dpig_tf2.serving.signatures import Signature

# Takes and gives pictures, and nearly all the work is theirs: 8 bits pay here, and are too coarse
# for coordinates of keypoints.
_QUANTIZED_NETWORKS = ("appearance_encoder", "generator")


def export(
    config: Config,
    networks: Mapping[str, Network],
    directory: str | os.PathLike,
    settings: ExportSettings = ExportSettings(),
    calibration: Mapping[str, np.ndarray] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pathlib.Path:
    """Writes `<directory>/<version>/`, the layout of model servers, and returns its path.

    The folder appears under its name only when it is complete, and what is in it was loaded by the
    format's own runtime and gave what PersonSampler gives on synthetic persons. A JSON file
    (`formats.DESCRIPTION`, `runtimes.describe`) has every input and output and the differences.

    Args:
        config: the run's configuration.
        networks: {name: network}, as `models.loading.load_networks` gives both; signatures that
            need an absent one are left out, and the description says which. Frozen ones are thawed.
            A SavedModel computes as they do, other formats in float32 (`settings.quantize`).
        directory: folder of all versions; created if missing.
        settings: what is written.
        calibration: images and keypoints of persons, for int8; None takes synthetic ones.
        progress: called with (what is done, signatures done, signatures in all).

    Raises:
        ExportError: if the version exists already, if the directory is a file, if a signature is
            unknown, if the networks at hand suffice for none, or if what was written differs from
            PersonSampler by more than rounding (where nothing is quantized).
    """
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ExportError(
            f"{directory} is a file, expected a folder for versions of the model", file=directory
        )
    with locks.writing(directory):
        return _export(config, networks, directory, settings, calibration, progress)


def _export(config, networks, directory, settings, calibration, progress):
    for left in directory.glob(".[0-9]*.[0-9]*.tmp"):  # by a killed export: the folder is locked
        shutil.rmtree(left, ignore_errors=True)
    version = settings.version or _next_version(directory)
    target = directory / str(version)
    if target.exists():
        raise ExportError(f"{target} exists already: choose another version", file=target)
    for network in networks.values():
        network.thaw()  # the graphs refer to weights; several times their size would not fit in
    sampler = PersonSampler(config, _executed(config, networks, Execution()))
    exported = dict(networks)
    if settings.format != "saved_model":
        exported = _executed(config, networks, Execution(jit_compile=True))
    model = PersonModel(config.model, exported, settings.format != "saved_model")
    available, unavailable = _chosen(model, settings)
    report = progress or (lambda *_: None)
    work = _Export(config, settings, exported, available, sampler, calibration, report)

    with replacing_folder(target) as temporary:
        described = work.write(temporary)
        description = _description(config, settings, described, unavailable)
        path = temporary / DESCRIPTION[settings.format]
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(description, indent=2) + "\n")
    return target


@dataclasses.dataclass(frozen=True)
class _Export:
    """One export on its way to a folder."""

    config: Config
    settings: ExportSettings
    networks: dict[str, Network]
    available: dict[str, Signature]
    sampler: PersonSampler
    calibration: Mapping[str, np.ndarray] | None
    progress: Callable[[str, int, int], None]

    def write(self, folder) -> dict:
        """Writes the files; {signature: its description}."""
        if self.settings.format == "saved_model":
            return self._write_saved_model(folder)
        return self._each("exporting", lambda name: self._write_file(folder, name))

    def _each(self, label, work):
        """{signature: what `work` gives for its name}, with progress."""
        done = {}
        for name in self.available:
            done[name] = work(name)
            self.progress(label, len(done), len(self.available))
        return done

    def _write_saved_model(self, folder):
        graphs = self._each("tracing", lambda name: self.available[name].trace())
        tf.saved_model.save(_Weights(self.networks), folder, signatures=graphs)
        described = {n: signatures.describe(self.available[n], g) for n, g in graphs.items()}
        loaded = runtimes.saved_model(folder)
        self._each("verifying", lambda name: self._verify(loaded(name), name, described[name]))
        one = verification.synthetic_persons(self.config.model, 1)
        (folder / warmup.PLACE).parent.mkdir(exist_ok=True)
        # A server that batches would not load with a request of an input that has no batch axis.
        warmed = {n: s for n, s in self.available.items() if s.batched}
        requests = {n: verification.inputs_of(s, self.sampler, one) for n, s in warmed.items()}
        warmup.write(folder / warmup.PLACE, requests)
        return described

    def _write_file(self, folder, name):
        kind, signature = self.settings.format, self.available[name]
        file = folder / f"{name}{runtimes.SUFFIX[kind]}"
        to_int8 = self.settings.quantize == "int8"
        inside = [n for n in _QUANTIZED_NETWORKS if to_int8 and n in signature.networks]
        write = {"onnx": self._write_onnx, "litert": self._write_litert}[kind]
        graph, prefix = write(file, name, signature, inside)
        described = signatures.describe(signature, graph, prefix)
        described |= {"file": file.name, "bytes": file.stat().st_size}
        self._verify(runtimes.load(folder, kind, name), name, described)
        return described

    def _write_onnx(self, file, name, signature, quantized):
        """The graph that was written, and what the names of its outputs begin with."""
        prefix = runtimes.ONNX_OUTPUT
        variables = [v for n in signature.networks for v in self.networks[n].variables]
        named = {f"weights_{i}": variable for i, variable in enumerate(variables)}
        graph = signature.trace(self.settings.rows, with_checks=False, prefix=prefix, weights=named)
        model = onnx_format.convert(graph, named, name)
        if quantized:
            onnx_format.quantize(model, file, self._calibration(signature), quantized)
            return graph, prefix
        if self.settings.quantize == "float16":
            onnx_format.halve_weights(model)
        file.write_bytes(model.SerializeToString())
        return graph, prefix

    def _write_litert(self, file, name, signature, quantized):
        """As `_write_onnx`."""
        graph = signature.trace(self.settings.rows, with_checks=False)
        halve = self.settings.quantize == "float16"
        content = litert_format.convert(graph, name, _Weights(self.networks), halve)
        if quantized:
            persons = self._calibration(signature)
            content = litert_format.quantize(content, name, persons, quantized)
        file.write_bytes(content)
        return graph, ""

    def _calibration(self, signature):
        """Inputs of a signature, batch by batch."""
        persons, rows = self.calibration, self.settings.rows or 1
        if persons is None:
            persons = verification.synthetic_persons(
                self.config.model, verification.CALIBRATION_PERSONS, verification.PERSONS
            )
        persons = _whole_batches(persons, rows)
        inputs = verification.inputs_of(signature, self.sampler, persons)
        return [
            {name: array[i : i + rows] for name, array in inputs.items()}
            for i in range(0, len(persons["images"]), rows)
        ]

    def _verify(self, run, name, described):
        """Adds to the outputs how far they are from the sampler."""
        settings = self.settings
        rows = settings.rows if settings.format != "saved_model" else None
        found = verification.differences(
            self._reference[name],
            self.sampler,
            functools.partial(runtimes.in_batches, run, rows=rows),
            _whole_batches(self._persons, rows or 1),
        )
        for output, difference in found.items():
            exact = settings.quantize == "none" and self._precision() == "float32"
            allowed = difference.pop("allowed")
            if exact and not difference["max"] <= allowed:
                raise ExportError(
                    f"{name}: {output} in {settings.format} differs from PersonSampler by "
                    f"{difference['max']:g}, at most {allowed:g} was expected",
                    field=f"{name}/{output}",
                )
            described["outputs"][output]["difference"] = difference

    @functools.cached_property
    def _reference(self):
        """The signatures by the sampler's networks."""
        portable = self.settings.format != "saved_model"
        return signatures.available_signatures(self.sampler.model, portable)[0]

    @functools.cached_property
    def _persons(self):
        """Persons that all signatures are verified on."""
        return verification.synthetic_persons(self.config.model, verification.PERSONS)

    def _precision(self):
        return next(iter(self.networks.values())).execution.precision


class _Weights(tf.Module):
    """What a SavedModel must own: the plain variables, not the Keras objects around them.

    A Keras model would add a signature of its own, which takes a single input.
    """

    def __init__(self, networks):
        super().__init__()
        self.weights = [
            variable.value for network in networks.values() for variable in network.variables
        ]


def _chosen(model, settings):
    """The signatures to write, and why others cannot be: {name: Signature}, {name: reason}."""
    available, unavailable = signatures.available_signatures(model, model.portable)
    for name in settings.signatures:
        if name in unavailable:
            raise ExportError(f"signature {name} {unavailable[name]}", field="signatures")
        if name not in available:
            message = f"unknown signature {name!r}; known: {', '.join(available)}"
            raise ExportError(message, field="signatures")
    if not available:
        reasons = "; ".join(f"{name} {why}" for name, why in unavailable.items())
        raise ExportError(f"the trained networks suffice for no signature: {reasons}")
    names = settings.signatures or available
    return {name: available[name] for name in available if name in names}, unavailable


def _executed(config, networks, execution):
    """The networks if they compute so, otherwise others of the same weights."""
    if all(network.execution == execution for network in networks.values()):
        return dict(networks)
    arrays = weights.collect(v for network in networks.values() for v in network.variables)
    copies = factory.build_networks(networks, config.model, execution)
    for network in copies.values():
        weights.assign(network.variables, arrays, "the networks")
    return copies


def _whole_batches(persons, rows):
    """Persons repeated until they fill whole batches."""
    count = len(persons["images"])
    taken = np.arange(-(-count // rows) * rows) % count
    return {name: array[taken] for name, array in persons.items()}


def _description(config, settings, described, unavailable):
    pictures = verification.largest(
        {n: o["difference"] for n, o in each["outputs"].items()} for each in described.values()
    )
    return {
        "package": f"dpig_tf2 {dpig_tf2.__version__}",
        "tensorflow": tf.__version__,
        "format": settings.format,
        "quantize": settings.quantize,
        "batch_size": settings.rows,
        "preset": config.preset,
        "model": dataclasses.asdict(config.model),
        "keypoint_names": KEYPOINT_NAMES,
        "appearance_layout": config.model.appearance_layout,
        "verified": {"persons": verification.PERSONS, "levels_of_pictures": pictures},
        "signatures": described,
        "unavailable": unavailable,
    }


def _next_version(directory):
    found = [int(path.name) for path in directory.glob("*") if path.name.isdecimal()]
    return max(found, default=0) + 1
