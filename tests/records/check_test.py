import pytest
import tensorflow as tf

from dpig_tf2.records import check, parsing
from tests.record_files import write_shard

NAME = "Market1501_train_00000-of-00001.tfrecord"


def changed(example, key, change):
    parsed = tf.train.Example.FromString(example)
    change(parsed.features.feature[key])
    return parsed.SerializeToString()


def test_good_records(tmp_path, examples):
    write_shard(tmp_path / NAME, examples)
    report = check.check_folder(tmp_path)
    assert report.ok
    text = str(report)
    assert "4 examples" in text and "64 x 32 (4)" in text and "part regions: 37 (4)" in text
    assert "identities: 4" in text and "no problems" in text


def test_share_of_visible_keypoints(tmp_path, examples, persons):
    write_shard(tmp_path / NAME, examples)
    visible = sum(person.keypoints[:, 2].sum() for person in persons) / (18 * len(persons))
    assert f"visible keypoints: {visible:.1%}" in str(check.check_folder(tmp_path))


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("image_raw_0", lambda f: f.Clear(), "required key image_raw_0 holds 0 values"),
        (
            "image_raw_1",
            lambda f: f.bytes_list.value.__setitem__(0, b"\xff\xd8 garbage"),
            "image_raw_1 cannot be decoded",
        ),
        (
            "image_raw_0",
            lambda f: f.bytes_list.value.__setitem__(0, f.bytes_list.value[0][:200]),
            "image_raw_0 cannot be decoded",
        ),
        (
            "pose_mask_r4_1",
            lambda f: f.int64_list.value.append(1),
            "pose_mask_r4_1 holds 2049 values, expected 2048",
        ),
        (
            "part_vis_0",
            lambda f: f.int64_list.value.append(1),
            "part_vis_0 holds 38 values, expected 7 or 37",
        ),
        (
            "pose_peaks_0_rcv",
            lambda f: f.float_list.value.__setitem__(0, float("nan")),
            "pose_peaks_0_rcv holds values that are not finite",
        ),
        (
            "cam_0",
            lambda f: f.float_list.value.append(1.0),
            "cam_0 holds float_list, expected int64_list",
        ),
    ],
)
def test_damage_is_named(examples, key, change, message):
    (problem, *_) = check.problems(changed(examples[0], key, change))
    assert problem.startswith(message)


def test_missing_keypoints_and_map(examples):
    bare = tf.train.Example.FromString(examples[0])
    del bare.features.feature["pose_peaks_0_rcv"]
    assert not check.problems(bare.SerializeToString())
    del bare.features.feature["indices_r4_0"]
    (problem,) = check.problems(bare.SerializeToString())
    assert "pose_peaks_0_rcv is missing, and so is indices_r4_0" in problem


def test_what_a_record_lacks_is_not_filled_up(monkeypatch):
    """Two plain PNG of 2048 x 2048 pixels take a few kilobytes in a record."""
    bare = tf.train.Example()
    for side in range(2):
        bare.features.feature[f"image_raw_{side}"].bytes_list.value.append(
            tf.io.encode_png(tf.zeros([200, 100, 3], tf.uint8)).numpy()
        )
        bare.features.feature[f"pose_peaks_{side}_rcv"].float_list.value.extend([1.0] * 54)
        bare.features.feature[f"pose_mask_r4_{side}"].Clear()  # is there, and holds nothing
    asked, parsing_spec = [], parsing.parsing_spec

    def noted(*arguments, **named):
        asked.append(parsing_spec(*arguments, **named))
        return asked[-1]

    monkeypatch.setattr(parsing, "parsing_spec", noted)
    assert not check.problems(bare.SerializeToString())
    assert len(asked) == 2  # the images, then all else
    assert all(not getattr(feature, "shape", ()) for spec in asked for feature in spec.values())


def test_unequal_sizes_are_named(examples):
    assert "is 64 x 32 pixels, expected 128 x 64" in check.problems(examples[0], (128, 64))[0]


def test_garbage_is_no_example():
    assert check.problems(b"\xff" * 20) == ["not a tf.train.Example (DecodeError)"]


def test_report_counts_damage_by_file_and_record(tmp_path, examples):
    bad = changed(examples[1], "image_raw_0", lambda f: f.Clear())
    write_shard(tmp_path / NAME, [examples[0], bad, examples[2]])
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-3])
    report = check.check_folder(tmp_path)
    assert not report.ok
    assert report.problems[0].startswith(f"{path}: record 2 is cut off")
    assert report.problems[1].startswith(f"{path} record 1: required key image_raw_0")
    assert "2 problems" in str(report)


def test_older_records_are_reported(tmp_path, examples):
    """Records of the kind that PG2 published first: no keypoints, names or boxes."""
    absent = ("pose_peaks_{}_rcv", "image_name_{}", "part_bbox_{}", "part_vis_{}")
    old = [tf.train.Example.FromString(example) for example in examples]
    for example in old:
        for key in absent:
            for side in range(2):
                del example.features.feature[key.format(side)]
    write_shard(tmp_path / NAME, [example.SerializeToString() for example in old])
    write_shard(tmp_path / NAME.replace("train", "test"), examples)
    report = check.check_folder(tmp_path)
    assert report.ok
    assert "  part regions: none (4)" in report.lines
    visible = [line for line in report.lines if "visible keypoints" in line]
    assert len(visible) == 2 and visible[0] == visible[1]


def test_images_in_two_splits_are_told(tmp_path, examples, persons):
    write_shard(tmp_path / NAME, examples[:1])
    write_shard(tmp_path / NAME.replace("train", "test"), examples[2:3])
    assert "share" not in str(check.check_folder(tmp_path))
    write_shard(tmp_path / NAME.replace("train", "test"), examples[1:3])
    (note,) = [line for line in check.check_folder(tmp_path).lines if "share" in line]
    assert note == (
        "note: Market1501_test and Market1501_train share 1 image name, such as " + persons[1].name
    )


def test_a_name_in_two_splits_stays_in_its_line(tmp_path, examples):
    parsed = tf.train.Example.FromString(examples[0])
    for key in ("image_name_0", "image_name_1"):
        parsed.features.feature[key].bytes_list.value[:] = [b"a\nno problems"]
    for split in ("train", "test"):
        write_shard(tmp_path / NAME.replace("train", split), [parsed.SerializeToString()])
    assert "such as a\\nno problems" in str(check.check_folder(tmp_path))


def test_folder_without_records(tmp_path):
    assert "no files like" in str(check.check_folder(tmp_path))


def test_progress(tmp_path, examples):
    write_shard(tmp_path / NAME, examples[:2])
    calls = []
    check.check_folder(tmp_path, lambda *call: calls.append(call))
    assert calls == [("Market1501_train", 1, 2), ("Market1501_train", 2, 2)]
