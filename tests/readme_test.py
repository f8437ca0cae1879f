"""What the README and the documentation show runs as it stands there."""

import pathlib
import re
import zipfile

import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # runs networks

_REPOSITORY = pathlib.Path(__file__).parents[1]


def code_after(heading, page):
    """The first Python block below a heading."""
    _, rest = (_REPOSITORY / page).read_text().split(f"\n{heading}\n")
    return re.search(r"```python\n(.*?)```", rest, re.DOTALL)[1]


def test_ten_lines_with_the_shipped_weights(tmp_path, monkeypatch, shipped_preset):
    monkeypatch.chdir(tmp_path)
    code = code_after("## In Python", "README.md")
    assert len(code.splitlines()) <= 10 and shipped_preset in code
    shown = {}
    exec(code, shown)
    assert shown["reposed"].images.shape == shown["dressed"].images.shape == (1, 128, 64, 3)
    assert Image.open("halfway.png").size == (64, 128)


def test_training_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = {}
    exec(code_after("## From Python", "docs/training.md"), shown)
    assert int(shown["trainer"].step) == 20


def test_the_page_from_python(tmp_path, monkeypatch, shipped_preset):
    monkeypatch.chdir(tmp_path)
    code = code_after("## From Python", "docs/page.md")
    assert shipped_preset in code
    exec(code, {})
    assert "codes.npz" in zipfile.ZipFile("result.zip").namelist()
