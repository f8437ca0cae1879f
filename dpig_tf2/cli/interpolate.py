"""Goes from person to person, or from sample to sample, in small steps.

Examples:
    dpig interpolate --run_dir=runs/demo --data_dir=data/synthetic --factors=pose
    dpig interpolate --run_dir=runs/demo --seeds=1,2,3 --animation=webp

From person to person the way leads through the codes, from sample to sample through the noise.
Persons come from tf-records (--data_dir, --split) or from photos (--images), with --keypoints or
found in the photos; without persons the ends are sampled. Writes frames, animations, codes, labeled
strips, and samples.json, which tells what made each file. Started again, it goes on where it
stopped.
"""

import itertools

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("interpolate", FLAGS)
_PERSONS = person_flags.PersonFlags(FLAGS, limit=8, required=False)
_INTERPOLATION = flag_groups.InterpolationFlags(
    FLAGS, "linear between the codes of persons, spherical between the noise of seeds"
)
_SEEDS = flags.DEFINE_list(
    "seeds",
    [],
    "Seeds of sampled persons to go between, e.g. 1,2,3. By default --seed and the next.",
    flag_values=FLAGS,
)
_SEED = flag_groups.define_seed(FLAGS, "the first of two sampled persons, without --seeds")


def main() -> int:
    _check()
    model = _PICTURES.model()
    subsets, seeds = _INTERPOLATION.subsets(model), _seeds()
    reader = _PERSONS.reader(model, _PICTURES.batch_size, _PERSONS.limit.value, both_sides=True)

    def task(context):
        from dpig_tf2.sampling.persons import concatenate
        from dpig_tf2.sampling.tasks import interpolate

        if reader is None:
            ends = [interpolate.seed_endpoint(context, seed) for seed in seeds]
            pairs, path = list(itertools.pairwise(ends)), "spherical"
        else:
            persons = concatenate(reader.persons())
            ends = interpolate.person_endpoints(context, persons)
            pairs = [(ends[i], ends[j]) for i, j in _INTERPOLATION.pairs(persons)]
            path = "linear"
        interpolate.interpolate(context, pairs, _INTERPOLATION.settings(model, path))

    return _PICTURES.write(
        task,
        reader,
        _networks(model, subsets),
        decisive=(*_PERSONS.decisive, *_INTERPOLATION.decisive, _SEED),
    )


def _check():
    _PERSONS.check()
    _INTERPOLATION.check()
    for holder in (_INTERPOLATION.between, _PERSONS.records.data_dir, _PERSONS.images):
        flag_groups.exclusive(_SEEDS, holder)
    for holder in (_SEEDS, _PERSONS.records.data_dir, _PERSONS.images):
        flag_groups.exclusive(_SEED, holder)
    if _INTERPOLATION.between.present and not _PERSONS.given:
        raise program.FlagError("--between needs --data_dir or --images", field="between")


def _seeds():
    """The seeds of --seeds; --seed and the next without it."""
    largest = flag_groups.LARGEST_SEED
    if not _SEEDS.value:
        return [_SEED.value, (_SEED.value + 1) % (largest + 1)]
    for text in _SEEDS.value:
        if not (text.isdecimal() and int(text) <= largest):
            raise program.FlagError(
                f"--seeds: {text!r} is not a number from 0 to {largest}", field="seeds"
            )
    if len(_SEEDS.value) < 2:
        raise program.FlagError("--seeds needs at least two numbers", field="seeds")
    return [int(text) for text in _SEEDS.value]


def _networks(model, subsets):
    """Names of the networks that the task runs."""
    moved = {factor for subset in subsets for factor in subset}
    if not _PERSONS.given:
        mapped = {f"{factor}_mapping" for factor in model.factors}
        return {"generator", "pose_decoder", *mapped}
    poses = {"pose_encoder", "pose_decoder"} if "pose" in moved else set()
    return {"generator", "appearance_encoder", *poses}


if __name__ == "__main__":
    program.run(__name__)
