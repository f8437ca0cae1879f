"""Samples factors from noise while the others are held.

Examples:
    dpig sample --run_dir=runs/demo --count=8 --seed=1
    dpig sample --run_dir=preset:persons_128x64 --factors=foreground,pose --image=me.jpg

Without persons the others are held at one sample. With them (--data_dir; --image or --images, with
--keypoints or found in the photos) the others are held at each person. Writes pictures, their
codes, labeled sheets, and samples.json, which tells what made each file. Started again, it goes on
where it stopped.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("sample", FLAGS)
_PERSONS = person_flags.PersonFlags(FLAGS, required=False, paste_back=True)
_FACTORS = flags.DEFINE_multi_string(
    "factors",
    [],
    "Factors that are sampled together, e.g. foreground,pose, or all. By default each one alone.",
    flag_values=FLAGS,
)
_COUNT = flags.DEFINE_integer(
    "count", 8, "Samples of each person.", lower_bound=1, upper_bound=10**5, flag_values=FLAGS
)
_SEED = flag_groups.define_seed(FLAGS, "the noise")
_TRUNCATION = flags.DEFINE_float(
    "truncation",
    1.0,
    "How far samples may be from the average, from 0 to 1: less gives safer and less varied "
    "pictures.",
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=FLAGS,
)


def main() -> int:
    _PERSONS.check()
    model = _PICTURES.model()
    subsets = flag_groups.factor_subsets(model, _FACTORS) or [(f,) for f in model.factors]
    reader = _PERSONS.reader(model, _PICTURES.batch_size, _PERSONS.limit.value)

    def task(context):
        from dpig_tf2.sampling.tasks.sample import sample_factors, sample_persons

        if reader is None:
            sample_persons(context, subsets, _COUNT.value, _SEED.value, _TRUNCATION.value)
            return
        batches = pictures.tracked(context, reader, reader.persons(), "sample")
        sample_factors(context, batches, subsets, _COUNT.value, _SEED.value, _TRUNCATION.value)

    return _PICTURES.write(
        task,
        reader,
        _networks(model, subsets),
        decisive=(*_PERSONS.decisive, _SEED, _TRUNCATION),
        paste_back=_PERSONS.paste_back,
    )


def _networks(model, subsets):
    """Names of the networks that the task runs."""
    sampled = {factor for subset in subsets for factor in subset}
    mapped = sampled if _PERSONS.given else set(model.factors)
    names = {"generator", *(f"{factor}_mapping" for factor in mapped)}
    if _PERSONS.given:
        names.add("appearance_encoder")
    return names | ({"pose_decoder"} if "pose" in mapped else set())


if __name__ == "__main__":
    program.run(__name__)
