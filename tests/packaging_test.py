"""The wheel and the sdist work outside of the checkout."""

import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

pytestmark = pytest.mark.slow  # builds packages

_REPOSITORY = pathlib.Path(__file__).parents[1]
_LARGEST_WHEEL = 25e6  # bytes
_BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])('{}'))"


def _build(kind, source, folder):
    command = [sys.executable, "-c", _BUILD.format(folder), f"build_{kind}"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the unpacked sdist, so that this is complete too."""
    folder = tmp_path_factory.mktemp("packages")
    copy = tmp_path_factory.mktemp("copy")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=_REPOSITORY,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("the checkout is not one of git: what belongs to it is not known")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (_REPOSITORY / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((_REPOSITORY / name).read_bytes())
    with tarfile.open(_build("sdist", copy, folder)) as archive:
        archive.extractall(folder, filter="data")
    [unpacked] = [path for path in folder.iterdir() if path.is_dir()]
    return _build("wheel", unpacked, folder)


def test_the_wheel_holds_what_is_read_at_run_time(wheel):
    assert wheel.stat().st_size < _LARGEST_WHEEL
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = _REPOSITORY / "dpig_tf2"
    files = [*package.glob("presets/data/*/*"), *package.glob("page/static/*")]
    assert len(files) > 4
    needed = {path.relative_to(_REPOSITORY).as_posix() for path in [*files, package / "py.typed"]}
    assert not needed - names
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]


@pytest.fixture(scope="module")
def dpig(wheel, tmp_path_factory):
    """Runs the installed command in a folder that has nothing to do with the checkout."""
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, f"--target={site}", str(wheel)], check=True, timeout=600)

    def run(folder, *arguments):
        done = subprocess.run(
            [site / "bin" / "dpig", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(folder / "cache")},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_installed_package_lists_its_presets(dpig, tmp_path):
    assert "released_market1501" in dpig(tmp_path, "presets")


def test_the_installed_package_samples_and_exports(dpig, tmp_path, shipped_preset):
    assert f"{shipped_preset}  (" in dpig(tmp_path, "presets")
    dpig(tmp_path, "sample", f"--run_dir=preset:{shipped_preset}", "--count=4")
    pictures = tmp_path / "runs" / f"preset-{shipped_preset}" / "samples" / "sample"
    assert len(list(pictures.glob("*_pose_*.png"))) == 4
    dpig(tmp_path, "export", f"--run_dir=preset:{shipped_preset}", "--signatures=transfer")
    [model] = tmp_path.rglob("saved_model.pb")
    assert model.is_relative_to(tmp_path / "runs")
