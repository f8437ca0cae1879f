"""Draws persons in the pose of their pair, of others or of a file.

Examples:
    dpig transfer --run_dir=runs/demo --data_dir=data/synthetic
    dpig transfer --run_dir=runs/demo --image=me.jpg --target_image=you.jpg --crop=person

Without --all_pairs, --target_image and --target_keypoints every source of --data_dir takes the pose
of its pair. With --all_pairs every person takes the pose of every other one, in one sheet. Writes
pictures, their codes, labeled sheets, and samples.json, which tells what made each file. Started
again, it goes on where it stopped.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, pictures, program
from dpig_tf2.errors import DpigError

_GRID_LIMIT = 24  # persons that one sheet of all pairs still shows well

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("transfer", FLAGS)
_PERSONS = person_flags.PersonFlags(FLAGS, paste_back=True)
_TARGETS = person_flags.TargetPoseFlags(
    FLAGS, _PERSONS.reading, "the poses that every person takes, or that of --target_image"
)
_TARGET_IMAGE = flags.DEFINE_string(
    "target_image",
    None,
    "Photo whose pose every person takes: that of --target_keypoints, else what is found in it; "
    "found keypoints are written to target_keypoints.csv.",
    flag_values=FLAGS,
)
_ALL_PAIRS = flags.DEFINE_bool(
    "all_pairs",
    False,
    f"Every person in every person's pose; {_GRID_LIMIT} persons unless --limit says otherwise.",
    flag_values=FLAGS,
)


def main() -> int:
    _check()
    model = _PICTURES.model()
    limit = _PERSONS.limit.value or (_GRID_LIMIT if _ALL_PAIRS.value else None)
    reader = _PERSONS.reader(model, _PICTURES.batch_size, limit)
    target, left_out = None, []
    if _TARGET_IMAGE.present:
        target = _PERSONS.photo_reader(_TARGET_IMAGE.value, _TARGETS.keypoints.value, model)

    def task(context):
        from dpig_tf2.sampling.persons import concatenate
        from dpig_tf2.sampling.tasks.context import ROWS_PER_SHEET
        from dpig_tf2.sampling.tasks.transfer import transfer, transfer_grid

        if _ALL_PAIRS.value:
            persons = concatenate(reader.persons())
            batches = pictures.one_by_one(context, persons, "transfer")
            transfer_grid(context, batches, persons, len(persons))
        elif target or _TARGETS.keypoints.present:
            targets = _only_person(target) if target else _TARGETS.read(model, left_out)
            batches = pictures.tracked(context, reader, reader.persons(), "transfer")
            transfer_grid(context, batches, targets, ROWS_PER_SHEET)
        else:
            batches = pictures.tracked(context, reader, reader.pairs(), "transfer")
            transfer(context, batches)

    return _PICTURES.write(
        task,
        reader,
        ["appearance_encoder", "generator"],
        decisive=(*_PERSONS.decisive, *_TARGETS.decisive, _TARGET_IMAGE, _ALL_PAIRS),
        paste_back=_PERSONS.paste_back,
        further_poses={"target_keypoints.csv": target.poses} if target else None,
        left_out=left_out,
    )


def _check():
    _PERSONS.check(finds_more=_TARGET_IMAGE.present and not _TARGETS.keypoints.present)
    _TARGETS.check()
    for holder in (_TARGETS.keypoints, _TARGET_IMAGE):
        flag_groups.exclusive(_ALL_PAIRS, holder)
    flag_groups.exclusive(_TARGET_IMAGE, _TARGETS.size_flag)  # an image tells its own size
    targets = _ALL_PAIRS.value or _TARGETS.keypoints.present or _TARGET_IMAGE.present
    if _PERSONS.from_photos and not targets:
        raise program.FlagError(
            "photos have no pairs: --target_image, --target_keypoints or --all_pairs must be given",
            field="target_image",
        )


def _only_person(reader):
    """The person of --target_image."""
    from dpig_tf2.sampling.persons import concatenate

    persons = list(reader.persons())
    for note in reader.notes:
        program.say(f"note: {note}")
    if reader.skipped:
        raise DpigError(reader.skipped[0], file=_TARGET_IMAGE.value)
    return concatenate(persons)


if __name__ == "__main__":
    program.run(__name__)
