"""ARCHITECTURE.md says which room imports which; this keeps it true."""

import ast
import pathlib
import re

import pytest

import dpig_tf2

PACKAGE = pathlib.Path(dpig_tf2.__file__).parent
MAP = PACKAGE.parent / "ARCHITECTURE.md"
MODULES = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
ROOMS = MODULES - {"__init__", "__pycache__"}
EVERYWHERE = {"errors"}


def documented():
    """{room: rooms that it may import} in the table's order."""
    rooms = {}
    for line in MAP.read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| `(\w+)(?:/|\.py)` \| .* \| (.*) \|", line)
        if row:  # (why) is no name
            names = re.sub(r"\(.*?\)", "", row[2]).replace(" ", "").split(",")
            rooms[row[1]] = set(rooms) if names == ["everything"] else set(names) - {"nothing"}
    return rooms


def imported(room):
    """Rooms that the modules of a room import."""
    files = [PACKAGE / f"{room}.py", *(PACKAGE / room).rglob("*.py")]
    found = set()
    for file in filter(pathlib.Path.exists, files):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {n.split(".")[1] for n in names if n.startswith("dpig_tf2.")}
    return found & ROOMS - {room} - EVERYWHERE


def test_every_room_is_on_the_map():
    assert set(documented()) | EVERYWHERE == ROOMS


@pytest.mark.parametrize("room", documented())
def test_a_room_imports_what_the_map_names(room):
    rooms = documented()
    above = list(rooms)[: list(rooms).index(room)]
    assert rooms[room] <= set(above)
    if room == "cli":  # may import everything
        assert imported(room) <= rooms[room]
    else:
        assert imported(room) == rooms[room]
