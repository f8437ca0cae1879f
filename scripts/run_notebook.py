"""Runs a notebook and stores it with its outputs.

.venv/bin/python scripts/run_notebook.py [NOTEBOOK]
"""

import pathlib
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

QUICKSTART = pathlib.Path(__file__).parents[1] / "examples" / "quickstart.ipynb"
_SECONDS = 600  # of a cell, on a machine that is busy


def run(path: pathlib.Path, folder: pathlib.Path | str) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in a folder; raises CellExecutionError at a fault."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=_SECONDS, resources=resources, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if _is_kept(each)]
            for output in cell.outputs:
                output.get("data", {}).pop("image/jpeg", None)  # there is a PNG beside it
    notebook.metadata = {
        key: notebook.metadata[key] for key in ("kernelspec",) if key in notebook.metadata
    }
    return notebook


def _is_kept(output):
    """What TensorFlow says is not: it names files of this machine."""
    said = output.get("text", "")
    return output.get("name") != "stderr" and not said.startswith(("INFO:", "WARNING:"))


if __name__ == "__main__":
    stored = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else QUICKSTART
    with tempfile.TemporaryDirectory() as work:
        nbformat.write(run(stored, work), stored)
    print(f"stored {stored}")
