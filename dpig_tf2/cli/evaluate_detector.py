"""Compares the poses that are found in photos with reference keypoints; prints a table.

Examples:
  python -m dpig_tf2.cli.evaluate_detector --images=photos --keypoints=keypoints.csv
  python -m dpig_tf2.cli.evaluate_detector --images=photos --keypoints=keypoints.csv \
      --limit=1000 --seed=7 --json=accuracy.json

Photos without a reference are left out. Synthetic scenes stand for pictures without a person.
"""

import dataclasses
import json

from absl import flags

from dpig_tf2.cli.flags import run_program

_IMAGES = flags.DEFINE_string(
    "images", None, "Folder with photos of one person each.", required=True
)
_KEYPOINTS = flags.DEFINE_string(
    "keypoints", None, "Reference keypoints, in any format that make_records reads.", required=True
)
_POSE_MODEL = flags.DEFINE_string(
    "pose_model",
    None,
    "A .task bundle or the folder of the two .tflite files. Default: what DPIG_POSE_MODEL names, "
    "else what was downloaded.",
)
_LIMIT = flags.DEFINE_integer("limit", None, "Only so many photos, drawn at random.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the draw of photos and of the scenes.", lower_bound=0)
_FURTHER_LOOKS = flags.DEFINE_integer(
    "further_looks", None, "Further looks at each person; fewer are faster.", lower_bound=0
)
_SCENES = flags.DEFINE_integer("scenes", 17, "Number of pictures without a person.", lower_bound=0)
_JSON = flags.DEFINE_string("json", None, "JSON file to write.")

_SCENE_SIZES = ((256, 256), (128, 64), (256, 128))


def main(_):
    from dpig_tf2.detection import accuracy
    from dpig_tf2.detection.detector import MAX_FURTHER_LOOKS, PoseDetector
    from dpig_tf2.detection.photo_files import read_photos
    from dpig_tf2.io.atomic import replacing

    looks = MAX_FURTHER_LOOKS if _FURTHER_LOOKS.value is None else _FURTHER_LOOKS.value
    detector = PoseDetector.load(_POSE_MODEL.value, further_looks=looks)
    references = _references()
    skipped: list[str] = []
    photos = read_photos(_IMAGES.value, sorted(references), skipped)
    compared = ((photo, references[name]) for name, photo in photos)
    measured = accuracy.measure(detector, compared, _scenes(), len(references))
    print(measured.table())
    if _JSON.value:
        with replacing(_JSON.value) as file:
            file.write_text(json.dumps(dataclasses.asdict(measured), indent=2), encoding="utf-8")
    for reason in skipped:
        print(f"skipped: {reason}")
    return 1 if skipped else 0


def _references():
    """{name: reference keypoints} of the photos that are compared."""
    import numpy as np

    from dpig_tf2.errors import DpigError
    from dpig_tf2.preparation import keypoint_formats
    from dpig_tf2.preparation.photos import list_images

    names = list_images(_IMAGES.value)
    known = keypoint_formats.load(_KEYPOINTS.value, image_names=names).keypoints
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


def run():
    run_program("dpig-evaluate-detector", main)


if __name__ == "__main__":
    run()
