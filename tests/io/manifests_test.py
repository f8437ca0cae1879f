import json

import pytest

from dpig_tf2.io import manifests
from dpig_tf2.io.manifests import Manifest, OutputError

SETTINGS = {"seed": 1, "size": (8, 4), "inputs": {"images": "a", "labels": "b"}, "count": 3}


@pytest.fixture
def path(tmp_path):
    """A manifest of one finished file."""
    manifest = Manifest(tmp_path / "list.json", SETTINGS)
    manifest.facts["summary"] = {"mean": 0.5}
    manifest.add("a.png", {"source": "me"})
    return manifest.path


def test_finished_files_are_known_again(path):
    assert json.loads(path.read_text()) == {
        "settings": SETTINGS | {"size": [8, 4]},
        "summary": {"mean": 0.5},
        "files": {"a.png": {"source": "me"}},
    }
    assert Manifest(path, SETTINGS).files == {"a.png": {"source": "me"}}


def test_files_are_listed_in_the_order_of_their_names(path):
    """Whatever the order in which processes finish them: equal folders have equal manifests."""
    manifest = Manifest(path, SETTINGS)
    for name in ("c.png", "b.png"):
        manifest.add(name, {})
    manifest.write()
    assert list(json.loads(path.read_text())["files"]) == ["a.png", "b.png", "c.png"]


def test_nothing_is_written_before_it_is_asked_for(tmp_path):
    manifest = Manifest(tmp_path / "list.json", SETTINGS)
    assert not manifest.path.exists()
    manifest.write()
    assert json.loads(manifest.path.read_text())["files"] == {}


def test_the_file_follows_within_seconds(path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    manifest = Manifest(path, SETTINGS)
    manifest.write()
    manifest.add("b.png", {})
    assert "b.png" not in Manifest(path, SETTINGS).files
    now[0] += 6
    manifest.add("c.png", {})
    assert list(Manifest(path, SETTINGS).files) == ["a.png", "b.png", "c.png"]


def test_a_list_that_takes_long_to_write_is_written_less_often(path, monkeypatch):
    now, write_json = [100.0], manifests.write_json

    def slowly(*content):
        write_json(*content)
        now[0] += 3

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(manifests, "write_json", slowly)
    manifest = Manifest(path, SETTINGS)
    manifest.write()
    for seconds, written in ((29, False), (2, True)):
        now[0] += seconds
        manifest.add("b.png", {})
        assert ("b.png" in Manifest(path, SETTINGS).files) == written


@pytest.mark.parametrize(
    "changed, field",
    [({"seed": 2, "count": 4}, "seed"), ({"count": 4}, "count"), ({"more": 1}, "more")],
)
def test_other_settings_are_refused_by_their_first_key(path, changed, field):
    before = path.read_bytes()
    with pytest.raises(OutputError) as raised:
        Manifest(path, SETTINGS | changed, "pictures")
    assert (raised.value.field, raised.value.file) == (field, str(path.parent))
    assert path.read_bytes() == before


def test_a_setting_that_is_no_more_is_refused(path):
    fewer = {key: value for key, value in SETTINGS.items() if key != "count"}
    with pytest.raises(OutputError, match="made with count=3, not None: choose .*--overwrite$"):
        Manifest(path, fewer)


def test_inputs_are_named_without_their_hashes(path):
    with pytest.raises(OutputError, match=r"made with other inputs \(labels\)"):
        Manifest(path, SETTINGS | {"inputs": {"images": "a", "labels": "c"}})


def test_an_input_that_has_changed_is_refused_and_a_further_one_is_not(tmp_path):
    path = tmp_path / "list.json"
    manifest = Manifest(path, SETTINGS, inputs={"a.jpg": "1"})
    manifest.add("a.png", {})
    for inputs in ({"b.jpg": "2"}, {"a.jpg": "1"}, {}):
        more = Manifest(path, SETTINGS, inputs=inputs)
        assert more.files == {"a.png": {}}
        more.write()
    for changed in ("a.jpg", "b.jpg"):
        with pytest.raises(OutputError, match=f"files made before {changed} was changed") as raised:
            Manifest(path, SETTINGS, inputs={"c.jpg": "3", changed: "4"})
        assert (raised.value.field, raised.value.file) == ("inputs", str(tmp_path))
    replacing = Manifest(path, SETTINGS, overwrite=True, inputs={"b.jpg": "4"})
    assert list(replacing.replaced) == ["a.png"]
    replacing.write()
    assert json.loads(path.read_text())["inputs"] == {"b.jpg": "4"}


def test_names_are_kept_for_later_runs(path):
    manifest = Manifest(path, SETTINGS)
    assert manifest.names == {}, "of an earlier version"
    manifest.names["a/b.jpg"] = "a_b"
    manifest.write()
    assert Manifest(path, SETTINGS).names == {"a/b.jpg": "a_b"}
    assert Manifest(path, SETTINGS | {"seed": 2}, overwrite=True).names == {}


def test_files_whose_inputs_were_not_noted_are_refused(path):
    before = path.read_bytes()
    with pytest.raises(OutputError, match="by a version that did not note what k.csv held"):
        Manifest(path, SETTINGS, inputs={"k.csv": "1"})
    assert path.read_bytes() == before


def test_overwrite_hands_over_what_is_replaced(path):
    manifest = Manifest(path, SETTINGS | {"seed": 2}, overwrite=True)
    assert manifest.files == {} and list(manifest.replaced) == ["a.png"]
    same = Manifest(path, SETTINGS, overwrite=True)
    assert list(same.files) == ["a.png"] and same.replaced == {}


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"settings": {}, "files": []}'])
def test_damaged_manifest_is_named_and_left(path, text):
    path.write_text(text)
    with pytest.raises(OutputError) as raised:
        Manifest(path, SETTINGS, overwrite=True)
    assert raised.value.file == str(path)
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"settings": {}, "files": {"a.png": 3}}',
        '{"settings": {}, "inputs": [], "files": {}}',
        '{"settings": {}, "names": [], "files": {}}',
        '{"settings": {}, "names": {"a.jpg": "../a"}, "files": {}}',
        '{"settings": {}, "names": {"a.jpg": "b/a"}, "files": {}}',
        '{"settings": {}, "names": {"a.jpg": 3}, "files": {}}',
        '{"settings": {}, "files": {"../a.png": {}}}',
        '{"settings": {}, "files": {"/a.png": {}}}',
        '{"settings": {}, "files": {"": {}}}',
        '{"settings": {}, "files": {"a.png": {"codes": "../../b.npz"}}}',
        '{"settings": {}, "files": {"a.png": {"codes": 7}}}',
        '{"settings": {}, "files": {"a.png\\u0000": {}}}',
        '{"settings": {}, "files": {"\\ud800": {}}}',
    ],
)
def test_odd_manifests_are_refused(tmp_path, text):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(OutputError) as refused:
        Manifest(tmp_path / "list.json", {}, overwrite=True)
    assert refused.value.file == str(tmp_path / "list.json")
    assert str(tmp_path / "list.json") in str(refused.value)
