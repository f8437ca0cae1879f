"""Fits trained networks to your own photos.

Examples:
    dpig personalize --run_dir=runs/persons --images=photos --out_dir=runs/me
    dpig personalize --run_dir=runs/persons --images=photos --one_person --out_dir=runs/me

Trains encoder and generator for some minutes on one to some twenty photos, moved and scaled anew in
every step, with other persons beside them so that poses are not forgotten: synthetic ones, or those
of --beside. The new run folder serves every verb. Started again with the same photos and flags, it
goes on where it stopped; only --steps may be others. --precision=mixed_bfloat16 is faster on
processors that have instructions for it.

Networks of the published architecture cannot be fitted so: presets market1501, deepfashion and
synthetic, imported TensorFlow 1 runs, and the weights released_*.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program

FLAGS = flags.FlagValues()
_RUN_DIR = flags.DEFINE_string(
    "run_dir",
    None,
    "Run folder, saved sampler or preset:NAME to begin with.",
    required=True,
    flag_values=FLAGS,
)
_OUT_DIR = flag_groups.define_out_dir(FLAGS, "Run folder to make.", required=True)
_PERSONS = person_flags.PersonFlags(FLAGS, body_mask=False)
_EXECUTION = flag_groups.ExecutionFlags(FLAGS)
_ONE_PERSON = flags.DEFINE_bool(
    "one_person",
    False,
    "All photos show one person: they are learned from each other.",
    flag_values=FLAGS,
)
_BESIDE = flags.DEFINE_string(
    "beside",
    None,
    "Folder with tf-records whose pairs, of split train, are learned beside the photos in place of "
    "synthetic persons: better for networks that were trained on them.",
    flag_values=FLAGS,
)
_STEPS = flags.DEFINE_integer(
    "steps", 600, "Training steps of the new run.", lower_bound=1, flag_values=FLAGS
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size",
    8,
    "Rows of a step, half of them other persons.",
    lower_bound=4,
    flag_values=FLAGS,
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Seed of what is drawn.", lower_bound=0, upper_bound=10**6, flag_values=FLAGS
)


def main() -> int:
    _PERSONS.check()
    from dpig_tf2.ops.implementations import uses_onednn
    from dpig_tf2.pipeline.personal_photos import PersonalPhotos
    from dpig_tf2.pipeline.training_data import RecordPairs
    from dpig_tf2.records.record_set import RecordSet
    from dpig_tf2.sampling.persons import concatenate
    from dpig_tf2.training.personalization import personal_config, personalize, prepare
    from dpig_tf2.training.run import RunOptions

    config = flag_groups.open_run(_RUN_DIR.value).config
    personal_config(config, _STEPS.value, _BATCH_SIZE.value)
    beside = RecordPairs(RecordSet.open(_BESIDE.value, "train")) if _BESIDE.value else None
    # XLA's convolutions are faster than TensorFlow's own and slower than oneDNN's.
    execution = _EXECUTION.execution(jit_compile=not uses_onednn(jit_compile=False))
    flag_groups.require_speed(execution, "leave it out")
    execution = _EXECUTION.measured(execution)
    reader = _PERSONS.reader(config.model, 8, _PERSONS.limit.value)
    batches = list(reader.persons())
    for line in reader.notes:
        program.say(f"note: {line}")
    for line in reader.skipped:
        program.say(f"left out: {line}")
    persons = concatenate(batches)
    identities = ("",) * len(persons) if _ONE_PERSON.value else persons.names
    photos = PersonalPhotos(
        persons.require_images(), persons.keypoints, identities, _SEED.value, beside
    )
    given = (_RUN_DIR.value, _OUT_DIR.value, photos, _STEPS.value, _BATCH_SIZE.value)
    run = prepare(*given)
    if reader.poses is not None:
        for line in reader.poses.keep(run.path / "keypoints.csv"):
            program.say(line)
    options = RunOptions(
        picture_every=100,
        keep=1,
        keep_best=False,
        execution=execution,
        asked=flag_groups.asked(FLAGS),
    )
    personalize(*given, options)
    program.say(f"personalized: {run.path}, pictures in {run.samples}")
    return 1 if reader.skipped else 0


if __name__ == "__main__":
    program.run(__name__)
