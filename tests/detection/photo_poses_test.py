"""Poses found in photos, some of them ahead of time."""

import subprocess
import sys
import threading
import types

import numpy as np
import pytest

from dpig_tf2.detection.photo_poses import DetectedPoses
from dpig_tf2.errors import DpigError

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


class _WhenJoined:
    """A thread that has got nowhere before somebody waits for it."""

    def __init__(self, target):
        self.start, self.join = (lambda: None), target


def test_what_is_being_looked_at_is_waited_for(monkeypatch):
    monkeypatch.setattr(threading, "Thread", _WhenJoined)
    looks = []
    poses = DetectedPoses(detector(looks))
    poses.look_ahead((name, PHOTOS[name]) for name in "ab")
    poses.of("b", PHOTOS["b"])
    assert looks == [1, 2]


@pytest.mark.filterwarnings("error")  # nothing is printed by the thread
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


def crowd(photos):
    """As many persons on a photo as its level says, the first with keypoints of 1, and so on."""
    box, mask = np.arange(4), np.ones((4, 4), np.float32)
    return [
        [
            types.SimpleNamespace(
                keypoints=np.full((18, 3), number, np.float32), box=box, mask=mask * number
            )
            for number in range(1, photo[0, 0, 0] + 1)
        ]
        for photo in photos
    ]


CROWD = types.SimpleNamespace(fingerprint="x", detect=crowd)
NOBODY = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("everyone", "found", "summary"),
    [
        (False, [1], "a person was found on 2 of 3 photos, several on 1: the largest and"),
        (True, [1, 2], "3 persons found on 2 of 3 photos"),
    ],
)
def test_the_main_person_or_all_are_found_and_kept(tmp_path, everyone, found, summary):
    poses = DetectedPoses(CROWD, everyone)
    assert poses.settings == {"pose_detector": "x"}
    assert len(poses.of("a", PHOTOS["a"])) == 1
    both = poses.of("b", PHOTOS["b"])
    assert [pose.keypoints[0, 0] for pose in both] == found
    assert [pose.mask[0, 0] for pose in both] == found
    assert both[0].box.tolist() == [0, 1, 2, 3]
    with pytest.raises(DpigError, match="no person was found"):
        poses.of("c", NOBODY)
    (line,) = poses.keep(tmp_path / "k.csv")
    assert line.startswith(summary)
    text = (tmp_path / "k.csv").read_text()
    assert "a: " in text and "b: " in text and "c: " not in text


def test_keypoints_that_somebody_has_changed_are_left_alone(tmp_path):
    path = tmp_path / "k.csv"
    poses = DetectedPoses(CROWD)
    np.testing.assert_array_equal(poses.keypoints_or_none("c", NOBODY), np.zeros((18, 3)))
    poses.keep(path)
    assert not path.exists(), "nobody was found"
    poses.of("a", PHOTOS["a"])
    poses.keep(path)
    poses.keypoints_or_none("b", PHOTOS["b"])
    assert len(poses.keep(path)) == 1
    assert "b: " in path.read_text(), "lines may be added"
    changed = path.read_bytes().replace(b"[1", b"[9") + "ä".encode("latin-1")
    path.write_bytes(changed)
    assert "left as it is" in poses.keep(path)[1]
    assert path.read_bytes() == changed
