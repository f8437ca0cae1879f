"""Makes tf-records from the raw DeepFashion folder.

Examples:
    dpig convert_deepfashion --raw_dir=raw --split=train --out_dir=data/deepfashion
    dpig convert_deepfashion --raw_dir=raw --split=test --out_dir=data/deepfashion --person_only

data/README.md tells how the raw folder is laid out, and which pairs are made. Started again, it
goes on at the first record file that is missing or damaged.
"""

from absl import flags

from dpig_tf2.cli import program, record_making

FLAGS = flags.FlagValues()
_RAW = record_making.RawDataFlags(
    FLAGS,
    "Raw DeepFashion folder.",
    "One of train, test, test_samples, test_seq (the last two are written as split test).",
    "By default those of split train are.",
)
_PERSON_ONLY = flags.DEFINE_bool(
    "person_only",
    False,
    "Take the keypoints of one person. By default the first candidate of each keypoint is taken, "
    "as in the published records.",
    flag_values=FLAGS,
)


def main() -> None:
    from dpig_tf2.preparation import deepfashion

    output = _RAW.output
    record_making.print_conversion(
        deepfashion.convert(
            _RAW.raw_dir.value,
            output.out_dir.value,
            output.split.value,
            _PERSON_ONLY.value,
            _RAW.options(),
        )
    )


if __name__ == "__main__":
    program.run(__name__)
