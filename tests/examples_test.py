"""The commands in examples/ run as they stand there, with small networks on synthetic photos."""

import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from tests.programs import run_in_one_process, save_tiny_sampler

pytestmark = pytest.mark.slow  # starts programs

_EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
_SIZE = 256, 128


def _commands(name):
    """The command lines of the bash blocks of a page, without `dpig`."""
    blocks = re.findall(r"```bash\n(.*?)```", (_EXAMPLES / name).read_text("utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    assert lines and all(line.startswith("dpig ") for line in lines)
    return [shlex.split(line)[1:] for line in lines]


def _photograph(folder, names, first_identity=1):
    """Photos of the names, two of each person, and the CSV with their keypoints."""
    (folder).mkdir()
    poses = {}
    persons = synthetic.make_images(5, (len(names) + 1) // 2, 2, first_identity)
    for name, person in zip(names, persons, strict=False):
        image = synthetic.render(person.foreground, person.background, person.pose, *_SIZE)
        Image.fromarray(image).save(folder / name)
        poses[name] = synthetic.pose_keypoints(person.pose, *_SIZE)
    return keypoint_csv(poses)


@pytest.fixture
def tiny(tmp_path, tiny_config, monkeypatch):
    """What stands for the weights and sizes of the examples."""
    monkeypatch.chdir(tmp_path)
    save_tiny_sampler(tiny_config, tmp_path / "tiny")
    return {
        "preset:persons_128x64": "tiny",
        "--height=128": "--height=64",
        "--width=64": "--width=32",
    }


def _run(name, replaced, more):
    lines = []
    for verb, *flags in _commands(name):
        if verb in more and more[verb] is None:
            continue
        for old, new in replaced.items():
            flags = [flag.replace(old, new) for flag in flags]
        lines.append([verb, *flags, *more.get(verb, [])])
    results = run_in_one_process(lines, cwd=pathlib.Path.cwd())
    for line, (status, output, errors) in zip(lines, results, strict=True):
        assert status == 0, (line, output, errors)


def _is_picture(path):
    return np.asarray(Image.open(path)).std() > 5


def test_own_photos(tmp_path, tiny):
    names = ["ann.png", "ben.png", "cleo.png"]
    (tmp_path / "keypoints.csv").write_text(_photograph(tmp_path / "photos", names))
    # Poses are found by a model that tests of its own have.
    _run("own_photos.md", tiny, {"detect_poses": None})
    pictures = tmp_path / "pictures"
    assert len(list((pictures / "poses" / "sheets").glob("*.png"))) == 1
    [pasted] = (pictures / "ann_as_ben" / "in_photo").glob("*.png")
    assert Image.open(pasted).size == _SIZE[::-1]
    assert len(list((pictures / "places").glob("*.png"))) == 9
    assert all(map(_is_picture, (pictures / "clothes").glob("*.png")))
    assert list((pictures / "way").glob("*.gif"))


def test_reid_dataset(tmp_path, tiny):
    for split, first in (("", 1), ("_test", 50)):
        names = [f"{first + k // 2:04d}_{k % 2}.png" for k in range(8)]
        poses = _photograph(tmp_path / f"photos{split}", names, first)
        (tmp_path / f"keypoints{split}.csv").write_text(poses)
    steps = ["reconstruction", "pose", "appearance_mapping", "pose_mapping"]
    more = {
        "train": [f"--set={stage}.{name}=2" for stage in steps for name in ("steps", "batch_size")],
        "identities": ["--identities=2", "--images_per_identity=3", "--test_identities=1"],
    }
    _run("reid_dataset.md", tiny, more)
    assert (tmp_path / "runs/mine/metrics.json").exists()
    assert list((tmp_path / "runs/mine/samples/overview/sheets").glob("*.png"))
    assert len(list((tmp_path / "data/virtual/bounding_box_train").glob("*"))) == 6
