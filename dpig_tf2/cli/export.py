"""Writes trained networks as a SavedModel that runs without this package.

Examples:
    dpig export --run_dir=runs/demo --out_dir=models/person
    dpig export --run_dir=runs/demo --precision=mixed_bfloat16 --noportable

writes models/person/1/ for a model server, with assets.extra/signatures.json describing the typed
signatures (reconstruct, transfer, encode, generate, sample, ...).
"""

from absl import flags

from dpig_tf2.cli import flag_groups, program
from dpig_tf2.execution import Execution

FLAGS = flags.FlagValues()
_RUN_FOLDER = flag_groups.RunFolderFlags(FLAGS)
_OUT_DIR = flags.DEFINE_string(
    "out_dir",
    None,
    "Folder for all versions of the model. By default RUN_DIR/export.",
    flag_values=FLAGS,
)
_VERSION = flags.DEFINE_integer(
    "version",
    None,
    "Version number. By default the next after the highest one there.",
    lower_bound=1,
    flag_values=FLAGS,
)
_PRECISION = flag_groups.define_precision(FLAGS)
_PORTABLE = flags.DEFINE_bool(
    "portable",
    True,
    "Compute in a way that runs well everywhere: CPU, GPU, compiled by XLA. --noportable takes "
    "what is fastest on this machine, for servers like it; numbers are equal up to rounding.",
    flag_values=FLAGS,
)


def main() -> None:
    _RUN_FOLDER.config()  # a wrong folder is refused before TensorFlow is loaded
    from dpig_tf2.models.loading import load_networks
    from dpig_tf2.serving.export import DESCRIPTION, export

    run_dir = _RUN_FOLDER.path.value
    execution = Execution(_PRECISION.value, jit_compile=_PORTABLE.value)
    config, networks = load_networks(run_dir, execution, _RUN_FOLDER.checkpoint.value)
    out_dir = _OUT_DIR.value or _RUN_FOLDER.open().outputs / "export"
    path = export(config, networks, out_dir, _VERSION.value)
    program.say(f"wrote {path}; signatures: {path / DESCRIPTION}")


if __name__ == "__main__":
    program.run(__name__)
