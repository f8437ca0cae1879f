"""Poses found in photos, some of them ahead of time."""

import subprocess
import sys
import types

import numpy as np
import pytest

from dpig_tf2.detection.photo_poses import DetectedPoses

PHOTOS = {name: np.full((4, 4, 3), level, np.uint8) for level, name in enumerate("abc", 1)}


def detector(looks, broken=()):
    """Finds one person on each photo, whose keypoints are the photo's level; none may be broken."""

    def detect(photos):
        (level,) = {int(photo[0, 0, 0]) for photo in photos}
        looks.append(level)
        if level in broken:
            raise RuntimeError(f"photo of level {level}")
        box = np.zeros(4, np.float32)
        keypoints = np.full((18, 3), level, np.float32)
        return [[types.SimpleNamespace(keypoints=keypoints, box=box, mask=None)]]

    return types.SimpleNamespace(fingerprint="x", detect=detect)


def test_what_was_looked_at_ahead_is_not_looked_at_again(tmp_path):
    looks = []
    poses = DetectedPoses(detector(looks))
    poses.look_ahead((name, PHOTOS[name]) for name in "ab")
    assert poses.keep(tmp_path / "k.csv") == [], "nobody has asked for them yet"
    found = [poses.of(name, photo)[0].keypoints[0, 0] for name, photo in PHOTOS.items()]
    assert found == [1, 2, 3]
    assert looks == [1, 2, 3]
    assert list(poses.found) == ["a", "b", "c"]


def test_what_fails_ahead_is_told_when_its_turn_comes():
    looks = []
    poses = DetectedPoses(detector(looks, broken=[2]))
    poses.look_ahead(PHOTOS.items())
    assert len(poses.of("a", PHOTOS["a"])) == 1
    with pytest.raises(RuntimeError, match="level 2"):
        poses.of("b", PHOTOS["b"])
    assert len(poses.of("c", PHOTOS["c"])) == 1
    assert looks == [1, 2, 2, 3]


def test_a_program_that_ends_does_not_wait_for_all_photos(tmp_path):
    """With status 3, after the photo that it was at."""
    script = tmp_path / "ends.py"
    script.write_text(
        "import pathlib, sys, time, types\n"
        "from dpig_tf2.detection.photo_poses import DetectedPoses\n"
        "def detect(photos):\n"
        "    print('look', flush=True)\n"
        "    time.sleep(0.5)\n"
        "    return [[]]\n"
        "poses = DetectedPoses(types.SimpleNamespace(fingerprint='x', detect=detect))\n"
        "poses.look_ahead((str(n), None) for n in range(1000))\n"
        "sys.exit(3)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert done.stdout.count("look") <= 2
