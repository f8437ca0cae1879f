"""docs/licenses.md names every package, with the license that the package states."""

import importlib.metadata
import pathlib
import re
import tomllib

import pytest

_REPOSITORY = pathlib.Path(__file__).parents[1]
_ROW = re.compile(r"^\| ([a-z0-9-]+) \| ([A-Z][\w.-]+) \|", re.MULTILINE)
_STATED = dict(_ROW.findall((_REPOSITORY / "docs" / "licenses.md").read_text("utf-8")))
_NAME = re.compile(r"[\w-]+")


def _required():
    """Names of the packages that this one and its extras ask for."""
    lines = (_REPOSITORY / "requirements.txt").read_text().splitlines()
    project = tomllib.loads((_REPOSITORY / "pyproject.toml").read_text())["project"]
    lines += [line for lines in project["optional-dependencies"].values() for line in lines]
    names = {_NAME.match(line)[0] for line in lines if not line.startswith("#")}
    return names - {project["name"]}


def test_all_packages_are_listed():
    assert set(_STATED) == _required()


@pytest.mark.parametrize("package", _STATED)
def test_the_license_is_what_the_package_states(package):
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    fields = ("License-Expression", "License", "Classifier")
    stated = "\n".join(text for field in fields for text in metadata.get_all(field) or [])
    family = re.match("[A-Z]+[a-z]*", _STATED[package])[0]
    assert re.search(rf"\b{family}\b", stated), stated
