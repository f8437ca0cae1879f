"""What all verbs share that score: where the scores go, and what they say about the networks."""

import json
import pathlib
from collections.abc import Iterable

from absl import flags

from dpig_tf2 import config as configuration
from dpig_tf2.cli import program
from dpig_tf2.cli.flag_groups import RunFolderFlags, asked, define_out


class ScoreVerb:
    """Flags for the networks and the JSON file, and what is done with finished scores.

    Args:
        flag_values: the flags of the verb.
        required: whether networks are needed.
    """

    def __init__(self, flag_values: flags.FlagValues, required: bool = True):
        self._flags = flag_values
        self.run_folder = RunFolderFlags(flag_values, required)
        self._out = define_out(
            flag_values,
            "JSON file for the scores; a picture goes beside it. By default an entry of "
            "RUN_DIR/metrics.json, and RUN_DIR/samples.",
        )

    def require_writable(self) -> None:
        """Raises OSError if the scores could not be written, before they are computed."""
        from dpig_tf2.io.atomic import require_writable

        if self._out.value:
            require_writable(self._out.value)
        elif self.run_folder.path.value:
            require_writable(self.run_folder.open().metrics)

    def sampler(self):
        """The networks that are scored."""
        from dpig_tf2.execution import Execution
        from dpig_tf2.sampling.sampler import PersonSampler

        return PersonSampler.load(
            self.run_folder.path.value,
            Execution(),  # scores do not depend on how busy a machine was when it was measured
            checkpoint=self.run_folder.checkpoint.value,
        )

    def save_picture(self, name: str, picture) -> None:
        """Writes a picture beside the scores, once these are safe: RUN_DIR/samples/<name>.png."""
        from dpig_tf2.io.images import save_png

        path = self._place(f"{name}.png")
        save_png(path, picture)
        program.say(f"picture: {path}")

    def keep_poses(self, name: str, detected) -> None:
        """Writes found keypoints as <scores>_<name>.csv beside the scores, if these are written."""
        if self._out.value or self.run_folder.path.value:
            for line in detected.keep(self._place(f"{name}.csv", "evaluate_")):
                program.say(line)

    def _place(self, name, prefix=""):
        """Where a file goes that belongs to the scores: beside --out, or RUN_DIR/samples."""
        if self._out.value:
            out = pathlib.Path(self._out.value)
            return out.with_name(f"{out.stem}_{name}")
        return self.run_folder.open().samples / f"{prefix}{name}"

    def finish(self, name: str, scores: dict, inputs: Iterable[pathlib.Path] = ()) -> int:
        """Prints and writes scores with what they were computed from; the exit status.

        Args:
            name: of the entry in metrics.json.
            scores: JSON values; lines under "skipped" are printed and make the status 1.
            inputs: files that tell what was scored, kept with their checksums; absent ones are not.
        """
        from dpig_tf2.io.atomic import write_json
        from dpig_tf2.io.hashes import sha256
        from dpig_tf2.presets.packing import without_details

        run = self.run_folder.open() if self.run_folder.path.value else None
        if run:
            scores = scores | provenance(run, self.run_folder.checkpoint.value)
        scores = scores | asked(self._flags)
        scores["inputs"] = {path.name: sha256(path) for path in inputs if path.exists()}
        print(json.dumps(without_details(scores), indent=2))
        if self._out.value:
            path = pathlib.Path(self._out.value)
            write_json(path, scores)
            program.say(f"scores: {path}")
        elif run:
            run.write_metrics(name, scores)
            program.say(f"scores: {run.metrics}")
        skipped = scores.get("skipped", [])
        for line in skipped:
            program.say(f"skipped: {line}")
        return 1 if skipped else 0


def provenance(run, checkpoint):
    """Which networks were scored: preset and the files of weights with steps and checksums."""
    from dpig_tf2.io import array_files
    from dpig_tf2.io.hashes import sha256

    if run.saved_weights:
        return {"preset": run.config.preset, "weights": {"sha256": sha256(run.saved_weights)}}
    files = {
        stage: run.checkpoint_file(stage, checkpoint)
        for stage in configuration.STAGES
        if run.latest_step(stage) is not None
    }
    return {
        "preset": run.config.preset,
        "checkpoints": {
            stage: {
                "step": int(array_files.load(path, ["step"])["step"]),
                "sha256": sha256(path),
            }
            for stage, path in files.items()
        },
    }
