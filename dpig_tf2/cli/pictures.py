"""What all verbs share that write pictures of trained networks."""

import contextlib
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from absl import flags

from dpig_tf2.cli import flag_groups, program
from dpig_tf2.config import ModelConfig
from dpig_tf2.errors import DpigError, counted

_KEYPOINTS = "keypoints.csv"


class PictureVerb:
    """Flags for networks and output folder, and the run from networks to finished folder.

    Args:
        name: of the verb.
        flag_values: the flags of the verb.
        precision: whether the verb works in other precisions than float32.
    """

    def __init__(self, name: str, flag_values: flags.FlagValues, precision: bool = True):
        self.name = name
        self.run_folder = flag_groups.RunFolderFlags(flag_values)
        self._execution = flag_groups.ExecutionFlags(flag_values, precision)
        self._batch_size = flags.DEFINE_integer(
            "batch_size",
            32,
            "Pictures generated at once; fewer need less memory.",
            lower_bound=1,
            flag_values=flag_values,
        )
        self._out_dir = flag_groups.define_out_dir(
            flag_values, f"Folder for the pictures. By default RUN_DIR/samples/{name}."
        )
        self._overwrite = flags.DEFINE_bool(
            "overwrite",
            False,
            "Replace what was made with other settings or from other inputs.",
            flag_values=flag_values,
        )

    @property
    def batch_size(self) -> int:
        return self._batch_size.value

    def model(self) -> ModelConfig:
        """Configuration of the networks, read before TensorFlow is loaded."""
        return self.run_folder.config().model

    def write(
        self,
        task: Callable,
        reader=None,
        networks: Iterable[str] = (),
        decisive: Iterable[flags.FlagHolder] = (),
        optional: Iterable[str] = (),
        paste_back: bool = False,
        further_poses: Mapping | None = None,
        left_out: Iterable[str] = (),
    ) -> int:
        """Loads the networks, lets the task write its files, and says what came of it.

        Args:
            task: called with a `sampling.tasks.context.Context`.
            reader: of the persons, if there are any; see `PersonFlags.reader`.
            networks: names of those that the task runs. One that is not trained is refused before
                anything is written.
            decisive: the flags that decide what a file of a given name holds. A folder made with
                other values, or before a file that they name was changed, is refused unless
                --overwrite is given.
            optional: names of those that it runs if they are trained.
            paste_back: put pictures back into photos, see `Context`.
            further_poses: {CSV name: poses} besides those of the reader, see `PhotoPoses`.
            left_out: a line for each pose that is left out, known when the task ends.

        Returns:
            The exit status: 1 if a person or pose was left out.
        """
        from dpig_tf2.progress import reporter
        from dpig_tf2.sampling.output_folder import MANIFEST, OutputFolder
        from dpig_tf2.sampling.sampler import PersonSampler
        from dpig_tf2.sampling.tasks.context import Context

        sampler = PersonSampler.load(
            self.run_folder.path.value,
            batch_size=self.batch_size,
            names=(*sorted(networks), *optional),
            checkpoint=self.run_folder.checkpoint.value,
            execution=self._execution.measured(self._execution.execution()),
            eager_at_first=True,
        )
        for name in sorted(networks):
            sampler.model.network(name)
        precision = self._execution.precision
        settings = {"verb": self.name, "networks": sampler.fingerprint()}
        settings |= flag_groups.settings(*decisive, *([] if precision is None else [precision]))
        poses = dict(further_poses or {})
        if reader is not None and reader.poses is not None:
            poses = {_KEYPOINTS: reader.poses} | poses
        for source in poses.values():
            settings |= source.settings
        folder = self._out_dir.value or self.run_folder.open().samples / self.name
        read = [*flag_groups.inputs(folder, *decisive), *(reader.files if reader else ())]
        skipped = reader.skipped if reader else []
        made = 0
        try:
            with OutputFolder(folder, settings, self._overwrite.value, _sha256s(read)) as output:
                if reader is not None and reader.poses is not None:  # photos, which may be added
                    reader.keep_names(output.names)
                task(Context(sampler, output, reporter(), paste_back=paste_back))
                made = len(output)
        finally:
            for note in reader.notes if reader else ():
                program.say(f"note: {note}")
            # Beside pictures only: a folder of nothing else would be refused by the next run.
            for name, source in poses.items() if pathlib.Path(folder, MANIFEST).exists() else ():
                for line in source.keep(pathlib.Path(folder, name)):
                    program.say(line)
            if made or (reader and reader.total > 1):
                for line in (*skipped, *left_out):
                    program.say(f"left out: {line}")
        if skipped and not made:
            raise DpigError(f"no usable person; {skipped[0]}")
        files = counted(made, "file")
        program.say(f"{files} in {output.path}, {output.reused} of them from before")
        return 1 if (*skipped, *left_out) else 0


def _sha256s(files):
    """{path: SHA-256} of the files that can be read; the others are reported by their readers."""
    from dpig_tf2.io.hashes import sha256

    found = {}
    for file in files:
        with contextlib.suppress(OSError):
            found[str(file.resolve())] = sha256(file)
    return found


def tracked(context, reader, batches: Iterable, label: str) -> Iterator:
    """The batches, with progress shown when each one has been worked on."""
    context.report(label, 0, reader.total)
    for batch in batches:
        yield batch
        context.report(label, reader.done, reader.total)
    if reader.done < reader.total:  # what was read last gave no persons
        context.report(label, reader.total, reader.total)


def one_by_one(context, persons, label: str) -> Iterator:
    """Every person alone, with progress as `tracked` shows it."""
    context.report(label, 0, len(persons))
    for i in range(len(persons)):
        yield persons.take([i])
        context.report(label, i + 1, len(persons))
