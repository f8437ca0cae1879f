"""Finds the noise of real persons, and interpolates through it.

Examples:
    dpig invert --run_dir=runs/demo --data_dir=data/synthetic
    dpig invert --run_dir=runs/demo --images=photos --keypoints=photos/keypoints.csv --factors=pose

Reports for every photo and factor the residual, whether the search converged, the variance
explained, and the size of the noise in standard deviations. Writes pictures, their codes and
noise, labeled sheets, and samples.json, which tells what made each file. Started again, it goes on
where it stopped. The search follows gradients, for which 16 bits are too coarse: always float32.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("invert", FLAGS, precision=False)
_PERSONS = person_flags.PersonFlags(FLAGS, limit=32)
_INTERPOLATION = flag_groups.InterpolationFlags(FLAGS, "spherical")
_INVERSION_STEPS = flags.DEFINE_integer(
    "inversion_steps",
    None,
    "Gradient steps of each search for noise. By default 1000; 100 where the mapping networks are "
    "flows, which are run backward first.",
    lower_bound=1,
    flag_values=FLAGS,
)
_SEED = flag_groups.define_seed(FLAGS, "the noise that searches start from")


def main() -> int:
    _PERSONS.check()
    _INTERPOLATION.check()
    model = _PICTURES.model()
    subsets = _INTERPOLATION.subsets(model)
    factors = tuple(dict.fromkeys(factor for subset in subsets for factor in subset))
    reader = _PERSONS.reader(model, _PICTURES.batch_size, _PERSONS.limit.value, both_sides=True)

    def task(context):
        from dpig_tf2.sampling.inversion import InversionSettings
        from dpig_tf2.sampling.persons import concatenate
        from dpig_tf2.sampling.tasks.interpolate import interpolate
        from dpig_tf2.sampling.tasks.invert import invert

        search = InversionSettings(steps=_INVERSION_STEPS.value)
        persons = concatenate(reader.persons())
        ends = invert(context, persons, factors, search, _SEED.value)
        _print_summary(context.output.summary)
        if len(persons) > 1:
            pairs = [(ends[i], ends[j]) for i, j in _INTERPOLATION.pairs(persons)]
            interpolate(context, pairs, _INTERPOLATION.settings(model, "spherical"))

    return _PICTURES.write(
        task,
        reader,
        _networks(factors),
        decisive=(
            *_PERSONS.decisive,
            *_INTERPOLATION.decisive,
            _INTERPOLATION.factors,  # inverting other factors gives other pictures
            _INVERSION_STEPS,
            _SEED,
        ),
    )


def _networks(factors):
    """Names of the networks that the task runs."""
    poses = {"pose_encoder", "pose_decoder"} if "pose" in factors else set()
    mapped = {f"{factor}_mapping" for factor in factors}
    return {"generator", "appearance_encoder", *poses, *mapped}


def _print_summary(summary):
    for factor, figures in summary.items():
        variance = figures["explained_variance"]
        explained = "" if variance is None else f", {variance:.1%} of the variance explained"
        print(
            f"{factor}: {figures['converged']} of {figures['photos']} converged, relative "
            f"residual {figures['mean_residual']:.4f}{explained}; noise of "
            f"{figures['mean_spread']:.1f} standard deviations"
        )


if __name__ == "__main__":
    program.run(__name__)
