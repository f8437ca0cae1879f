"""The programs of the pose detector as a user starts them."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dpig_tf2 import synthetic
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.io.atomic import write_text
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv

pytestmark = pytest.mark.slow  # each starts a program that loads TensorFlow

_REPOSITORY = pathlib.Path(__file__).parents[2]


def run(program, *flags, **variables):
    return subprocess.run(
        [sys.executable, "-m", f"dpig_tf2.cli.{program}", *flags],
        cwd=_REPOSITORY,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Folder of three photos of synthetic persons, and their keypoints as a CSV beside it."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    folder.mkdir()
    keypoints = {}
    for number, seed in enumerate((100, 103, 105)):
        rng = np.random.default_rng(seed)
        factors = synthetic.sample_foreground(rng), synthetic.sample_background(rng)
        pose = synthetic.sample_pose(rng)
        Image.fromarray(synthetic.render(*factors, pose, 256, 128)).save(folder / f"{number}.png")
        keypoints[f"{number}.png"] = synthetic.pose_keypoints(pose, 256, 128)
    write_text(folder.parent / "keypoints.csv", keypoint_csv(keypoints))
    return folder


def test_csv_sheets_and_what_was_skipped(photos, pose_model, tmp_path):
    flags = [f"--images={photos}", f"--out={tmp_path}/found.csv"]
    done = run("detect_poses", *flags, f"--sheets={tmp_path}/sheets", f"--pose_model={pose_model}")
    assert done.returncode == 0, done.stderr
    line = f"a person was found on 3 of 3 photos; their keypoints: {tmp_path}/found.csv"
    assert line in done.stdout
    names, found = read_keypoint_csv(tmp_path / "found.csv")
    true = read_keypoint_csv(photos.parent / "keypoints.csv")[1]
    assert names == ["0.png", "1.png", "2.png"]
    both = (found[:, :, 2] > 0) & (true[:, :, 2] > 0)
    assert both.sum() > 30
    assert np.median(np.linalg.norm((found - true)[both], axis=1)) < 8
    (sheet,) = (tmp_path / "sheets").iterdir()
    assert Image.open(sheet).width > 3 * 128

    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(photos / "0.png").save(folder / "a.png")
    Image.new("RGB", (64, 128), (90, 90, 90)).save(folder / "empty.png")
    (folder / "te\x1b[2Jxt.png").write_text("no picture")
    flags = [f"--images={folder}", f"--out={tmp_path}/second.csv"]
    done = run("detect_poses", *flags, DPIG_POSE_MODEL=str(pose_model))
    assert done.returncode == 1
    assert "a person was found on 1 of 3 photos" in done.stdout
    assert f"skipped: {folder}/empty.png: no person was found" in done.stdout
    assert f"skipped: {folder}/te\\x1b[2Jxt.png: is not a" in done.stdout
    assert "detecting: 3/3, " in done.stderr
    assert read_keypoint_csv(tmp_path / "second.csv")[0] == ["a.png"]


@pytest.mark.parametrize("below", ["", "/found"])
def test_sheets_among_the_photos_are_refused(photos, pose_model, tmp_path, below):
    flags = [f"--images={photos}", f"--out={tmp_path}/found.csv", f"--sheets={photos}{below}"]
    done = run("detect_poses", *flags, f"--pose_model={pose_model}")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"--sheets={photos}{below}: is in {photos}, where sheets would be taken for" in line
    assert not (tmp_path / "found.csv").exists() and len(list(photos.iterdir())) == 3


def test_what_cannot_be_written_is_told_before_anything_is_searched(photos, pose_model):
    flags = [f"--images={photos}", f"--out={photos}/0.png/found.csv"]
    done = run("detect_poses", *flags, f"--pose_model={pose_model}")
    assert done.returncode == 1
    assert "detecting" not in done.stderr and f"{photos}/0.png" in done.stderr


def test_without_a_model_one_line_says_what_to_do(photos, tmp_path):
    flags = [f"--images={photos}", f"--out={tmp_path}/found.csv"]
    done = run("detect_poses", *flags, DPIG_POSE_MODEL=str(tmp_path / "none"))
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert f"no pose model at {tmp_path}/none" in line and "download pose_model" in line
    assert not (tmp_path / "found.csv").exists()


def test_accuracy_table(photos, pose_model, tmp_path):
    flags = [f"--images={photos}", f"--keypoints={photos.parent}/keypoints.csv", "--scenes=2"]
    flags += ["--limit=2", f"--out={tmp_path}/accuracy.json", f"--pose_model={pose_model}"]
    done = run("evaluate_detector", *flags)
    assert done.returncode == 0, done.stderr
    measured = json.loads((tmp_path / "accuracy.json").read_text())
    assert (measured["photos"], measured["missed"], measured["false_persons"]) == (2, 0, 0)
    assert measured["found"] > 85
    assert measured["flags"]["limit"] == 2 and len(measured["pose_detector"]) == 16
    assert f"{measured['found']:.1f} % of {measured['keypoints']}" in done.stdout
    damaged = tmp_path / "damaged.csv"
    text = (photos.parent / "keypoints.csv").read_text()
    write_text(damaged, text.replace("0.png: [", "0.png: [7, ") + "none.png: []: []\n")
    flags[1:4] = [f"--keypoints={damaged}", "--scenes=0", "--limit=1"]
    done = run("evaluate_detector", *flags)
    assert done.returncode == 1, done.stderr
    assert "damaged.csv line 2: 0.png: keypoints_y has 19 numbers" in done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("skipped")]
    assert skipped == [f"skipped: {photos}/0.png: unusable keypoints"]
    done = run("evaluate_detector", *flags, f"--out={damaged}/accuracy.json")
    assert done.returncode == 1 and "damaged.csv" in done.stderr
    assert " % of " not in done.stdout, "nothing was measured"
    other = tmp_path / "other.csv"
    write_text(other, keypoint_csv({"x.png": np.full((18, 3), 9.0)}))
    done = run("evaluate_detector", flags[0], f"--keypoints={other}", flags[-1])
    assert done.returncode == 1 and "has no keypoints of the photos" in done.stderr
