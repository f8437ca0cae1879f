import json
import pathlib
import pickle
import re

import numpy as np
import pytest
from scipy import io

from dpig_tf2.ops.keypoints import KEYPOINT_NAMES
from dpig_tf2.preparation import keypoint_formats
from dpig_tf2.preparation.keypoint_formats import layouts


def keypoints():
    """18 keypoints (row, column, visibility) with the right wrist missing."""
    values = np.c_[np.arange(10.0, 28), np.arange(30.0, 48), np.ones(18)].astype(np.float32)
    values[4] = 0
    return values


def csv_line(name, values, extra=""):
    rows = [int(row) if v else -1 for row, _, v in values]
    columns = [int(column) if v else -1 for _, column, v in values]
    return f"{name}: {rows}: {columns}{extra}\n"


def write_csv(path, *lines, header="name:keypoints_y:keypoints_x"):
    path.write_text(header + "\n" + "".join(lines))
    return path


def test_csv(tmp_path):
    path = write_csv(tmp_path / "k.csv", csv_line("a.jpg", keypoints()))
    names, read = keypoint_formats.read_keypoint_csv(path)
    assert names == ["a.jpg"]
    np.testing.assert_array_equal(read, keypoints()[None])
    assert read.dtype == np.float32


def test_csv_identity_column(tmp_path):
    path = write_csv(
        tmp_path / "k.csv",
        csv_line("a.jpg", keypoints(), ": anna"),
        header="name:keypoints_y:keypoints_x:identity",
    )
    assert keypoint_formats.load(path).identities == {"a.jpg": "anna"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("b.jpg: [1, 2]: [3, 4]\n", "line 3: b.jpg: keypoints_y has 2 numbers, expected 18"),
        ("b.jpg: [1, 2: 4]\n", "line 3: b.jpg: keypoints_y is not a list"),
        ("b.jpg\n", "line 3: b.jpg: keypoints_y"),
        (
            f"b.jpg: {json.dumps([-7] + [5] * 17)}: {json.dumps([5] * 18)}\n",
            "line 3: b.jpg: nose is negative",
        ),
        (
            f"b.jpg: {json.dumps([float('nan')] + [5] * 17)}: {json.dumps([5] * 18)}\n",
            "line 3: b.jpg: nose is not a finite number",
        ),
    ],
)
def test_faults_of_a_csv_are_named(tmp_path, line, message):
    path = write_csv(tmp_path / "k.csv", csv_line("a.jpg", keypoints()), line)
    annotations = keypoint_formats.load(path)
    assert len(annotations.problems) == 1
    assert message in annotations.problems[0]
    np.testing.assert_array_equal(annotations.keypoints["a.jpg"], keypoints())
    with pytest.raises(ValueError, match="k.csv line 3"):
        keypoint_formats.read_keypoint_csv(path)


def test_a_csv_in_pixels_of_larger_images_is_refused(tmp_path):
    lines = [csv_line("a.jpg", keypoints()), csv_line("b.jpg", keypoints() * [9, 9, 1])]
    path = write_csv(tmp_path / "k.csv", *lines)
    assert len(keypoint_formats.read_keypoint_csv(path)[0]) == 2, "any size will do"
    size = tuple(int(n) + 1 for n in keypoints()[:, :2].max(axis=0))
    with pytest.raises(ValueError, match="k.csv: b.jpg: .* is far outside the image") as refused:
        keypoint_formats.read_keypoint_csv(path, size)
    assert refused.value.file == str(path)


def test_the_first_of_doubled_rows_is_kept(tmp_path):
    other = keypoints() * [0.5, 0.5, 1]
    path = write_csv(tmp_path / "k.csv", csv_line("a.jpg", keypoints()), csv_line("a.jpg", other))
    (problem,) = keypoint_formats.load(path).problems
    assert "line 3: a.jpg appears twice, the first one is kept" in problem
    names, read = keypoint_formats.read_keypoint_csv(path)
    assert names == ["a.jpg"]
    np.testing.assert_array_equal(read, keypoints()[None])


def test_a_damaged_row_makes_its_photo_unusable_unless_another_row_serves(tmp_path):
    good, bad = csv_line("b.jpg", keypoints()), "{}.jpg: [1, 2]: [3, 4]\n"
    path = write_csv(tmp_path / "k.csv", bad.format("a"), bad.format("b"), good)
    annotations = keypoint_formats.load(path, image_names=["a.jpg", "b.jpg"])
    assert list(annotations.keypoints) == ["b.jpg"]
    assert annotations.unusable == ["a.jpg"]
    assert len(annotations.problems) == 2


def test_faulty_coordinates_become_missing(tmp_path):
    rows = [-7] + [5] * 17
    path = write_csv(tmp_path / "k.csv", f"b.jpg: {rows}: {[5] * 18}\n")
    read = keypoint_formats.load(path).keypoints["b.jpg"]
    np.testing.assert_array_equal(read[0], 0)
    np.testing.assert_array_equal(read[1:, 2], 1)


def test_pickle(tmp_path):
    path = tmp_path / "train.pickle"
    content = {"a.png": keypoints().astype(np.float64), "b.png": np.zeros((17, 3))}
    path.write_bytes(pickle.dumps(content, 2))
    annotations = keypoint_formats.load(path)
    np.testing.assert_array_equal(annotations.keypoints["a.png"], keypoints())
    assert "b.png: has shape [17, 3], expected [18, 3]" in annotations.problems[0]
    assert annotations.unusable == ["b.png"]


def openpose_file(folder, stem, *people):
    text = json.dumps({"people": [{"pose_keypoints_2d": np.ravel(p).tolist()} for p in people]})
    (folder / f"{stem}_keypoints.json").write_text(text)


def test_openpose_18(tmp_path):
    person = keypoints()[:, [1, 0, 2]] * [1, 1, 0.5]
    shadow = person * [1, 1, 0.1]
    openpose_file(tmp_path, "a", shadow, person)
    annotations = keypoint_formats.load(tmp_path, image_names=["a.jpg"])
    np.testing.assert_array_equal(annotations.keypoints["a.jpg"], keypoints())
    assert "2 persons" in annotations.problems[0]


def test_openpose_25(tmp_path):
    body = np.zeros((25, 3))
    body[:, 0] = np.arange(25) + 1  # column
    body[:, 1:] = 5, 1
    openpose_file(tmp_path, "a", body)
    read = keypoint_formats.load(tmp_path).keypoints["a"]
    columns = {name: int(read[i, 1]) - 1 for i, name in enumerate(KEYPOINT_NAMES)}
    assert (columns["neck"], columns["right_hip"], columns["left_hip"]) == (1, 9, 12)
    assert (columns["right_eye"], columns["left_eye"], columns["right_ear"]) == (15, 16, 17)


def test_openpose_faults(tmp_path):
    openpose_file(tmp_path, "good", keypoints())
    openpose_file(tmp_path, "empty")
    openpose_file(tmp_path, "short", np.zeros((7, 3)))
    (tmp_path / "broken_keypoints.json").write_text("{")
    problems = keypoint_formats.load(tmp_path).problems
    assert len(problems) == 3
    for stem, words in (("empty", "no person"), ("short", "7 keypoints"), ("broken", "not JSON")):
        assert any(f"{stem}_keypoints.json" in line and words in line for line in problems)


def test_a_file_of_a_folder_that_cannot_be_read_costs_only_itself(tmp_path, monkeypatch):
    openpose_file(tmp_path, "good", keypoints())
    openpose_file(tmp_path, "locked", keypoints())
    read_bytes = pathlib.Path.read_bytes

    def refusing(path):
        if "locked" in path.name:
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", refusing)
    found = keypoint_formats.load(tmp_path)
    assert list(found.keypoints) == ["good"]
    assert len(found.problems) == 1 and "locked_keypoints.json" in found.problems[0]
    with pytest.raises(PermissionError):
        keypoint_formats.load(tmp_path / "locked_keypoints.json")


def coco_person(image_id, **fields):
    points = np.c_[np.arange(17) + 1, np.full(17, 50), np.full(17, 2)]
    return {
        "image_id": image_id,
        "keypoints": points.ravel().tolist(),
        "num_keypoints": 17,
    } | fields


def write_coco(path, people):
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    path.write_text(json.dumps({"images": images, "annotations": people}))
    return path


def test_coco(tmp_path):
    path = write_coco(tmp_path / "person_keypoints.json", [coco_person(1)])
    read = keypoint_formats.load(path).keypoints["a.jpg"]
    columns = dict(zip(KEYPOINT_NAMES, read[:, 1], strict=True))
    assert columns["nose"] == 1 and columns["left_eye"] == 2 and columns["right_eye"] == 3
    assert columns["left_shoulder"] == 6 and columns["right_shoulder"] == 7
    assert columns["neck"] == 6.5
    assert columns["right_ankle"] == 17
    np.testing.assert_array_equal(read[:, 0], 50)


def test_mmpose_lists_keypoints_as_it_names_them(tmp_path):
    names = layouts.COCO_NAMES[::-1]
    person = {"keypoints": [[i, 50] for i in range(17)], "keypoint_scores": [0.29, *16 * [0.9]]}
    content = {
        "meta_info": {"keypoint_id2name": {str(i): name for i, name in enumerate(names)}},
        "instance_info": [{"instances": [person]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    read = keypoint_formats.load(tmp_path / "a.json").keypoints["a"]
    assert read[KEYPOINT_NAMES.index("nose")].tolist() == [50, 16, 1]
    assert not read[KEYPOINT_NAMES.index(names[0])].any(), "a low score is no keypoint"


def test_a_point_that_a_pose_editor_has_as_null_is_missing(tmp_path):
    points = [*4 * [[10, 20]], None, *13 * [[10, 20]]]
    content = {"width": 64, "height": 128, "keypoints": [points]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    read = keypoint_formats.load(tmp_path / "a.json").keypoints["a"]
    assert np.flatnonzero(read[:, 2] == 0).tolist() == [4]


def test_a_neck_that_labelme_gives_is_kept(tmp_path):
    points = {"neck": [5, 6], "left_shoulder": [20, 30], "right_shoulder": [40, 30]}
    shapes = [{"label": label, "points": [point]} for label, point in points.items()]
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes}))
    read = keypoint_formats.load(tmp_path / "a.json").keypoints["a"]
    assert read[KEYPOINT_NAMES.index("neck")].tolist() == [6, 5, 1]


@pytest.mark.parametrize("missing", ["0 0", "-1 -1"])
def test_what_a_text_without_scores_calls_missing(tmp_path, missing):
    lines = 17 * ["10 20"]
    lines[layouts.COCO_NAMES.index("left_shoulder")] = missing
    (tmp_path / "a.txt").write_text("\n".join(lines))
    read = keypoint_formats.load(tmp_path / "a.txt").keypoints["a"]
    absent = [KEYPOINT_NAMES[i] for i in np.flatnonzero(read[:, 2] == 0)]
    assert absent == ["neck", "left_shoulder"], "half a neck is none"


@pytest.mark.parametrize("areas", [(5, 9), (9, 5)])
def test_of_equally_visible_persons_the_larger_one_is_taken(tmp_path, areas):
    shown = [np.r_[np.full(17, row), [2] * 34].reshape(3, 17).T.ravel() for row in (10, 20)]
    people = [
        coco_person(1, area=area, keypoints=points.tolist())
        for area, points in zip(areas, shown, strict=True)
    ]
    read = keypoint_formats.load(write_coco(tmp_path / "c.json", people)).keypoints["a.jpg"]
    assert read[0, 1] == (20 if areas == (5, 9) else 10)


def test_coco_neck_needs_both_shoulders():
    points = np.ones((17, 3))
    points[5] = 0
    read = keypoint_formats.from_coco(points)
    assert read[KEYPOINT_NAMES.index("neck"), 2] == 0
    assert read[:, 2].sum() == 16


@pytest.mark.parametrize("count", [17, 26, 133, 135, 136])
def test_many_lists_begin_with_the_keypoints_of_coco(count):
    points = np.c_[np.arange(2.0 * count).reshape(count, 2), np.ones(count)]
    expected = keypoint_formats.from_coco(points[:17])
    np.testing.assert_array_equal(layouts.to_keypoints(points), expected)


def test_the_least_score_is_enough():
    points = np.c_[np.ones((17, 2)), np.full(17, 0.9)]
    points[:2, 2] = 0.3, 0.29  # nose and left eye
    read = layouts.to_keypoints(points, least_score=0.3)
    assert [KEYPOINT_NAMES[i] for i in np.flatnonzero(read[:, 2] == 0)] == ["left_eye"]


def test_coco_faults(tmp_path):
    people = [
        coco_person(1, area=5),
        coco_person(1, area=9),
        coco_person(3),
        coco_person(2, keypoints=[1, 2]),
    ]
    problems = keypoint_formats.load(write_coco(tmp_path / "c.json", people)).problems
    assert any("a.jpg: 2 persons" in line for line in problems)
    assert any("image_id 3 is not among the images" in line for line in problems)
    assert any("b.jpg: unusable annotation: 2 numbers, expected 51" in line for line in problems)


@pytest.mark.parametrize("transposed", [False, True])
def test_joint2d(tmp_path, transposed):
    joints = np.c_[np.arange(17) + 1, np.full(17, 50)].astype(float)
    joints[3] = 0
    io.savemat(tmp_path / "a.mat", {"joint2d": joints.T if transposed else joints})
    read = keypoint_formats.load(tmp_path, image_names=["a.png"]).keypoints["a.png"]
    assert read[KEYPOINT_NAMES.index("nose")].tolist() == [50, 1, 1]
    assert read[KEYPOINT_NAMES.index("left_ear"), 2] == 0


def test_joint2d_faults(tmp_path):
    io.savemat(tmp_path / "a.mat", {"joint2d": np.full((17, 2), 9)})
    io.savemat(tmp_path / "b.mat", {"joint2d": np.ones((16, 2))})
    io.savemat(tmp_path / "c.mat", {"other": 1})
    problems = keypoint_formats.load(tmp_path).problems
    assert any("b.mat" in line and "shape [16, 2]" in line for line in problems)
    assert any("c.mat" in line for line in problems)


def test_joint2d_negative_and_not_a_number_are_reported(tmp_path):
    joints = np.full((17, 2), 9.0)
    joints[0], joints[1], joints[2] = (-1, 5), (np.nan, 5), (0, 0)
    io.savemat(tmp_path / "a.mat", {"joint2d": joints})
    annotations = keypoint_formats.load(tmp_path)
    told = "\n".join(annotations.problems)
    assert "a: nose is negative" in told and "a: left_eye is not a finite number" in told
    assert len(annotations.problems) == 2  # zeros are how a joint is left out
    assert annotations.keypoints["a"][:, 2].sum() == 15


def test_damaged_mat_file_is_named(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file, but not really" * 9)
    with pytest.raises(ValueError, match="a.mat: not a readable .mat file"):
        keypoint_formats.load(tmp_path / "a.mat")


def test_coco_visibility_that_is_not_a_number_is_reported(tmp_path):
    person = coco_person(1)
    person["keypoints"][2] = float("nan")
    annotations = keypoint_formats.load(write_coco(tmp_path / "c.json", [person]))
    assert len(annotations.problems) == 1
    assert "a.jpg: nose is not a finite number" in annotations.problems[0]


def test_coco_oddities_are_reported(tmp_path):
    path = write_coco(tmp_path / "c.json", [coco_person(1), coco_person(1, area="large")])
    content = json.loads(path.read_text())
    content["images"].append({"id": 1, "file_name": "other.jpg"})
    content["annotations"].append(coco_person(2))
    path.write_text(json.dumps(content))
    told = "\n".join(keypoint_formats.load(path).problems)
    assert "image id 1 appears twice, the first one is kept" in told
    assert "a.jpg: unusable annotation: area is text, expected a number" in told


def test_csv_with_half_a_keypoint_is_reported(tmp_path):
    line = f"b.jpg: {[-1] + [5] * 17}: {[5] * 18}\n"
    annotations = keypoint_formats.load(write_csv(tmp_path / "k.csv", line))
    assert "b.jpg: nose is negative (row -1, column 5), taken as missing" in annotations.problems[0]


@pytest.mark.parametrize("people", [[[1]], "two", [{"pose_keypoints_2d": "x"}]])
def test_openpose_of_another_form_is_reported(tmp_path, people):
    for name, content in (("a", people), ("b", [{"pose_keypoints_2d": [9.0] * 54}])):
        path = tmp_path / f"{name}_keypoints.json"
        path.write_text(json.dumps({"people": content}))
    (problem,) = keypoint_formats.load(tmp_path).problems
    assert re.search("a_keypoints.json: (unusable person|not in the expected format)", problem)


def test_deeply_nested_json_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="a.json: not JSON"):
        keypoint_formats.load(tmp_path / "a.json")


def test_unusable_files(tmp_path):
    with pytest.raises(ValueError, match="nowhere.csv do not exist"):
        keypoint_formats.load(tmp_path / "nowhere.csv")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ValueError, match="a.xyz: cannot tell the keypoint format"):
        keypoint_formats.load(tmp_path / "a.xyz")
    (tmp_path / "a.csv").write_text("image,x,y\n")
    with pytest.raises(ValueError, match="a.csv: expected the header"):
        keypoint_formats.load(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("name:keypoints_y:keypoints_x\n", "utf-16")
    with pytest.raises(ValueError, match="a.csv: is text in UTF-16; save it as UTF-8"):
        keypoint_formats.load(tmp_path / "a.csv")
    (tmp_path / "a.json").write_text("[]", "utf-16")
    with pytest.raises(ValueError, match="a.json: .*no person"):
        keypoint_formats.load(tmp_path / "a.json")
    with pytest.raises(ValueError, match="'xml'"):
        keypoint_formats.load(tmp_path / "a.json", "xml")


def test_real_poses(shared_dir):
    names, read = keypoint_formats.read_keypoint_csv(
        shared_dir / "real/poses/market-annotation-train.csv"
    )
    assert len(names) == 12936 and read.shape == (12936, 18, 3)
    visible = read[:, :, 2].sum(axis=1)
    assert (visible == 0).sum() == 419
    assert visible.mean() == pytest.approx(13.4, abs=0.05)
    assert read[:, :, 0].max() < 128 and read[:, :, 1].max() < 64


@pytest.mark.parametrize("content", ['{"people": []}', "[]"])
def test_that_nobody_was_found_may_be_an_answer(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    found = keypoint_formats.load(tmp_path, image_names=["a.jpg"], may_be_empty=True)
    assert found.keypoints == {} and len(found.problems) == 1
    with pytest.raises(keypoint_formats.KeypointsError):
        keypoint_formats.load(tmp_path, image_names=["a.jpg"])
    (tmp_path / "a.json").write_text('{"people": [null]}')
    with pytest.raises(keypoint_formats.KeypointsError):
        keypoint_formats.load(tmp_path, image_names=["a.jpg"], may_be_empty=True)


@pytest.mark.parametrize(
    "photo",
    [
        "img/WOMEN/Dresses/id_00000203/03_1_front.jpg",
        "WOMEN/Dresses/id_00000203/03_1_front.jpg",
        "fashionWOMENDressesid0000020303_1front.jpg",
    ],
)
def test_in_shop_photos_are_known_by_their_flattened_names(tmp_path, photo):
    flat = ["fashionWOMENDressesid0000020303_1front.jpg", "fashionMENPantsid0000020303_1front.jpg"]
    rows = [f"{name}: {[i + 1] * 18}: {[2] * 18}" for i, name in enumerate(flat)]
    path = tmp_path / "keypoints.csv"
    path.write_text("\n".join(["name:keypoints_y:keypoints_x", *rows]) + "\n")
    other = "img/WOMEN/Dresses/id_00000204/03_1_front.jpg"
    found = keypoint_formats.load(path, image_names=[photo, other]).keypoints
    assert found[photo][0, 0] == 1 and other not in found


def test_a_name_with_half_a_character_is_left_out(tmp_path):
    file = write_coco(tmp_path / "coco.json", [coco_person(1), coco_person(2)])
    file.write_text(file.read_text().replace("a.jpg", r"\ud800.jpg"))
    found = keypoint_formats.load(file)
    assert list(found.keypoints) == ["b.jpg"]
    assert any("half a character" in problem and str(file) in problem for problem in found.problems)
