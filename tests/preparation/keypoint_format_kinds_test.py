"""One small file of each format, and what is refused in all of them."""

import json
import pickle
import unicodedata

import numpy as np
import pytest
from scipy import io

from dpig_tf2.errors import DpigError
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES
from dpig_tf2.preparation import keypoint_formats
from dpig_tf2.preparation.given_poses import GivenPoses
from dpig_tf2.preparation.keypoint_formats import names as photo_names
from dpig_tf2.preparation.keypoint_formats.layouts import COCO_NAMES
from dpig_tf2.preparation.keypoint_formats.model import Entry

SIZE = (100, 50)  # rows, columns of the photo
_BLAZEPOSE = {
    "nose": 0, "left_eye": 2, "right_eye": 5, "left_ear": 7, "right_ear": 8, "left_shoulder": 11,
    "right_shoulder": 12, "left_elbow": 13, "right_elbow": 14, "left_wrist": 15, "right_wrist": 16,
    "left_hip": 23, "right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27,
    "right_ankle": 28,
}  # fmt: skip


def pose():
    """(row, column, visibility) of all 18; the neck is in the middle of the shoulders."""
    values = np.c_[np.arange(20.0, 92, 4), np.arange(10.0, 46, 2), np.ones(18)]
    neck, shoulders = KEYPOINT_NAMES.index("neck"), [2, 5]
    values[neck] = values[shoulders].mean(axis=0)
    return values


def points(count, score=0.9):
    """The pose as (x, y, score) in a detector's order of so many keypoints."""
    body_25 = list(KEYPOINT_NAMES[:8]) + ["middle_hip"] + list(KEYPOINT_NAMES[8:])
    order = {18: KEYPOINT_NAMES, 25: body_25 + [""] * 6}.get(count)
    if count == 33:
        order = [next((n for n, k in _BLAZEPOSE.items() if k == i), "") for i in range(33)]
    order = list(order or COCO_NAMES)
    listed = np.full((count, 3), (1.0, 2.0, 0.8))
    for i, name in enumerate(order):
        if name in KEYPOINT_NAMES:
            row, column, _ = pose()[KEYPOINT_NAMES.index(name)]
            listed[i] = column, row, score
    return listed


def flat(count, score=0.9):
    return points(count, score).ravel().tolist()


def landmarks():
    return [{"x": x / 50, "y": y / 100, "z": 0, "visibility": s} for x, y, s in points(33)]


def openpose(count=18):
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat(count)}]}


def coco():
    image = {"id": 7, "file_name": "a.jpg", "height": 100, "width": 50}
    person = {"id": 1, "image_id": 7, "category_id": 1, "keypoints": flat(17, 2)}
    return {
        "images": [image],
        "annotations": [person],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    }


def coco_result(**fields):
    return {"image_id": 7, "category_id": 1, "keypoints": flat(17), "score": 1.5} | fields


def instance():
    listed = points(17)
    return {
        "keypoints": listed[:, :2].tolist(),
        "keypoint_scores": listed[:, 2].tolist(),
        "bbox": [[0, 0, 9, 9]],
    }


def labelme():
    shapes = [
        {"label": name, "points": [[column, row]], "shape_type": "point", "group_id": None}
        for name, (row, column, _) in zip(KEYPOINT_NAMES, pose(), strict=True)
    ]
    return {
        "shapes": shapes,
        "imagePath": "..\\photos\\a.jpg",
        "imageHeight": 100,
        "imageWidth": 50,
    }


META = {"keypoint_id2name": {str(i): name for i, name in enumerate(COCO_NAMES)}}
JSON_FORMATS = {
    "openpose_18": ("a_keypoints.json", openpose(18)),
    "openpose_25": ("a.json", openpose(25)),
    "openpose_135": ("a_keypoints.json", openpose(135)),
    "coco": ("c.json", coco()),
    "coco_results": ("r.json", [coco_result(file_name="a.jpg")]),
    "alphapose_list": ("r.json", [coco_result(image_id="a.jpg")]),
    "alphapose_halpe": ("r.json", [coco_result(image_id="a.jpg", keypoints=flat(26))]),
    "alphapose_open": ("r.json", {"a.jpg": openpose(18)}),
    "alphapose_cmu": ("r.json", {"a.jpg": {"version": 0.1, "bodies": [{"joints": flat(18)}]}}),
    "alphapose_cmu_each": ("a.json", {"version": 0.1, "bodies": [{"joints": flat(18)}]}),
    "mmpose_list": ("a.json", [instance()]),
    "mmpose_meta": ("a.json", {"meta_info": META, "instance_info": [instance()]}),
    "mmpose_frames": (
        "a.json",
        {"meta_info": META, "instance_info": [{"frame_id": 0, "instances": [instance()]}]},
    ),
    "mmpose_predictions": ("a.json", {"predictions": [[instance()]]}),
    "mmpose_batches": ("a.json", [[instance()]]),
    "mediapipe_list": ("a.json", landmarks()),
    "mediapipe_task": ("a.json", {"landmarks": [landmarks()], "worldLandmarks": []}),
    "mediapipe_names": ("all.json", {"a.jpg": {"poseLandmarks": landmarks()}}),
    "pose_editor": ("a.json", openpose() | {"canvas_height": 100, "canvas_width": 50}),
    "pose_editor_frames": ("a.json", [openpose() | {"canvas_height": 100, "canvas_width": 50}]),
    "pose_editor_points": (
        "a.json",
        {"height": 100, "width": 50, "keypoints": [points(18)[:, :2].tolist()]},
    ),
    "labelme": ("other.json", labelme()),
}


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def load(path, names=("a.jpg", "b.jpg"), size=SIZE, **options):
    return keypoint_formats.load(path, image_names=names, photo_sizes=lambda _: size, **options)


def check(annotations, expected=None):
    np.testing.assert_allclose(
        annotations.keypoints["a.jpg"], pose() if expected is None else expected, atol=1e-5
    )
    assert annotations.keypoints["a.jpg"].dtype == np.float32


@pytest.mark.parametrize("kind", JSON_FORMATS)
@pytest.mark.parametrize("in_folder", [False, True])
def test_json_formats(tmp_path, kind, in_folder):
    path = write(tmp_path, *JSON_FORMATS[kind])
    annotations = load(tmp_path if in_folder else path)
    check(annotations)
    assert annotations.problems == []


def test_predictions_of_several_photos_are_taken_in_order(tmp_path):
    other = instance() | {"keypoint_scores": [0.9] * 5 + [0.0] * 12}
    path = write(tmp_path, "all.json", [[instance()], [other]])
    annotations = load(path)
    check(annotations)
    assert annotations.keypoints["b.jpg"][:, 2].sum() == 5
    assert annotations.problems == [f"{path}: 2 frames are taken for the photos in order"]


@pytest.mark.parametrize("name", ["{}.jpg", "part2/{:03d}.jpg", "frame{}_b.jpg"])
def test_frames_are_taken_in_the_order_of_the_photos_numbers(tmp_path, name):
    moved = [(points(17)[:, :2] + (number, 0)).tolist() for number in range(12)]
    path = write(tmp_path, "all.json", [[instance() | {"keypoints": places}] for places in moved])
    names = [name.format(number) for number in range(1, 13)]
    found = load(path, names[::-1]).keypoints
    assert [found[name][0, 1] for name in names] == [pose()[0, 1] + i for i in range(12)]


@pytest.mark.parametrize("kind", JSON_FORMATS)
def test_format_is_found_by_content_under_any_name(tmp_path, kind):
    _, content = JSON_FORMATS[kind]
    check(load(write(tmp_path, "a.txt", content)))


@pytest.mark.parametrize(
    ("scores", "separator"), [(True, " "), (False, " "), (True, ", "), (True, "\t")]
)
def test_text(tmp_path, scores, separator):
    rows = points(18)[:, : 3 if scores else 2]
    lines = [separator.join(map(str, row)) for row in rows]
    path = write(tmp_path, "a.txt", "# x y\n" + "\n".join(lines) + "\n")
    check(load(path))


def test_other_formats_under_any_name(tmp_path):
    lists = [json.dumps(column) for column in pose()[:, :2].T.tolist()]
    path = write(
        tmp_path, "k.txt", f"name:keypoints_y:keypoints_x\na.jpg: {lists[0]}: {lists[1]}\n"
    )
    check(load(path))
    for protocol in range(6):
        path = tmp_path / f"k{protocol}.bin"
        path.write_bytes(pickle.dumps({"a.jpg": pose()}, protocol))
        check(load(path))
    io.savemat(tmp_path / "a.dat", {"joint2d": points(17)[:, :2]}, appendmat=False)
    check(load(tmp_path / "a.dat"))


# Units.


@pytest.mark.parametrize("kind", ["openpose_18", "alphapose_list", "coco_results", "mmpose_list"])
def test_normalized_coordinates_are_refused_until_someone_says_so(tmp_path, kind):
    name, content = JSON_FORMATS[kind]
    text = json.dumps(content)
    for low in (0, -1):
        scaled = json.loads(text)
        _normalize(scaled, low)
        path = write(tmp_path, name, scaled)
        with pytest.raises(keypoint_formats.KeypointsError, match="all coordinates lie between"):
            load(path)
        check(load(path, units="normalized"))
        assert load(path, units="pixels").keypoints["a.jpg"][:, :2].max() <= 1
    with pytest.raises(keypoint_formats.KeypointsError, match="coordinates reach from .* to"):
        load(write(tmp_path, name, content), units="normalized")


def _normalize(value, low):
    """Puts all keypoints of some JSON into 0..1 or -1..1, in place."""
    if isinstance(value, dict):
        for key in ("keypoints", "pose_keypoints_2d"):
            if key in value:
                columns = 2 if "keypoint_scores" in value else 3
                array = np.reshape(value[key], (-1, columns))
                array[:, :2] = array[:, :2] / (50, 100) * (1 - low) + low
                value[key] = array.tolist() if columns == 2 else array.ravel().tolist()
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        _normalize(item, low)


@pytest.mark.parametrize("low", [0, -1])
@pytest.mark.parametrize("beside", [-0.01, 1.02])
def test_a_normalized_keypoint_beside_the_photo_moves_no_other(tmp_path, low, beside):
    """By x; the range is told by all coordinates of all files."""
    content, other = openpose(), openpose()
    _normalize(content, low)
    _normalize(other, low)
    other["people"][0]["pose_keypoints_2d"][0] = beside * (1 - low) + low
    write(tmp_path, "a.json", content)
    write(tmp_path, "b.json", other)
    with pytest.raises(keypoint_formats.KeypointsError, match="all coordinates lie between"):
        load(tmp_path)
    annotations = load(tmp_path, units="normalized")
    check(annotations)
    expected = pose()
    expected[0] = 0 if beside < 0 else (20, beside * 50, 1)
    np.testing.assert_allclose(annotations.keypoints["b.jpg"], expected, atol=1e-4)
    told = any(f"all are taken to go from {low} to 1" in note for note in annotations.problems)
    assert told == (low < 0 or beside < 0)


def test_few_keypoints_in_the_first_pixel_are_admitted_beside_others(tmp_path):
    lone = np.zeros((18, 3))
    lone[0] = 1, 1, 0.5
    people = {"pose_keypoints_2d": lone.ravel().tolist()}
    write(tmp_path, "b.json", {"people": [people]})
    with pytest.raises(keypoint_formats.KeypointsError, match="coordinates lie between 1 and 1"):
        load(tmp_path)
    write(tmp_path, "a.json", openpose())
    assert load(tmp_path).keypoints["b.jpg"][0].tolist() == [1, 1, 1]


def test_normalized_keypoints_need_a_size(tmp_path):
    path = write(tmp_path, "a.json", landmarks())
    with pytest.raises(keypoint_formats.KeypointsError, match="need the size of the photo"):
        load(path, size=None)
    path = write(tmp_path, "a.json", {"landmarks": landmarks(), "image_height": 100, "width": 1})
    with pytest.raises(keypoint_formats.KeypointsError, match="need the size"):
        load(path, size=None)
    check(load(write(tmp_path, "a.json", {"landmarks": landmarks(), "height": 100, "width": 50})))


def test_landmarks_outside_of_the_photo_or_hidden_are_missing(tmp_path):
    marks = landmarks()
    marks[0]["x"], marks[2]["visibility"], marks[5]["y"] = 1.2, 0.4, -0.1
    read = load(write(tmp_path, "a.json", marks)).keypoints["a.jpg"]
    missing = {name for name, v in zip(KEYPOINT_NAMES, read[:, 2], strict=True) if not v}
    assert missing == {"nose", "left_eye", "right_eye"}


# Sizes.


@pytest.mark.parametrize("kind", ["coco", "pose_editor", "labelme"])
def test_declared_size(tmp_path, kind):
    path = write(tmp_path, *JSON_FORMATS[kind])
    annotations = load(path, size=(200, 100))
    check(annotations, pose() * [2, 2, 1])
    assert "1 photos are scaled: a.jpg from 100 x 50 pixels" in annotations.problems[0]
    check(load(path, size=(99, 50)), pose() * [0.99, 1, 1])
    with pytest.raises(keypoint_formats.KeypointsError, match="100 x 50 .* has 100 x 100"):
        load(path, size=(100, 100))
    check(load(path, size=None))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_keypoints_in_the_stored_frame_of_a_turned_photo(tmp_path, orientation):
    """As Pillow turns the photo."""
    from PIL import Image, ImageOps

    stored = Image.new("L", (50, 100))
    stored.putpixel((10, 20), 255)
    stored.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    row, column = np.argwhere(upright == 255)[0]
    path = write(tmp_path, *JSON_FORMATS["coco"])
    read = load(path, size=(50, 100, orientation)).keypoints["a.jpg"]
    assert read[0].tolist() == [row, column, 1]
    with pytest.raises(keypoint_formats.KeypointsError, match="another aspect ratio"):
        load(path, size=(50, 100, 3))


# Names.


def test_equal_names_in_different_folders(tmp_path):
    lists = [json.dumps(column) for column in pose()[:, :2].T.tolist()]
    other = json.dumps([5] * 18)
    text = "name:keypoints_y:keypoints_x\n"
    text += f"/data/p1/001.jpg: {lists[0]}: {lists[1]}\n/data/p2/001.jpg: {other}: {other}\n"
    path = write(tmp_path, "k.csv", text)
    read = load(path, ["p2/001.jpg", "p1/001.jpg"]).keypoints
    assert set(read) == {"p1/001.jpg", "p2/001.jpg"}
    assert read["p2/001.jpg"][0, 0] == 5 and read["p1/001.jpg"][0, 0] == 20
    # One photo for two entries, and two photos for one entry: neither is guessed.
    with pytest.raises(keypoint_formats.KeypointsError, match="may both mean 001.jpg, left out"):
        load(path, ["001.jpg"])
    path = write(tmp_path, "k.csv", text.replace("/data/p1/", "").replace("/data/p2", "/p3"))
    annotations = load(path, ["p1/001.jpg", "p2/001.jpg"])
    assert "may mean p1/001.jpg and p2/001.jpg" in annotations.problems[0]
    assert set(annotations.keypoints) == {"/p3/001.jpg"}


@pytest.mark.parametrize("name", ["p{}/1.jpg", "p{}/1.png", "data/p{}/1.jpg", "1.jpg", "q{}/1.jpg"])
def test_many_photos_of_one_name_take_no_longer_than_others(monkeypatch, name):
    looked_at, count = [], 300
    parts = photo_names.parts
    monkeypatch.setattr(photo_names, "parts", lambda name: looked_at.append(name) or parts(name))
    photos = photo_names.PhotoNames(f"photos/p{i}/1.jpg" for i in range(count))
    entries = [Entry(name.format(i), [], "file") for i in range(count)]
    list(photos.assign(entries, []))
    assert len(looked_at) < 12 * count


def test_folders_of_files_are_matched_by_path(tmp_path):
    for person, count in (("p1", 18), ("p2", 25)):
        content = openpose(count)
        content["people"][0]["pose_keypoints_2d"][0] = 40 + count
        write(tmp_path, f"{person}/front_keypoints.json", content)
    read = load(tmp_path, ["p1/front.png", "p2/front.png", "p2/side.png"]).keypoints
    assert {name: k[0, 1] for name, k in read.items()} == {"p1/front.png": 58, "p2/front.png": 65}


def test_the_whole_path_comes_before_a_part_of_it(tmp_path):
    path = write(tmp_path, "a.json", openpose())
    assert set(load(path, ["p/a.png", "a.jpg"]).keypoints) == {"a.jpg"}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_unicode_forms_match(tmp_path, forms):
    file, photo = (unicodedata.normalize(form, "Zoë.jpg") for form in forms)
    content = [coco_result(image_id=file)]
    assert set(load(write(tmp_path, "r.json", content), [photo]).keypoints) == {photo}


def test_a_photo_whose_name_ends_like_an_openpose_file(tmp_path):
    path = write(tmp_path, "a_keypoints.json", openpose())
    assert set(load(path, ["a_keypoints.jpg", "a.jpg"]).keypoints) == {"a_keypoints.jpg"}


def test_single_photo_and_file_belong_together_whatever_the_file_is_called(tmp_path):
    check(load(write(tmp_path, "pose.json", landmarks()), ["a.jpg"]))


@pytest.mark.parametrize("everyone", [False, True])
def test_all_of_one_entry_is_the_only_photos_whatever_name_it_has(tmp_path, everyone):
    from PIL import Image

    Image.new("RGB", (100, 200)).save(tmp_path / "me.jpg")
    content = coco()  # of a.jpg, 50 x 100 pixels
    content["annotations"] *= 3
    path = write(tmp_path, "c.json", content)
    given = GivenPoses(tmp_path, ["me.jpg"], path, everyone=everyone)
    poses = given.of("me.jpg", np.zeros((200, 100, 3), np.uint8))
    assert len(poses) == (3 if everyone else 1)
    for found in poses:
        np.testing.assert_allclose(found.keypoints, pose() * [2, 2, 1])
    with pytest.raises(DpigError, match="no keypoints in"):
        GivenPoses(tmp_path, ["me.jpg", "you.jpg"], path).of("me.jpg", None)


# Results lists.


def test_results_get_their_names_from_the_annotation_file_beside_them(tmp_path):
    write(tmp_path, "person_keypoints.json", coco() | {"annotations": []})
    write(tmp_path, "results.json", [coco_result()])
    annotations = load(tmp_path)
    check(annotations)
    assert "only names the images" in annotations.problems[0]


def test_results_without_annotations_are_joined_by_the_number_in_the_name(tmp_path):
    path = write(tmp_path, "r.json", [coco_result(image_id=785), coco_result(image_id=9)])
    annotations = load(path, ["000000000785.jpg", "000000000786.jpg"])
    assert set(annotations.keypoints) == {"000000000785.jpg"}
    assert "image_id 9: no image of that number" in annotations.problems[0]


def test_other_categories_are_ignored(tmp_path):
    content = coco()
    content["annotations"] += [content["annotations"][0] | {"category_id": 2, "keypoints": None}]
    annotations = load(write(tmp_path, "c.json", content))
    check(annotations)
    assert annotations.problems == [
        f"{tmp_path / 'c.json'}: 1 annotations of other categories are ignored"
    ]
    results = [coco_result(file_name="a.jpg"), coco_result(file_name="a.jpg", category_id=18)]
    assert "1 results of other" in load(write(tmp_path, "r.json", results)).problems[0]


def test_counts_are_counted(tmp_path):
    """A person that claims 17 keypoints and has one does not win."""
    content = coco()
    liar = content["annotations"][0] | {"num_keypoints": 17, "area": 1e6}
    liar["keypoints"] = [3, 3, 2] + [0] * 48
    honest = content["annotations"][0] | {"num_keypoints": 0}
    check(load(write(tmp_path, "c.json", content | {"annotations": [liar, honest]})))


# One unusable person or photo costs only itself.


@pytest.mark.parametrize(
    "broken", [None, {}, 5, "x", {"pose_keypoints_2d": None}, {"pose_keypoints_2d": [1, 2, 3]}]
)
def test_unusable_person(tmp_path, broken):
    content = openpose()
    content["people"].insert(0, broken)
    annotations = load(write(tmp_path, "a.json", content))
    check(annotations)
    assert len(annotations.problems) == 1 and "unusable person" in annotations.problems[0]


@pytest.mark.parametrize(
    "kind", ["alphapose_list", "coco_results", "mmpose_list", "alphapose_open"]
)
@pytest.mark.parametrize("broken", [None, {}, 5, [], {"image_id": 7, "keypoints": [1, None]}])
def test_unusable_entry(tmp_path, kind, broken):
    name, content = JSON_FORMATS[kind]
    content = content | {"b.jpg": broken} if isinstance(content, dict) else [*content, broken]
    annotations = load(write(tmp_path, name, content))
    check(annotations)
    assert len(annotations.problems) == 1


def test_numbers_that_no_float_can_hold(tmp_path):
    text = json.dumps(openpose())
    for number in ("1e999", "9" * 400, "1e300", "NaN"):
        path = write(tmp_path, "a.json", text.replace("[10.0,", f"[{number},"))
        annotations = load(path)
        assert "nose is not a finite number" in annotations.problems[0]
        assert annotations.keypoints["a.jpg"][0].tolist() == [0, 0, 0]
    path = write(tmp_path, "a.json", text.replace("[10.0,", f"[{'9' * 290}, "))
    assert np.isfinite(load(path).keypoints["a.jpg"]).all()


# Pitfalls have their own messages.


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("k.csv", "name,keypoints_y,keypoints_x\n", "separated by commas, not by colons"),
        ("k.csv", "name;keypoints_y;keypoints_x\n", "separated by semicolons"),
        ("k.csv", "a.jpg: [1, 2]: [3, 4]\n", "it has no header"),
        ("k.json", "PK\3\4....", "is a zip archive; unpack it"),
        ("k.json", '[[1, 2], "x"]', "no known keypoint format: a list of 2"),
        ("k.json", '{"frames": []}', "no known keypoint format: a dictionary with frames"),
        ("k.json", "{", "not JSON: line 1"),
        ("k.json", "", "is empty"),
        ("a.txt", "0 0.5 0.5 0.1 0.1 3 4\n", "7 numbers, expected x y"),
        ("a.txt", "1 2\n3 4\n", "2 keypoints, expected"),
    ],
)
def test_pitfalls(tmp_path, name, content, message):
    path = write(tmp_path, name, content)
    with pytest.raises(keypoint_formats.DpigError, match=message) as caught:
        load(path)
    assert caught.value.file == str(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_number_that_is_only_a_digit(tmp_path):
    named = {"keypoint_id2name": {"\u00b2": "nose"} | {str(i): n for i, n in enumerate(COCO_NAMES)}}
    named["keypoint_id2name"]["0"] = "other"
    path = write(tmp_path, "a.json", {"meta_info": named, "instance_info": [instance()]})
    with pytest.raises(keypoint_formats.KeypointsError, match="its keypoints have no nose"):
        load(path)


def test_folders_that_are_not_looked_into_are_named(tmp_path):
    content = JSON_FORMATS["openpose_18"][1]
    (tmp_path / "keypoints").mkdir()
    write(tmp_path / "keypoints", "a_keypoints.json", content)
    (tmp_path / "keypoints" / "more").symlink_to(tmp_path)
    annotations = load(tmp_path / "keypoints")
    check(annotations)
    assert annotations.problems == [
        f"{tmp_path / 'keypoints' / 'more'}: a link to a folder, not followed"
    ]


def test_a_list_where_a_dictionary_was_expected(tmp_path):
    path = write(tmp_path, "c.json", [coco_result(image_id="a.jpg")])
    with pytest.raises(keypoint_formats.KeypointsError, match="a dictionary .* a list of 1"):
        load(path, keypoint_format="coco")
    path = tmp_path / "k.p"
    path.write_bytes(pickle.dumps([pose()]))
    with pytest.raises(keypoint_formats.KeypointsError, match="expected a dictionary .* a list"):
        load(path)


def test_frames_without_names(tmp_path):
    frames = [openpose() | {"canvas_height": 100, "canvas_width": 50}] * 2
    path = write(tmp_path, "video.json", frames)
    annotations = load(path, ["b.jpg", "a.jpg"])
    assert set(annotations.keypoints) == {"a.jpg", "b.jpg"}
    assert "2 frames are taken for the photos in order" in annotations.problems[0]
    assert set(keypoint_formats.load(path).keypoints) == {"video_0", "video_1"}
    with pytest.raises(keypoint_formats.KeypointsError, match="2 frames without names for 3"):
        load(path, ["a.jpg", "b.jpg", "c.jpg"])


def test_sizes_are_read_from_the_headers_of_turned_photos(tmp_path):
    from PIL import Image

    from dpig_tf2.io.images import upright_size

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (50, 100)).save(tmp_path / "a.jpg", exif=exif)
    assert upright_size(tmp_path / "a.jpg") == (50, 100, 6)
    path = write(tmp_path, *JSON_FORMATS["coco"])
    read = keypoint_formats.load(
        path, "auto", ["a.jpg"], lambda name: upright_size(tmp_path / name)
    )
    assert read.keypoints["a.jpg"][0].tolist() == [10, 79, 1]


def test_poses_are_placed_by_the_size_that_their_file_declares(tmp_path):
    from dpig_tf2 import config
    from dpig_tf2.sampling.photo_reader import read_poses

    model = config.preset("market1501").model
    path = write(tmp_path, *JSON_FORMATS["coco"])
    poses, *_ = read_poses(str(path), "auto", None, "stretch", model, None)
    factors = model.height / 100, model.width / 50, 1
    np.testing.assert_allclose(poses.keypoints[0], pose() * factors, rtol=1e-5)


def test_all_persons_of_a_photo_if_wanted(tmp_path):
    content = openpose()
    small = [0.0 if i % 3 == 2 and i < 30 else value for i, value in enumerate(flat(18))]
    content["people"].insert(0, {"pose_keypoints_2d": small})
    content["people"].append({"pose_keypoints_2d": [1.0]})
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = keypoint_formats.load(tmp_path, image_names=["a.jpg"], everyone=True)
    (other,) = found.others["a.jpg"]
    assert (found.keypoints["a.jpg"][:, 2].sum(), other[:, 2].sum()) == (18, 8)
    (problem,) = found.problems
    assert "unusable person" in problem
    one = keypoint_formats.load(tmp_path, image_names=["a.jpg"])
    assert one.keypoints["a.jpg"][:, 2].sum() == 18
    assert not one.others and "2 persons, the most certain one is taken" in one.problems[1]
