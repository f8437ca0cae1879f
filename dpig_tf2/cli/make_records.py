"""Makes tf-records from photos with keypoints.

Examples:
    dpig make_records --raw_dir=photos --out_dir=data/mine --identity=folder --resize=letterbox
    dpig make_records --raw_dir=photos --keypoints=openpose --out_dir=data/mine --split=test \\
        --variant=market1501 --resize=letterbox --height=128 --width=64

Keypoints may be in any of the formats that data/README.md lists. Without --keypoints the persons
are found in the photos, and their keypoints are written to keypoints_SPLIT.csv in --out_dir.
Whatever cannot be used is listed, never dropped in silence, and makes the exit status 1. Started
again, it goes on at the first record file that is missing or damaged.
"""

import pathlib

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program, record_making
from dpig_tf2.errors import counted

FLAGS = flags.FlagValues()
_RAW = record_making.RawDataFlags(FLAGS, "Folder of the photos.")
_READING = person_flags.KeypointReadingFlags(FLAGS, resize="none")
_KEYPOINTS = flags.DEFINE_string(
    "keypoints",
    None,
    "File or folder with the photos' keypoints, in pixels of the photos. By default they are found "
    "in the photos.",
    flag_values=FLAGS,
)
_POSE_MODEL = person_flags.define_pose_model(FLAGS)
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
    "Who is in a photo: a pattern whose group is matched at the start of the file name, 'folder' "
    "for the folder below --raw_dir that it is in, 'column' for the column of the keypoint CSV, or "
    "'image' for another person in every photo.",
    flag_values=FLAGS,
)
_PAIRS = flags.DEFINE_enum(
    "pairs",
    "same_identity",
    ["same_identity", "each_once", "one_to_all", "all_to_all"],
    "Which photos form a pair, source first: any two of one person, both ways round "
    "(same_identity); each photo with the last one (each_once); the first photo with each "
    "(one_to_all); each photo with each, itself included (all_to_all).",
    flag_values=FLAGS,
)
_PAIRS_CSV = flags.DEFINE_string(
    "pairs_csv",
    None,
    "File of rows with two names, from and to, in place of --pairs; separated by commas, "
    "semicolons, tabs or spaces, with or without a header.",
    flag_values=FLAGS,
)


def main() -> int:
    flag_groups.exclusive(_PAIRS_CSV, _PAIRS)
    flag_groups.exclusive(_PAIRS_CSV, _RAW.pairs_per_image)
    flag_groups.exclusive(_KEYPOINTS, _POSE_MODEL)
    from dpig_tf2.preparation import keypoint_folder

    detected = None
    if not _KEYPOINTS.value:
        detected = person_flags.detected_poses(_POSE_MODEL.value)
    options, output = _RAW.options(), _RAW.output
    try:
        conversion = _convert(keypoint_folder, options, detected)
    finally:
        if detected and not options.dry_run:
            for line in detected.keep(
                pathlib.Path(output.out_dir.value, f"keypoints_{output.split.value}.csv")
            ):
                program.say(line)
    record_making.print_conversion(conversion)
    if conversion.left_out:
        program.say(f"{counted(conversion.left_out, 'image')} left out, see the notes")
    return 1 if conversion.left_out else 0


def _convert(keypoint_folder, options, detected):
    return keypoint_folder.convert(
        _RAW.raw_dir.value,
        _KEYPOINTS.value,
        _RAW.output.out_dir.value,
        _RAW.output.split.value,
        keypoint_format=_READING.keypoint_format.value,
        variant=_VARIANT.value,
        height=_HEIGHT.value,
        width=_WIDTH.value,
        resize=_READING.resize.value,
        background=_READING.background(),
        identity=_IDENTITY.value,
        pair_mode=_PAIRS.value,
        pairs_csv=_PAIRS_CSV.value,
        units=_READING.units.value,
        options=options,
        detected=detected,
    )


if __name__ == "__main__":
    program.run(__name__)
