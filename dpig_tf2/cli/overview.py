"""Shows on one sheet what a run has learned.

Examples:
    dpig overview --run_dir=runs/demo --data_dir=data/synthetic
    dpig overview --run_dir=runs/demo --images=photos --seed=1

Rows: the photo, reconstructed, re-posed, and each factor sampled while the others are held. Persons
come from tf-records (--data_dir, --split) or from photos (--image or --images), with --keypoints or
found in the photos, one column of the sheet for each. Rows whose networks are not trained yet are
left out.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("overview", FLAGS)
_PERSONS = person_flags.PersonFlags(FLAGS, limit=8)
_SEED = flag_groups.define_seed(FLAGS, "the sampled factors")


def main() -> int:
    _PERSONS.check()
    model = _PICTURES.model()
    reader = _PERSONS.reader(model, _PICTURES.batch_size, _PERSONS.limit.value)

    def task(context):
        from dpig_tf2.sampling.persons import concatenate
        from dpig_tf2.sampling.tasks.overview import overview

        overview(context, concatenate(reader.persons()), _SEED.value)

    return _PICTURES.write(
        task,
        reader,
        ["appearance_encoder", "generator"],
        decisive=(*_PERSONS.decisive, _SEED),
        optional=["pose_decoder", *(f"{factor}_mapping" for factor in model.factors)],
    )


if __name__ == "__main__":
    program.run(__name__)
