"""What all verbs share that write records: flags, and what they print in the end."""

from absl import flags

from dpig_tf2.cli import flag_groups, program
from dpig_tf2.errors import counted
from dpig_tf2.io import processor


class RecordOutputFlags:
    """Record files to be written.

    --out_dir, --split, --num_shards, --parts, --layout, --workers, --overwrite.
    """

    def __init__(self, flag_values: flags.FlagValues, splits: str = "Any name will do."):
        self.out_dir = flag_groups.define_out_dir(
            flag_values, "Folder for the records, created if absent.", required=True
        )
        self.split = flags.DEFINE_string(
            "split",
            "train",
            f"Split, which becomes part of the file names. {splits}",
            flag_values=flag_values,
        )
        self.num_shards = flags.DEFINE_integer(
            "num_shards", 1, "Number of record files.", lower_bound=1, flag_values=flag_values
        )
        self.parts = flags.DEFINE_enum(
            "parts",
            "37",
            ["7", "37"],
            "Number of body parts whose boxes are stored; the networks need 7.",
            flag_values=flag_values,
        )
        self.layout = flags.DEFINE_enum(
            "layout",
            "published",
            ["published", "lean"],
            "What a record is: a pair, as in the published records, or a photo, of which another "
            "file lists the pairs. All verbs read both.",
            flag_values=flag_values,
        )
        self._workers = flags.DEFINE_integer(
            "workers",
            None,
            "Processes at work; by default one for each core. The records do not depend on it.",
            lower_bound=1,
            flag_values=flag_values,
        )
        self.overwrite = flags.DEFINE_bool(
            "overwrite",
            False,
            "Replace records that were made with other settings.",
            flag_values=flag_values,
        )

    @property
    def workers(self) -> int:
        """As many as were asked for, or as this process may use cores."""
        return self._workers.value or processor.cores()


class RawDataFlags:
    """Records made from files.

    --raw_dir, --flip, --dry_run, --pairs_per_image, --seed, and those of `RecordOutputFlags`.
    """

    def __init__(
        self,
        flag_values: flags.FlagValues,
        raw_data: str,
        splits: str = "Any name.",
        mirrored: str = "By default none is.",
    ):
        self.output = RecordOutputFlags(flag_values, splits)
        self.raw_dir = flags.DEFINE_string(
            "raw_dir", None, raw_data, required=True, flag_values=flag_values
        )
        self._flip = flags.DEFINE_bool(
            "flip",
            None,
            f"Add every pair once more, mirrored left to right. {mirrored}",
            flag_values=flag_values,
        )
        self.pairs_per_image = flags.DEFINE_integer(
            "pairs_per_image",
            None,
            "Targets that each image is paired with, chosen by --seed among those of the same "
            "person. By default all.",
            lower_bound=1,
            flag_values=flag_values,
        )
        self._seed = flag_groups.define_seed(flag_values, "the choice and order of the pairs")
        self._dry_run = flags.DEFINE_bool(
            "dry_run", False, "Print what would be written and stop.", flag_values=flag_values
        )

    def options(self):
        """Options of `preparation.conversion`."""
        from dpig_tf2.preparation import conversion

        return conversion.Options(
            flip=self._flip.value,
            parts=int(self.output.parts.value),
            num_shards=self.output.num_shards.value,
            overwrite=self.output.overwrite.value,
            dry_run=self._dry_run.value,
            layout=self.output.layout.value,
            workers=self.output.workers,
            pairs_per_image=self.pairs_per_image.value,
            seed=self._seed.value,
        )


def define_image_size(
    flag_values: flags.FlagValues, default: str
) -> tuple[flags.FlagHolder, flags.FlagHolder]:
    """--height and --width of the images in records."""
    height, width = (
        flags.DEFINE_integer(
            name,
            None,
            f"{what} of the images in the records, pixels; by default {default}.",
            lower_bound=16,
            flag_values=flag_values,
        )
        for name, what in (("height", "Rows"), ("width", "Columns"))
    )
    return height, width


def print_conversion(conversion) -> None:
    """The problems found in raw data, the plan, and what was written."""
    # A dry run tells all; otherwise the manifest tells more.
    if conversion.written:
        program.print_notes(conversion.problems)
    else:
        program.print_notes(conversion.problems, most=None)
    print(conversion.plan)
    if conversion.written:
        print_written(conversion.written)


def print_written(written) -> None:
    reused = f", {counted(written.reused, 'file')} from before" if written.reused else ""
    examples = counted(written.examples, "example")
    program.say(f"{examples} in {written.shards[0].parent}{reused}")
