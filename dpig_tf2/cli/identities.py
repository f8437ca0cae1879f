"""Makes a re-identification set of virtual persons.

Examples:
    dpig identities --run_dir=runs/demo --out_dir=data/virtual
    dpig identities --run_dir=runs/demo --out_dir=data/virtual --test_identities=100 --data_dir=DIR

The layout is that of Market-1501. Appearances come from noise. Poses come from noise too, or from
records (--data_dir, --split) or a keypoint file (--target_keypoints). Writes bounding_box_train,
query and bounding_box_test, the last two filled by --test_identities; the codes of every image,
labeled sheets, and samples.json, which tells what made each file. Started again, it goes on where
it stopped.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("identities", FLAGS)
_RECORDS = person_flags.RecordFlags(FLAGS)
_READING = person_flags.KeypointReadingFlags(FLAGS)
_TARGETS = person_flags.TargetPoseFlags(FLAGS, _READING, "the poses that identities take")
_LIMIT = person_flags.define_limit(FLAGS, "poses of --data_dir")
_IDENTITIES = flags.DEFINE_integer(
    "identities",
    500,
    "Virtual identities for training, in bounding_box_train.",
    lower_bound=1,
    flag_values=FLAGS,
)
_TEST_IDENTITIES = flags.DEFINE_integer(
    "test_identities",
    0,
    "Further identities for testing: an image for each camera in query, the others in "
    "bounding_box_test; without them these folders are empty.",
    lower_bound=0,
    flag_values=FLAGS,
)
_IMAGES = flags.DEFINE_integer(
    "images_per_identity", 24, "Images of each identity.", lower_bound=1, flag_values=FLAGS
)
_SEED = flag_groups.define_seed(FLAGS, "all appearances and poses")


def main() -> int:
    _RECORDS.check()
    _TARGETS.check()
    flag_groups.exclusive(_RECORDS.data_dir, _TARGETS.keypoints)
    flag_groups.needs(_LIMIT, _RECORDS.data_dir)
    model = _PICTURES.model()
    _RECORDS.require()
    from dpig_tf2.sampling.record_reader import RecordReader
    from dpig_tf2.sampling.tasks.identities import IdentitySet

    # Refuses more than file names can tell apart.
    wanted = IdentitySet(_IDENTITIES.value, _IMAGES.value, _TEST_IDENTITIES.value)
    reader = None
    if _RECORDS.data_dir.present:
        reader = RecordReader(
            _RECORDS.data_dir.value,
            _RECORDS.split.value,
            model,
            _PICTURES.batch_size,
            _LIMIT.value,
            _RECORDS.skip_bad_records.value,
        )

    left_out: list[str] = []

    def task(context):
        from dpig_tf2.sampling.tasks.identities import write_identities

        if "discriminator" not in context.sampler.model.networks:
            program.say("note: no discriminator in this folder, images are not scored")
        write_identities(context, wanted, _SEED.value, _poses(context, reader, left_out))

    mapped = model.appearance_factors if _real_poses() else model.factors
    networks = {"generator", *(f"{factor}_mapping" for factor in mapped)}
    return _PICTURES.write(
        task,
        reader,
        networks | ({"pose_decoder"} if "pose" in mapped else set()),
        decisive=(
            *(_RECORDS.data_dir, _RECORDS.split, _LIMIT, *_TARGETS.decisive),
            *(*_READING.decisive, _IMAGES, _SEED),
            # Those for testing are numbered behind those for training.
            *([_IDENTITIES] if _TEST_IDENTITIES.value else []),
        ),
        optional=["discriminator"],
        left_out=left_out,
    )


def _real_poses():
    return _RECORDS.data_dir.present or _TARGETS.keypoints.present


def _poses(context, reader, left_out):
    """The poses to draw from; None if they are sampled."""
    from dpig_tf2.sampling.persons import Persons, concatenate

    if reader:
        batches = pictures.tracked(context, reader, reader.persons(), "real poses")
        return concatenate(Persons(batch.names, batch.keypoints) for batch in batches)
    if _TARGETS.keypoints.present:
        return _TARGETS.read(context.sampler.config.model, left_out)
    return None


if __name__ == "__main__":
    program.run(__name__)
