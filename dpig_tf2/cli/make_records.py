"""Makes tf-records from photos with keypoints.

Examples:
    dpig make_records --raw_dir=photos --keypoints=photos/keypoints.csv --out_dir=data/mine
    dpig make_records --raw_dir=photos --keypoints=openpose --out_dir=data/mine --split=test \\
        --variant=market1501 --resize=letterbox --height=128 --width=64

Keypoints may be a CSV, OpenPose JSON, COCO JSON, a pickle of arrays, or Mask-RCNN .mat files; see
data/README.md. Whatever cannot be used is listed, never dropped in silence. Started again, it goes
on at the first record file that is missing or damaged.
"""

from absl import flags

from dpig_tf2.cli import flag_groups, program, record_making

FLAGS = flags.FlagValues()
_RAW = record_making.RawDataFlags(FLAGS, "Folder of the photos.")
_READING = flag_groups.KeypointReadingFlags(FLAGS, resize="none")
_KEYPOINTS = flags.DEFINE_string(
    "keypoints",
    None,
    "File or folder with the photos' keypoints, in pixels of the photos.",
    required=True,
    flag_values=FLAGS,
)
_HEIGHT, _WIDTH = record_making.define_image_size(FLAGS, "those of --variant")
_VARIANT = flags.DEFINE_enum(
    "variant",
    "keypoints",
    ["keypoints", "market1501", "deepfashion"],
    "Fields and body boxes of the records: those that this project computes, or those that the "
    "published records of a data set have.",
    flag_values=FLAGS,
)
_IDENTITY = flags.DEFINE_string(
    "identity",
    "([^_]+)_",
    "Who is in a photo: a pattern whose group is matched at the start of the file name, 'column' "
    "for the column of the keypoint CSV, or 'image' for another person in every photo.",
    flag_values=FLAGS,
)
_PAIRS = flags.DEFINE_enum(
    "pairs",
    "same_identity",
    ["same_identity", "each_once", "one_to_all", "all_to_all"],
    "Which photos form a pair.",
    flag_values=FLAGS,
)
_PAIRS_CSV = flags.DEFINE_string(
    "pairs_csv", None, "CSV file of from,to rows, in place of --pairs.", flag_values=FLAGS
)
_SEED = flag_groups.define_seed(FLAGS, "the order of the pairs")


def main() -> None:
    flag_groups.exclusive(_PAIRS_CSV, _PAIRS)
    from dpig_tf2.preparation import keypoint_folder

    conversion = keypoint_folder.convert(
        _RAW.raw_dir.value,
        _KEYPOINTS.value,
        _RAW.output.out_dir.value,
        _RAW.output.split.value,
        keypoint_format=_READING.keypoint_format.value,
        variant=_VARIANT.value,
        height=_HEIGHT.value,
        width=_WIDTH.value,
        resize=_READING.resize.value,
        identity=_IDENTITY.value,
        pair_mode=_PAIRS.value,
        pairs_csv=_PAIRS_CSV.value,
        seed=_SEED.value,
        options=_RAW.options(),
    )
    record_making.print_conversion(conversion)


if __name__ == "__main__":
    program.run(__name__)
