"""What the README shows runs as it stands there."""

import pathlib
import re

import pytest

from dpig_tf2.preparation import synthetic_records

README = pathlib.Path(__file__).parents[1] / "README.md"


def code_after(heading):
    """The first Python block below a heading."""
    _, rest = README.read_text().split(f"\n{heading}\n")
    return re.search(r"```python\n(.*?)```", rest, re.DOTALL)[1]


@pytest.mark.slow
def test_training_from_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    synthetic_records.write("data/synthetic", "train", 20, 4)
    shown = {}
    exec(code_after("### Training from Python"), shown)
    assert int(shown["trainer"].step) == 20
