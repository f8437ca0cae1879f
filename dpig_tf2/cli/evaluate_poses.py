"""Scores the pose networks on poses held out of a keypoint CSV.

Examples:
    dpig evaluate_poses --run_dir=runs/poses --keypoints=poses.csv --hold_out=0.1
    dpig evaluate_poses --run_dir=runs/poses --keypoints=poses.csv --hold_out=0.1 --out=poses.json

docs/poses.md tells what the scores mean. Writes scores to metrics.json in the run folder and a
picture to its samples, or both to where --out says.
"""

import pathlib

from absl import flags

from dpig_tf2.cli import flag_groups, program, scores

_FEWEST = 4  # poses held out: two halves of two

FLAGS = flags.FlagValues()
_SCORES = scores.ScoreVerb(FLAGS)
_KEYPOINTS = flags.DEFINE_string(
    "keypoints",
    None,
    "Keypoint CSV that the pose stages were trained on, in pixels of the model's images.",
    required=True,
    flag_values=FLAGS,
)
_HOLD_OUT = flags.DEFINE_float(
    "hold_out",
    None,
    "Share of the poses, from 0 to 0.9, that training held out: the same as there.",
    lower_bound=0.0,
    upper_bound=0.9,
    required=True,
    flag_values=FLAGS,
)
_SEED = flag_groups.define_seed(FLAGS, "the sampled poses")


def main() -> int:
    model = _SCORES.run_folder.config().model  # refuses a wrong folder before TensorFlow is loaded
    from dpig_tf2.evaluation.poses import score_poses
    from dpig_tf2.pipeline.arrays import hold_out
    from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

    _, keypoints = read_keypoint_csv(_KEYPOINTS.value, (model.height, model.width))
    training, held_out = (
        part[(part[..., 2] > 0).any(axis=1)] for part in hold_out(keypoints, _HOLD_OUT.value)
    )
    if len(held_out) < _FEWEST:
        raise program.FlagError(
            f"--hold_out={_HOLD_OUT.value}: {len(held_out)} poses are too few, expected at least "
            f"{_FEWEST}",
            field="hold_out",
        )
    _SCORES.require_writable()
    result, sheet = score_poses(_SCORES.sampler(), training, held_out, _SEED.value)
    status = _SCORES.finish("poses", result, [pathlib.Path(_KEYPOINTS.value)])
    _SCORES.save_picture("poses", sheet)
    return status


if __name__ == "__main__":
    program.run(__name__)
