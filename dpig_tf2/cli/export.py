"""Writes networks as a SavedModel, or as ONNX or LiteRT files.

Examples:
    dpig export --run_dir=runs/demo --out_dir=models/person
    dpig export --run_dir=runs/demo --format=onnx --quantize=int8 --signatures=transfer,sample

The first writes models/person/1/ for a model server, with a JSON file that describes the typed
signatures (reconstruct, transfer, encode, generate, sample, ...). What was written is loaded in the
format's own runtime and compared to what this program computes; the difference is printed and in
the JSON.
"""

from absl import flags, logging

from dpig_tf2.cli import flag_groups, person_flags, program
from dpig_tf2.cli.program import FlagError
from dpig_tf2.execution import Execution
from dpig_tf2.serving.formats import DESCRIPTION, FORMATS, QUANTIZATIONS, ExportSettings

FLAGS = flags.FlagValues()
_RUN_FOLDER = flag_groups.RunFolderFlags(FLAGS)
_OUT_DIR = flag_groups.define_out_dir(
    FLAGS,
    "Folder for all versions of the model. By default RUN_DIR/export, for onnx and litert "
    "RUN_DIR/export_FORMAT.",
)
_VERSION = flags.DEFINE_integer(
    "version",
    None,
    "Version number. By default the next after the highest one there.",
    lower_bound=1,
    flag_values=FLAGS,
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "saved_model",
    list(FORMATS),
    "A saved_model is for TensorFlow and its server, and holds all signatures; onnx, for ONNX "
    "Runtime and browsers, and litert, for phones, are a file for each signature. Each needs the "
    "extra of its name.",
    flag_values=FLAGS,
)
_QUANTIZE = flags.DEFINE_enum(
    "quantize",
    "none",
    list(QUANTIZATIONS),
    "Of onnx and litert. float16: weights are stored in 16 bits. int8: convolutions and dense "
    "layers of encoder and generator are computed in 8 bits, in ranges found on the persons of "
    "--data_dir or on synthetic ones.",
    flag_values=FLAGS,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    None,
    "Of onnx and litert: persons at a time. By default any number; in LiteRT, whose sizes are "
    "fixed, 1.",
    lower_bound=1,
    flag_values=FLAGS,
)
_SIGNATURES = flags.DEFINE_list(
    "signatures",
    [],
    "Names of the signatures to export, e.g. transfer,sample. By default all that the trained "
    "networks can run.",
    flag_values=FLAGS,
)
_PRECISION = flag_groups.define_precision(FLAGS)
_PORTABLE = flags.DEFINE_bool(
    "portable",
    True,
    "Of saved_model: compute in a way that runs well everywhere: CPU, GPU, compiled by XLA. "
    "--noportable takes what is fastest on this machine, for servers like it; numbers are equal up "
    "to rounding.",
    flag_values=FLAGS,
)
_RECORDS = person_flags.RecordFlags(FLAGS, split="train", skippable=False)


def main() -> None:
    if _FORMAT.value == "saved_model":
        for flag in (_QUANTIZE, _BATCH_SIZE):
            if flag.present and flag.value not in ("none", None):
                raise FlagError(f"--{flag.name} is for onnx and litert", field=flag.name)
    settings = ExportSettings(
        _FORMAT.value,
        _QUANTIZE.value,
        _BATCH_SIZE.value,
        tuple(_SIGNATURES.value),
        _VERSION.value,
    )
    _RECORDS.check()
    if settings.format != "saved_model":
        for flag in (_PRECISION, _PORTABLE):
            if flag.present:
                raise FlagError(f"--{flag.name} is for saved_model", field=flag.name)
    if _RECORDS.data_dir.value and settings.quantize != "int8":
        raise FlagError("--data_dir needs --quantize=int8", field="data_dir")
    config = _RUN_FOLDER.config()  # a wrong folder is refused before TensorFlow is loaded
    _RECORDS.require()
    persons = _persons(config.model) if _RECORDS.data_dir.value else None
    from dpig_tf2.models.loading import load_networks
    from dpig_tf2.ops.convolution_speed import measured_execution
    from dpig_tf2.progress import reporter
    from dpig_tf2.serving import runtimes
    from dpig_tf2.serving.export import export

    if logging.get_verbosity() < logging.DEBUG:
        logging.set_verbosity(logging.WARNING)  # without a line for every file of a SavedModel
    run_dir = _RUN_FOLDER.path.value
    execution = Execution()
    if settings.format == "saved_model":
        execution = Execution(_PRECISION.value, jit_compile=_PORTABLE.value)
        execution = measured_execution(execution, program.say)  # of portable ones: as it is
    config, networks = load_networks(run_dir, execution, _RUN_FOLDER.checkpoint.value)
    default = "export" if settings.format == "saved_model" else f"export_{settings.format}"
    out_dir = _OUT_DIR.value or _RUN_FOLDER.open().outputs / default
    path = export(config, networks, out_dir, settings, persons, reporter())
    for line in _summary(runtimes.describe(path)):
        program.say(line)
    program.say(f"wrote {path}; signatures: {path / DESCRIPTION[settings.format]}")


def _persons(model):
    """Persons of the records, for the ranges of int8."""
    from dpig_tf2.records.record_set import RecordSet
    from dpig_tf2.serving import verification

    records = RecordSet.open(_RECORDS.data_dir.value, _RECORDS.split.value)
    return verification.recorded_persons(records, model, verification.CALIBRATION_PERSONS)


def _summary(description):
    """A line for each signature: size, and how far its outputs are from PersonSampler's."""
    for name, signature in description["signatures"].items():
        parts = [f"{signature['bytes'] / 1e6:.1f} MB"] if "bytes" in signature else []
        for output, entry in signature["outputs"].items():
            difference = entry["difference"]
            pictures = entry["dtype"] in ("uint8", "string")
            unit, digits = ("levels", ".3f") if pictures else ("", ".2g")
            parts.append(
                f"{output} {unit + ' ' if unit else ''}apart: {difference['mean']:{digits}} on "
                f"average, {difference['max']:.3g} at most"
            )
        yield f"{name}: {'; '.join(parts)}"


if __name__ == "__main__":
    program.run(__name__)
