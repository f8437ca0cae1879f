"""Draws persons from a file of their codes.

Examples:
    dpig draw --run_dir=preset:persons_128x64 --codes=codes.npz
    dpig draw --run_dir=runs/demo --codes=runs/demo/samples/sample/codes/seed0_held.npz --out_dir=x

The file has an array for each factor (foreground, background or appearance) and keypoints or a pose
code, of one person or of many. Writes pictures, their codes, and samples.json, which tells what
made each file.
"""

from absl import flags

from dpig_tf2.cli import pictures, program

FLAGS = flags.FlagValues()
_PICTURES = pictures.PictureVerb("draw", FLAGS)
_CODES = flags.DEFINE_string(
    "codes", None, "The file of codes, .npz.", required=True, flag_values=FLAGS
)


def main() -> int:
    model = _PICTURES.model()
    from dpig_tf2.sampling.tasks import draw

    codes = draw.read_codes(_CODES.value, model)

    def task(context):
        draw.draw(context, codes)

    networks = ["generator"] if codes.pose is None else ["generator", "pose_decoder"]
    return _PICTURES.write(task, networks=networks, decisive=(_CODES,))


if __name__ == "__main__":
    program.run(__name__)
