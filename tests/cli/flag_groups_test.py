"""What flags of the shared groups have to do with each other."""

import pathlib

import pytest
from absl import flags

from dpig_tf2 import config
from dpig_tf2.cli import flag_groups, person_flags
from dpig_tf2.cli.program import FlagError
from dpig_tf2.errors import DpigError


@pytest.fixture
def values():
    return flags.FlagValues()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "data_dir"),
        (["--data_dir=d", "--image=i"], "data_dir"),
        (["--data_dir=d", "--images=i", "--keypoints=k"], "data_dir"),
        (["--data_dir=d", "--keypoints=k"], "keypoints"),
        (["--data_dir=d", "--crop=person"], "crop"),
        (["--data_dir=d", "--persons=all"], "persons"),
        (["--images=i", "--paste_back"], "paste_back"),
        (["--images=i", "--background=1,2"], "background"),
        (["--images=i", "--background=1,2,256"], "background"),
        (["--images=i", "--keypoints=k", "--split=train"], "split"),
        (["--image=i", "--keypoints=k", "--skip_bad_records"], "skip_bad_records"),
        (["--image=i", "--keypoints=k", "--pose_model=p"], "keypoints"),
        (["--data_dir=d", "--pose_model=p"], "pose_model"),
    ],
)
def test_persons_come_from_one_place(values, given, field):
    group = person_flags.PersonFlags(values, paste_back=True)
    values(["verb", *given])
    with pytest.raises(FlagError) as raised:
        group.check()
    assert raised.value.field == field


@pytest.mark.parametrize(
    "given",
    [
        ["--data_dir=d", "--split=train", "--skip_bad_records"],
        ["--image=i"],
        ["--images=i", "--crop=person", "--paste_back", "--body_mask=detected"],
        ["--images=i", "--keypoints=k", "--persons=all", "--body_mask=detected"],
        ["--image=i", "--keypoints=k", "--resize=stretch", "--keypoint_units=normalized"],
        ["--images=i", "--keypoints=k", "--keypoint_format=coco"],
        ["--images=i", "--pose_model=p", "--limit=2"],
    ],
)
def test_persons_that_are_given(values, given):
    group = person_flags.PersonFlags(values, paste_back=True)
    values(["verb", *given])
    group.check()
    assert group.given


def test_persons_may_be_left_out_where_they_are_not_needed(values):
    group = person_flags.PersonFlags(values, required=False)
    values(["verb"])
    group.check()
    assert not group.given
    for flag, name in (("--limit=2", "limit"), ("--pose_model=p", "pose_model")):
        values.unparse_flags()
        values(["verb", flag])
        with pytest.raises(FlagError) as raised:
            group.check()
        assert raised.value.field == name
    values.unparse_flags()
    values(["verb"])
    assert group.reader(config.preset("synthetic").model, 8, None) is None


def test_masks_and_models_are_flags_where_they_are_of_use(values):
    group = person_flags.PersonFlags(values, body_mask=False)
    values(["verb", "--data_dir=d", "--pose_model=p"])
    group.check(finds_more=True)
    assert "body_mask" not in flag_groups.settings(*group.decisive)


def test_settings_name_absolute_paths(values):
    group = person_flags.PersonFlags(values)
    values(["verb", "--images=photos", "--keypoints=/k.csv", "--limit=3"])
    assert flag_groups.settings(*group.decisive) == {
        "data_dir": None,
        "split": "test",
        "image": None,
        "images": str(pathlib.Path("photos").resolve()),
        "keypoints": "/k.csv",
        "keypoint_format": "auto",
        "keypoint_units": None,
        "resize": "letterbox",
        "background": ["128", "128", "128"],
        "persons": "one",
        "crop": "none",
        "body_mask": "keypoints",
    }


def test_inputs_are_the_keypoint_files_but_not_what_was_made(values, tmp_path):
    group = person_flags.PersonFlags(values)
    targets = person_flags.TargetPoseFlags(values, group.reading, "poses")
    for name in ("k/a.json", "k/b/c.json", "k/out/samples.json", "targets.csv", "d/photo.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    values(
        ["verb", f"--images={tmp_path / 'd'}", f"--keypoints={tmp_path / 'k'}"]
        + [f"--target_keypoints={tmp_path / 'targets.csv'}"]
    )
    found = flag_groups.inputs(tmp_path / "k/out", *group.decisive, *targets.decisive)
    names = [file.relative_to(tmp_path.resolve()).as_posix() for file in found]
    assert names == ["k/a.json", "k/b/c.json", "targets.csv"]
    values["keypoints"].value = str(tmp_path / "absent.csv")
    assert not list(flag_groups.inputs(tmp_path, *group.decisive))


def test_links_that_lead_nowhere_are_paths_too(values, tmp_path):
    circle, lost = tmp_path / "circle", tmp_path / "lost"
    circle.symlink_to(circle)
    lost.symlink_to(tmp_path / "absent")
    group = person_flags.PersonFlags(values)
    flag_groups.define_out_dir(values, "Folder.")
    values(["verb", f"--images={circle}", f"--keypoints={circle}"])
    assert flag_groups.settings(*group.decisive)["images"].endswith("circle")
    assert not list(flag_groups.inputs(tmp_path, *group.decisive))
    for path in (circle, lost):
        with pytest.raises(flags.Error, match=f"--out_dir={path}: is a link that leads nowhere"):
            values(["verb", f"--out_dir={path}"])


def test_choices_are_those_of_the_readers():
    from dpig_tf2.preparation import keypoint_formats, photos

    assert person_flags.KEYPOINT_FORMATS == keypoint_formats.FORMATS
    assert person_flags.KEYPOINT_UNITS == keypoint_formats.UNITS
    assert person_flags.RESIZE_MODES == photos.RESIZE_MODES


def test_factors_of_a_flag(values):
    model = config.preset("synthetic").model
    holder = flags.DEFINE_multi_string("factors", [], "Factors.", flag_values=values)
    values(["verb", "--factors=all", "--factors=pose,background"])
    assert flag_groups.factor_subsets(model, holder) == [model.factors, ("pose", "background")]
    values["factors"].value = ["pose,pose"]
    with pytest.raises(FlagError) as raised:
        flag_groups.factor_subsets(model, holder)
    assert raised.value.field == "factors"


@pytest.mark.parametrize("size", ["128", "0x64", "ax64", "128x64x3", "-1x5"])
def test_a_size_is_rows_by_columns(values, size):
    reading = person_flags.KeypointReadingFlags(values)
    group = person_flags.TargetPoseFlags(values, reading, "poses")
    values(["verb", "--target_keypoints=k", "--target_size=128x64"])
    group.check()
    assert group.size() == (128, 64)
    values["target_size"].value = size
    with pytest.raises(FlagError) as raised:
        group.check()
    assert raised.value.field == "target_size"


def test_a_folder_and_a_file_of_photos_are_told_apart(values, tmp_path):
    model = config.preset("synthetic").model
    photo = tmp_path / "a.png"
    photo.touch()
    group = person_flags.PersonFlags(values)
    values(["verb", f"--image={tmp_path}"])
    with pytest.raises(DpigError, match="is a folder, not a photo; --images takes a folder"):
        group.reader(model, 8, None)
    values.unparse_flags()
    values(["verb", f"--images={photo}"])
    with pytest.raises(FlagError, match=r"a\.png is a file; --image takes one photo"):
        group.reader(model, 8, None)


def test_a_preset_without_its_prefix_is_told():
    with pytest.raises(FlagError, match=r"; did you mean preset:persons_128x64\?"):
        flag_groups.open_run("persons_128x64")
    with pytest.raises(config.ConfigError, match="no readable config.json$"):
        flag_groups.open_run("nowhere")
