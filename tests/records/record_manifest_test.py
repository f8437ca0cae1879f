import json
import re
import shutil

import pytest

from dpig_tf2.io.hashes import sha256
from dpig_tf2.pipeline import screening
from dpig_tf2.records import check, index, schema
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.records.schema import RecordError
from dpig_tf2.testing import tiny_config
from tests.record_files import write_shard

MODEL = tiny_config().model
NAMES = [schema.shard_name("Market1501", "train", shard, 2) for shard in range(2)]


@pytest.fixture
def folder(tmp_path, examples):
    """Two shards of two records with their manifest."""
    files = {}
    for shard, name in enumerate(NAMES):
        write_shard(tmp_path / name, examples[2 * shard : 2 * shard + 2])
        files[name] = {
            "examples": 2,
            "bytes": (tmp_path / name).stat().st_size,
            "sha256": sha256(tmp_path / name),
        }
    manifest = {"settings": {"examples": 4, "shards": 2}, "finished": True, "files": files}
    (tmp_path / "manifest_Market1501_train.json").write_text(json.dumps(manifest))
    return tmp_path


def change_manifest(folder, change):
    path = folder / "manifest_Market1501_train.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def cut_at_a_record(folder):
    path = folder / NAMES[1]
    content = path.read_bytes()
    path.write_bytes(content[: index.index_file(path).offsets[1]])


def test_a_folder_as_it_was_written_has_no_problems(folder):
    assert check.check_folder(folder).ok
    assert len(screening.usable_records(RecordSet.open(folder, "train"), MODEL)) == 4


def unlist(folder):
    change_manifest(folder, lambda m: m["files"].pop(NAMES[1]))


def leave_unfinished(folder):
    change_manifest(folder, lambda m: m.update(finished=False))


def damage_manifest(folder):
    (folder / "manifest_Market1501_train.json").write_text("[")


def other_examples(folder):
    shutil.copy(folder / NAMES[0], folder / NAMES[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_at_a_record, f"{NAMES[1]} has 1 examples, .* says 2"),
        (unlist, f"{NAMES[1]} is not listed in manifest_Market1501_train.json"),
        (leave_unfinished, "the conversion was not finished"),
        (damage_manifest, "manifest_Market1501_train.json: .*damaged manifest"),
        (other_examples, f"{NAMES[1]} has "),
    ],
)
def test_differences_are_named(folder, change, message):
    change(folder)
    (problem,) = check.check_folder(folder).problems
    assert re.search(message, problem), problem
    records = RecordSet.open(folder, "train")
    with pytest.raises(RecordError, match=message):
        screening.usable_records(records, MODEL)
    kept = screening.usable_records(records, MODEL, skip_bad_records=True)
    assert any(problem in line for line in kept.skipped)


def test_checksums_are_compared_by_check_only(folder):
    change_manifest(folder, lambda m: m["files"][NAMES[0]].update(sha256="0" * 64))
    (problem,) = check.check_folder(folder).problems
    assert f"{NAMES[0]} has another checksum" in problem
    screening.usable_records(RecordSet.open(folder, "train"), MODEL)


def test_missing_and_renamed_shards_are_named(folder):
    (folder / NAMES[1]).rename(folder / NAMES[1].replace("_train_", "_test_"))
    told = "\n".join(check.check_folder(folder).problems)
    assert f"{NAMES[1]} is missing, manifest_Market1501_train.json lists it" in told
    assert "lacks shard 00001" in told
    for path in folder.glob("*.tfrecord"):
        path.unlink()
    told = "\n".join(check.check_folder(folder).problems)
    assert all(f"{name} is missing" in told for name in NAMES)


def test_published_folders_have_no_manifest(folder):
    (folder / "manifest_Market1501_train.json").unlink()
    cut_at_a_record(folder)
    assert check.check_folder(folder).ok
