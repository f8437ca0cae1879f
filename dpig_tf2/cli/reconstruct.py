"""Draws every person once more in their own pose.

Examples:
    dpig reconstruct --run_dir=runs/demo --data_dir=data/synthetic --limit=32
    dpig reconstruct --run_dir=runs/demo --image=me.jpg --crop=person --paste_back

Persons come from tf-records (--data_dir, --split), from one photo (--image) or from a folder of
photos (--images), with --keypoints or found in the photos. Writes pictures, their codes, labeled
sheets, and samples.json, which tells what made each file. Started again, it goes on where it
stopped.
"""

from absl import flags

from dpig_tf2.cli import person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("reconstruct", FLAGS)
_PERSONS = person_flags.PersonFlags(FLAGS, paste_back=True)


def main() -> int:
    _PERSONS.check()
    model = _PICTURES.model()
    reader = _PERSONS.reader(model, _PICTURES.batch_size, _PERSONS.limit.value)

    def task(context):
        from dpig_tf2.sampling.tasks.reconstruct import reconstruct

        reconstruct(context, pictures.tracked(context, reader, reader.persons(), "reconstruct"))

    return _PICTURES.write(
        task,
        reader,
        ["appearance_encoder", "generator"],
        decisive=_PERSONS.decisive,
        paste_back=_PERSONS.paste_back,
    )


if __name__ == "__main__":
    program.run(__name__)
