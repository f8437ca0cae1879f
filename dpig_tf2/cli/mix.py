"""Exchanges body regions or garments between persons, all with all.

Examples:
    dpig mix --run_dir=runs/demo --images=photos --keypoints=photos/keypoints.csv
    dpig mix --run_dir=runs/demo --data_dir=data/synthetic --regions=head,upper_garment --limit=4

Every person is drawn with the regions of every other one. Writes pictures, their codes, one labeled
grid, and samples.json, which tells what made each file. Started again, it goes on where it stopped.
"""

from absl import flags

from dpig_tf2.cli import person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("mix", FLAGS)
_PERSONS = person_flags.PersonFlags(FLAGS, limit=6)
_REGIONS = flags.DEFINE_list(
    "regions",
    ["lower_garment"],
    "Regions taken from the donor: head, upper_body, legs, left_arm, right_arm, left_leg, "
    "right_leg; upper_garment and lower_garment stand for body or legs with both limbs.",
    flag_values=FLAGS,
)
_BACKGROUND_OF = flags.DEFINE_string(
    "background_of",
    None,
    "NAME of the person whose background all get. By default each keeps its own.",
    flag_values=FLAGS,
)


def main() -> int:
    _PERSONS.check()
    model = _PICTURES.model()
    from dpig_tf2.sampling.mixing import expand_regions

    expand_regions(_REGIONS.value)  # refuses unknown names
    reader = _PERSONS.reader(model, _PICTURES.batch_size, _PERSONS.limit.value)

    def task(context):
        from dpig_tf2.sampling.persons import concatenate
        from dpig_tf2.sampling.tasks.mix import mix

        persons = concatenate(reader.persons())
        if len(persons) < 2:
            raise program.FlagError(f"an exchange needs two persons, got {len(persons)}")
        for note in mix(context, persons, _REGIONS.value, _BACKGROUND_OF.value):
            program.say(f"note: {note}")

    return _PICTURES.write(
        task,
        reader,
        ["appearance_encoder", "generator"],
        decisive=(*_PERSONS.decisive, _BACKGROUND_OF),
    )


if __name__ == "__main__":
    program.run(__name__)
