"""The notebook runs from beginning to end, and what it has stored is fit to be kept."""

import pathlib
import re

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is absent: pip install -e '.[dev]'")
pytest.importorskip("nbclient", reason="nbclient is absent: pip install -e '.[dev]'")

_NOTEBOOK = pathlib.Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _pictures(notebook):
    outputs = [output for cell in _code(notebook) for output in cell.outputs]
    return [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.slow
def test_the_notebook_runs(tmp_path, shipped_preset):
    from scripts.run_notebook import run

    done = run(_NOTEBOOK, tmp_path)
    shown = [cell for cell in _code(done) if re.search(r"^show\(", cell.source, re.MULTILINE)]
    assert len(_pictures(done)) == len(shown) > 5
    [said] = [output.text for output in _code(done)[-1].outputs if output.get("name") == "stdout"]
    assert int(re.search(r"largest difference of levels: (\d+)", said)[1]) <= 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_stored_is_small_and_names_no_place():
    text = _NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 3e6
    assert not re.search(r"/(home|root|tmp|Users)/", text)
    assert "Error" not in text
