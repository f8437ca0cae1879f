"""Scores pictures that trained networks draw, or those of a folder.

Examples:
    dpig evaluate --run_dir=runs/demo --data_dir=data/synthetic --split=test
    dpig evaluate --generated=out --target=photos --out=scores.json

A picture with several panels side by side is scored by one of them: --generated_panel=5/5.

Inception score, masked inception score, FID and KID need InceptionV3 as keras.applications has it:
--inception_weights names inception_v3_weights_tf_dim_ordering_tf_kernels.h5 (or the same network
saved as .weights.h5), or --download_weights lets Keras fetch that file. LPIPS needs
--lpips_weights, a file that evaluation/lpips.py tells how to make. Nothing is downloaded otherwise:
what is not computed is null in the JSON, with the reason. Pose error needs the keypoints that a
detector found in the generated pictures (--detect_poses, or --generated_keypoints). Scores go to
metrics.json in the run folder and a picture to its samples, or both to where --out says.
"""

import contextlib

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program, scores
from dpig_tf2.config import MOST_RADIUS

FLAGS = flags.FlagValues()
_SCORES = scores.ScoreVerb(FLAGS, required=False)
_RECORDS = person_flags.RecordFlags(FLAGS)
_LIMIT = person_flags.define_limit(FLAGS, "pairs of --data_dir, the first in the files,")
_PICTURES = flags.DEFINE_enum(
    "pictures",
    "transfer",
    ["transfer", "foreground", "reconstruct"],
    "What the networks draw of every pair of --data_dir: the source in the pose of the target, its "
    "foreground in pose and background of the target, or the source once more.",
    flag_values=FLAGS,
)
_SAVE = flags.DEFINE_string(
    "save_pictures",
    None,
    "New folder for the scored pairs: generated, target, masks and keypoints.",
    flag_values=FLAGS,
)
_MASK_RADIUS = flags.DEFINE_integer(
    "mask_radius",
    None,
    "Of the body masks that mask-SSIM looks through, pixels; not given, it is the one that the "
    "networks were trained with. Networks with different ones are compared at one.",
    lower_bound=1,
    upper_bound=MOST_RADIUS,
    flag_values=FLAGS,
)
_GENERATED = flags.DEFINE_string(
    "generated",
    None,
    "Folder of generated images, matched by name with --target.",
    flag_values=FLAGS,
)
_TARGET = flags.DEFINE_string("target", None, "Folder of target images.", flag_values=FLAGS)
_MASKS = flags.DEFINE_string(
    "masks",
    None,
    "Folder of masks of the target images, bright on the person and dark elsewhere, for mask-SSIM "
    "and the masked inception score.",
    flag_values=FLAGS,
)
_PAIRS_CSV = flags.DEFINE_string(
    "pairs_csv",
    None,
    "File of rows with two names, source and target, where generated images are named after both: "
    "SOURCE___TARGET_vis.jpg or SOURCE_to_TARGET.png, say.",
    flag_values=FLAGS,
)
_PANEL = flags.DEFINE_string(
    "generated_panel",
    "1/1",
    "NUMBER/COUNT: which of the pictures that stand side by side in a generated image is scored, "
    "counted from the left: 5/5 for the last of five.",
    flag_values=FLAGS,
)
_ALLOW_UNMATCHED = flags.DEFINE_bool(
    "allow_unmatched",
    False,
    "Score the names that both folders have, instead of refusing folders whose names differ, or "
    "that hold pictures other than JPEG and PNG files.",
    flag_values=FLAGS,
)
_GENERATED_KEYPOINTS = flags.DEFINE_string(
    "generated_keypoints",
    None,
    "File or folder with the keypoints found in the generated images, for the pose error.",
    flag_values=FLAGS,
)
_TARGET_KEYPOINTS = flags.DEFINE_string(
    "target_keypoints",
    None,
    "File or folder with the keypoints of the target images, for the pose error.",
    flag_values=FLAGS,
)
_READING = person_flags.KeypointFormatFlags(FLAGS)
_DETECT = flags.DEFINE_bool(
    "detect_poses",
    False,
    "Compute the pose error by finding the persons in the pictures whose keypoints are not given: "
    "the generated ones, and the targets of folders. One where nobody is found counts as wrong.",
    flag_values=FLAGS,
)
_POSE_MODEL = person_flags.define_pose_model(FLAGS)
_PROTOCOL = flags.DEFINE_enum(
    "protocol",
    "dpig",
    ["dpig", "patn", "tf"],
    "How SSIM is computed: as this paper's tables, as PATN's, or as tf.image.ssim.",
    flag_values=FLAGS,
)
_INCEPTION = flags.DEFINE_string(
    "inception_weights",
    None,
    "Keras file of InceptionV3 with its classifier, for the inception scores, FID and KID.",
    flag_values=FLAGS,
)
_DOWNLOAD = flags.DEFINE_bool(
    "download_weights", False, "Let Keras download the InceptionV3 weights.", flag_values=FLAGS
)
_LPIPS = flags.DEFINE_string(
    "lpips_weights",
    None,
    "File (.npz) of VGG16 and the linear layers, for LPIPS.",
    flag_values=FLAGS,
)

_OF_RECORDS = (*_RECORDS.holders, _LIMIT, _PICTURES, _SAVE, _MASK_RADIUS)
_OF_FOLDERS = (
    *(_GENERATED, _TARGET, _MASKS, _PAIRS_CSV, _PANEL, _ALLOW_UNMATCHED),
    *(_GENERATED_KEYPOINTS, _TARGET_KEYPOINTS),
)


def main() -> int:
    flag_groups.exclusive(_INCEPTION, _DOWNLOAD)
    flag_groups.needs(_POSE_MODEL, _DETECT)
    flag_groups.needs(_SCORES.run_folder.checkpoint, _SCORES.run_folder.path)
    number, _, count = _PANEL.value.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise program.FlagError(
            f"--generated_panel={_PANEL.value}: expected NUMBER/COUNT, e.g. 5/5",
            field="generated_panel",
        )
    if any(holder.present for holder in _OF_FOLDERS):
        _check_folder_flags()
        return _SCORES.finish("folders", _score_folders())
    for name, given in (
        ("run_dir", _SCORES.run_folder.path.value),
        ("data_dir", _RECORDS.data_dir.value),
    ):
        if not given:
            raise program.FlagError(
                f"--{name} must be given to score records (--generated and --target: folders)",
                field=name,
            )
    _RECORDS.check()
    _SCORES.run_folder.config()  # a wrong folder is refused before TensorFlow is loaded
    _RECORDS.require()
    _SCORES.require_writable()
    return _score_records()


def _check_folder_flags():
    for holder in _OF_RECORDS:
        if holder.present:
            raise program.FlagError(f"--{holder.name} does not apply to folders", field=holder.name)
    for holder in (_GENERATED, _TARGET):
        if not holder.value:
            raise program.FlagError(f"--{holder.name} must be given", field=holder.name)
    if _DETECT.value and _GENERATED_KEYPOINTS.value and _TARGET_KEYPOINTS.value:
        raise program.FlagError(
            "--detect_poses: keypoints of both folders are given, nothing is left to find",
            field="detect_poses",
        )
    if not _DETECT.value:
        flag_groups.needs(_GENERATED_KEYPOINTS, _TARGET_KEYPOINTS)
        flag_groups.needs(_TARGET_KEYPOINTS, _GENERATED_KEYPOINTS)


def _image_scores():
    """Takes the pairs, with the networks that the flags name."""
    from dpig_tf2.evaluation.image_scores import ImageScores

    inception = lpips = None
    if _INCEPTION.value or _DOWNLOAD.value:
        from dpig_tf2.evaluation.inception import Inception

        inception = Inception(_INCEPTION.value)
    if _LPIPS.value:
        from dpig_tf2.evaluation.lpips import Lpips

        lpips = Lpips(_LPIPS.value)
    return ImageScores(_PROTOCOL.value, inception, lpips)


def _score_records():
    """The exit status. Scores are written before the files that go with them."""
    from dpig_tf2.evaluation.picture_folder import PictureFolder
    from dpig_tf2.evaluation.records import score_records
    from dpig_tf2.pipeline.screening import usable_records
    from dpig_tf2.progress import reporter
    from dpig_tf2.records.record_set import RecordSet
    from dpig_tf2.visual.sheets import labeled_sheet

    records = RecordSet.open(_RECORDS.data_dir.value, _RECORDS.split.value)
    sampler = _SCORES.sampler()
    if _RECORDS.skip_bad_records.value:
        records = usable_records(records, sampler.config.model, skip_bad_records=True)
    folder = PictureFolder(_SAVE.value) if _SAVE.value else None
    drawn = _PICTURES.value
    detected = person_flags.detected_poses(_POSE_MODEL.value) if _DETECT.value else None
    result, examples = score_records(
        sampler,
        records,
        drawn,
        _image_scores(),
        _LIMIT.value,
        reporter(),
        folder,
        detected,
        _MASK_RADIUS.value,
    )
    status = _SCORES.finish(drawn, result, [records.manifest])
    if detected:
        _SCORES.keep_poses(f"{drawn}_{_GENERATED_KEYPOINTS.name}", detected)
    sheet = labeled_sheet(
        list(zip(*examples, strict=True)),
        row_labels=["source", "generated", "target"],
        scale=max(1, 128 // examples[0][0].shape[0]),
    )
    _SCORES.save_picture(f"evaluate_{drawn}", sheet)
    return status


def _score_folders():
    from dpig_tf2.evaluation.image_folders import Panel, pair_files, score_folders
    from dpig_tf2.preparation.pairs import read_pairs_csv
    from dpig_tf2.progress import reporter

    folders, masks, allow = (_GENERATED.value, _TARGET.value), _MASKS.value, _ALLOW_UNMATCHED.value
    listed = read_pairs_csv(_PAIRS_CSV.value) if _PAIRS_CSV.value else None
    panels = Panel(*map(int, _PANEL.value.split("/"))), Panel()
    report, keypoints = reporter(), None
    unusable: list[str] = []
    # What is wrong with files and flags is told now, not after persons have been searched for.
    pairs = pair_files(*folders, masks, allow, listed)
    _SCORES.require_writable()
    image_scores = _image_scores()
    if _GENERATED_KEYPOINTS.value or _DETECT.value:
        holders = _GENERATED_KEYPOINTS, _TARGET_KEYPOINTS
        keypoints = [
            _given_keypoints(holder.value, folder, panel, unusable) if holder.value else None
            for holder, folder, panel in zip(holders, folders, panels, strict=True)
        ]
        _, *sides, _ = zip(*pairs, strict=True)
        for i, paths in enumerate(sides):
            if keypoints[i] is None:
                keypoints[i] = _found_keypoints(holders[i].name, paths, panels[i], report)
    scored = score_folders(
        *folders, image_scores, masks, allow, keypoints, listed, panels[0], report
    )
    return scored | {"skipped": scored["skipped"] + unusable}


def _given_keypoints(path, folder, panel, unusable):
    """{image name: keypoints} for the images of a folder, of a file in any format.

    Lines on images whose keypoints are unusable go to `unusable`.
    """
    from dpig_tf2.evaluation.image_folders import image_files
    from dpig_tf2.io.images import upright_size
    from dpig_tf2.preparation import keypoint_formats

    files = {file.name: file for file in image_files(folder).values()}

    def size_of(name):
        if name not in files:  # a keypoint file may know more images
            return None
        rows, columns, orientation = upright_size(files[name])
        return rows, columns // panel.count, orientation

    found = keypoint_formats.load(
        path,
        _READING.keypoint_format.value,
        files,
        size_of,
        _READING.units.value,
        may_be_empty=True,
    )
    for problem in found.problems:
        program.say(f"note: {problem}")
    unusable += found.lines_on_unusable(files)
    return found.keypoints


def _found_keypoints(name, paths, panel, report):
    """{image name: keypoints} found in images; they are kept whatever happens."""
    from dpig_tf2.evaluation.image_folders import read_image

    detected = person_flags.detected_poses(_POSE_MODEL.value)
    paths = dict.fromkeys(paths)  # a target may be that of several pairs
    try:
        for done, path in enumerate(paths, start=1):
            # Of an image that cannot be read the pair cannot be scored: it is reported there.
            with contextlib.suppress(ValueError):
                detected.persons(path.name, read_image(path, panel))
            report(f"detecting {name}", done, len(paths))
    finally:
        _SCORES.keep_poses(name, detected)
    return detected.found


if __name__ == "__main__":
    program.run(__name__)
