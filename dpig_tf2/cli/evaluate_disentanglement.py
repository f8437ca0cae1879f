"""Scores how well factors are told apart, on synthetic persons.

Examples:
    dpig evaluate_disentanglement --run_dir=runs/demo --data_dir=data/synthetic
    dpig evaluate_disentanglement --run_dir=runs/demo --data_dir=data/synthetic --noprobes

Swaps each factor between two persons and compares with the true render of the mixture: how much the
right thing changed, and what changed that should not have. Linear probes read each true factor from
each code; without a trained pose stage that of the pose is left out. Writes scores to metrics.json
in the run folder and a picture to its samples, or both to where --out says.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program, scores
from dpig_tf2.errors import counted

_NAME = "disentanglement"

FLAGS = flags.FlagValues()
_SCORES = scores.ScoreVerb(FLAGS)
_RECORDS = person_flags.RecordFlags(FLAGS, required=True, skippable=False)
_LIMIT = person_flags.define_limit(FLAGS, "pairs of synthetic persons", 200)
_SEED = flag_groups.define_seed(FLAGS, "the persons that probes are fitted on")
_PROBES = flags.DEFINE_bool(
    "probes",
    True,
    "Fit linear probes, which need 900 more persons and most of the time.",
    flag_values=FLAGS,
)


def main() -> int:
    _SCORES.run_folder.config()  # a wrong folder is refused before TensorFlow is loaded
    _RECORDS.require()
    _SCORES.require_writable()
    from dpig_tf2.evaluation import disentanglement
    from dpig_tf2.preparation.synthetic_records import factors_path

    def report(text):
        program.say(f"[{_NAME}] {text}")

    path = factors_path(_RECORDS.data_dir.value, _RECORDS.split.value)
    factors = disentanglement.load_factors(path)
    sampler = _SCORES.sampler()
    disentanglement.require_networks(sampler)
    model = sampler.config.model
    pairs = disentanglement.choose_pairs(factors, _LIMIT.value)
    report(f"rendering {counted(len(pairs), 'pair')}")
    persons = disentanglement.SyntheticPersons(pairs, factors, model.height, model.width)
    result, sheet = disentanglement.measure(sampler, persons, report)
    if _PROBES.value:
        result["probes"] = disentanglement.probe_codes(
            sampler, factors, seed=_SEED.value, report=report
        )
    status = _SCORES.finish(_NAME, result, [path])
    _SCORES.save_picture(_NAME, disentanglement.with_tables(sheet, result))
    return status


if __name__ == "__main__":
    program.run(__name__)
