"""Scores the poses that are found in photos against reference keypoints.

Examples:
    dpig evaluate_detector --images=photos --keypoints=keypoints.csv
    dpig evaluate_detector --images=photos --keypoints=keypoints.csv --limit=1000 --out=scores.json

Photos without a reference are left out. Synthetic scenes stand for pictures without a person. Exit
status 1 if a photo could not be read or its reference is damaged.
"""

import dataclasses
import pathlib

from absl import flags

from dpig_tf2.cli import flag_groups, person_flags, program

FLAGS = flags.FlagValues()
_IMAGES = flags.DEFINE_string(
    "images", None, "Folder with photos of one person each.", required=True, flag_values=FLAGS
)
_KEYPOINTS = flags.DEFINE_string(
    "keypoints",
    None,
    "File or folder with reference keypoints, in pixels of the photos.",
    required=True,
    flag_values=FLAGS,
)
_READING = person_flags.KeypointFormatFlags(FLAGS)
_POSE_MODEL = person_flags.define_pose_model(FLAGS)
_LIMIT = flags.DEFINE_integer(
    "limit", None, "Only so many photos, drawn at random.", lower_bound=1, flag_values=FLAGS
)
_SEED = flag_groups.define_seed(FLAGS, "the draw of photos and the scenes")
_FURTHER_LOOKS = flags.DEFINE_integer(
    "further_looks",
    None,
    "Further looks at each person; fewer are faster. All that there are by default.",
    lower_bound=0,
    flag_values=FLAGS,
)
_SCENES = flags.DEFINE_integer(
    "scenes", 17, "Number of pictures without a person.", lower_bound=0, flag_values=FLAGS
)
_OUT = flag_groups.define_out(FLAGS, "JSON file for the scores.")

_SCENE_SIZES = ((256, 256), (128, 64), (256, 128))


def main() -> int:
    from dpig_tf2.detection import accuracy
    from dpig_tf2.detection.detector import MAX_FURTHER_LOOKS, PoseDetector
    from dpig_tf2.io.atomic import require_writable, write_json
    from dpig_tf2.preparation.photos import read_all

    looks = MAX_FURTHER_LOOKS if _FURTHER_LOOKS.value is None else _FURTHER_LOOKS.value
    detector = PoseDetector.load(_POSE_MODEL.value, further_looks=looks)
    skipped: list[str] = []
    references = _references(skipped)
    if _OUT.value:
        require_writable(_OUT.value)
    photos = read_all(_IMAGES.value, sorted(references), skipped)
    compared = ((photo, references[name]) for name, photo in photos)
    measured = accuracy.measure(detector, compared, _scenes(), len(references))
    print(measured.table())
    if _OUT.value:
        made = {"pose_detector": detector.fingerprint, **flag_groups.asked(FLAGS)}
        write_json(_OUT.value, dataclasses.asdict(measured) | made)
    for reason in skipped:
        program.say(f"skipped: {reason}")
    return 1 if skipped else 0


def _references(skipped):
    """{name: reference keypoints} of the photos that are compared; lines on others to `skipped`."""
    import numpy as np

    from dpig_tf2.errors import DpigError
    from dpig_tf2.io.images import upright_size
    from dpig_tf2.preparation import keypoint_formats
    from dpig_tf2.preparation.photos import list_images

    names = list_images(_IMAGES.value, skipped)
    paths = {name: pathlib.Path(_IMAGES.value, name) for name in names}
    annotations = keypoint_formats.load(
        _KEYPOINTS.value,
        _READING.keypoint_format.value,
        names,
        lambda name: upright_size(paths[name]),
        _READING.units.value,
    )
    for problem in annotations.problems:
        program.say(f"note: {problem}")
    skipped += annotations.lines_on_unusable(paths)
    known = annotations.keypoints
    usable = [name for name in names if name in known and known[name][:, 2].any()]
    if not usable:
        raise DpigError(
            f"{_KEYPOINTS.value}: has no keypoints of the photos in {_IMAGES.value}",
            file=_KEYPOINTS.value,
        )
    if _LIMIT.value and _LIMIT.value < len(usable):
        draw = np.random.default_rng(_SEED.value).permutation(len(usable))[: _LIMIT.value]
        usable = [usable[i] for i in draw]
    return {name: known[name] for name in usable}


def _scenes():
    import numpy as np

    from dpig_tf2 import synthetic

    for number in range(_SCENES.value):
        rng = np.random.default_rng((_SEED.value, number))
        height, width = _SCENE_SIZES[number % len(_SCENE_SIZES)]
        yield synthetic.render_background(synthetic.sample_background(rng), height, width)


if __name__ == "__main__":
    program.run(__name__)
