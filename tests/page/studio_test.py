import dataclasses
import io
import itertools
import json
import os
import shlex
import zipfile

import numpy as np
import pytest

from dpig_tf2.detection.crops import Crop
from dpig_tf2.errors import DpigError
from dpig_tf2.page import results
from dpig_tf2.page.studio import Studio
from dpig_tf2.preparation import photos
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv
from dpig_tf2.sampling.tasks.draw import read_codes


def _flags(command):
    _, verb, *flags = shlex.split(command)
    return verb, dict(flag[2:].split("=", 1) for flag in flags)


def _codes(studio, member):
    return studio.sampler.person_codes(member.image[None], member.keypoints[None])


def test_reposing_is_transfer(studio, members, poses):
    result = studio.repose(members[0], poses[3])
    image, pose = members[0].image[None], members[0].keypoints[None]
    expected = studio.sampler.transfer(image, pose, poses[3][None])
    np.testing.assert_array_equal(result.pictures[0].image, expected[0])
    assert result.pasted is None
    verb, flags = _flags(result.command)
    assert verb == "transfer"
    assert set(result.files) == {flags["image"], flags["keypoints"], flags["target_keypoints"]}


@pytest.mark.parametrize(
    ("run_dir", "checkpoint", "expected"),
    [
        ("runs/my run", "best", {"run_dir": os.path.abspath("runs/my run"), "checkpoint": "best"}),
        ("preset:mine", "latest", {"run_dir": "preset:mine"}),
    ],
)
def test_commands_name_the_networks_from_anywhere(sampler, members, run_dir, checkpoint, expected):
    at_work = Studio(sampler, run_dir, checkpoint)
    _, flags = _flags(at_work.disentangle(*members[:2]).command)
    assert flags == {**expected, "codes": "codes.npz"}


def test_a_person_from_a_photo_is_put_back(studio, members, poses):
    photo = np.full((200, 200, 3), 7, np.uint8)
    crop = Crop(20, 30, 128, 64, studio.model.height, studio.model.width)
    person = dataclasses.replace(members[0], photo=photo, crop=crop)
    pasted = studio.repose(person, poses[0]).pasted
    assert pasted.shape == photo.shape
    np.testing.assert_array_equal(pasted[:20], photo[:20])
    assert (pasted[20:148, 30:94] != 7).any()


def test_new_persons_are_those_of_the_sampler(studio, members):
    result = studio.new_persons(["foreground", "pose"], 3, 5, members[1])
    expected = studio.sampler.sample(
        3, ["foreground", "pose"], members[1].image, members[1].keypoints, seed=5
    )
    images = np.stack([picture.image for picture in result.pictures])
    np.testing.assert_array_equal(images, expected.images)
    verb, flags = _flags(result.command)
    assert verb == "sample"
    assert flags["factors"] == "foreground,pose" and flags["seed"] == "5" and flags["count"] == "3"
    assert flags["image"] in result.files
    everything = studio.new_persons(studio.model.factors, 2, 5)
    assert _flags(everything.command)[1]["factors"] == "all" and not everything.files


def test_truncation_draws_to_the_mean(studio):
    codes = [
        studio.new_persons(studio.model.factors, 4, 1, truncation=t).codes.foreground
        for t in (1, 0.5, 0)
    ]
    spread = [np.std(code, axis=0).mean() for code in codes]
    assert spread[1] == pytest.approx(spread[0] / 2, rel=1e-3) and spread[2] < 1e-6
    command = studio.new_persons(studio.model.factors, 1, 1, truncation=0.5).command
    assert _flags(command)[1]["truncation"] == "0.5"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (([], 1, 0), "factors"),
        ((["hair"], 1, 0), "factor"),
        ((["pose"], 0, 0), "number of persons"),
        ((["pose"], 17, 0), "number of persons"),
        ((["pose"], 1.5, 0), "number of persons"),
        ((["pose"], None, 0), "number of persons"),
        ((["pose"], 1, -1), "seed"),
        ((["pose"], 1, 2**31), "seed"),
        ((["pose"], 1, float("nan")), "seed"),
        ((["pose"], 1, 0), "person"),
        ((["foreground", "background", "pose"], 1, 0, None, 2), "truncation"),
    ],
)
def test_what_cannot_be_sampled_is_named(studio, arguments, field):
    with pytest.raises(DpigError) as caught:
        studio.new_persons(*arguments)
    assert caught.value.field == field


def test_mixing_takes_parts_and_background(studio, members):
    result = studio.mix(members[0], [(members[1], ["upper_garment"])], members[2])
    own, donor = (
        studio.sampler.person_codes(m.image[None], m.keypoints[None]) for m in members[:2]
    )
    place = studio.sampler.person_codes(members[2].image[None], members[2].keypoints[None])
    expected = studio.sampler.mix(own, {"upper_garment": donor}, place).images[0]
    np.testing.assert_array_equal(result.pictures[0].image, expected)
    np.testing.assert_array_equal(result.codes.background, place.background)


def test_mixing_says_what_cannot_be_taken(studio, members):
    with pytest.raises(DpigError) as caught:
        studio.mix(members[0], [(members[1], ["upper_body"]), (members[2], ["upper_garment"])])
    assert caught.value.field == "upper_body"
    with pytest.raises(DpigError) as caught:
        studio.mix(members[0], [])
    assert caught.value.field == "donors"
    # A donor of whom only the nose is seen gives no legs.
    unseen = members[1].keypoints * (np.arange(18) == 0)[:, None]
    donor = dataclasses.replace(members[1], keypoints=unseen.astype(np.float32))
    result = studio.mix(members[0], [(donor, ["left_leg"])], members[2])
    assert result.notes and "left leg" in result.notes[0]


def test_the_way_between_persons_and_seeds(studio, members):
    seen = []
    result = studio.interpolate(
        members[0], members[1], ["foreground"], 6, lambda done, total: seen.append((done, total))
    )
    assert seen[0] == (0, 6) and seen[-1] == (6, 6)
    own, other = (
        studio.sampler.person_codes(m.image[None], m.keypoints[None]) for m in members[:2]
    )
    expected = studio.sampler.interpolate(own, other, 6, ["foreground"]).images
    images = np.stack([picture.image for picture in result.pictures])
    assert np.abs(images.astype(int) - expected).max() <= 1
    seeds = studio.interpolate(3, 4, ["pose"], 3)
    assert _flags(seeds.command)[1]["seeds"] == "3,4" and len(seeds.pictures) == 3
    for arguments, field in (
        ((members[0], members[1], [], 3), "factors"),
        ((members[0], members[1], ["pose"], 1), "number of frames"),
        ((members[0], 3, ["pose"], 3), "seed"),
        ((None, 3, ["pose"], 3), "seed"),
        ((-1, 3, ["pose"], 3), "seed"),
    ):
        with pytest.raises(DpigError) as caught:
            studio.interpolate(*arguments)
        assert caught.value.field == field


def test_exchanged_factors_are_three_by_three(studio, members):
    result = studio.disentangle(members[0], members[1])
    assert len(result.pictures) == 9 and result.columns == 3
    captions = [picture.caption for picture in result.pictures]
    assert captions[4] == "Person 1 with the background of Person 2"
    table = studio.moved(members[0], members[1])
    assert table.keys() == {"Looks", "Background", "Pose"}
    photo = dataclasses.replace(members[1], factors={})
    assert studio.moved(members[0], photo) is None


def test_a_perfect_model_moves_what_is_exchanged(studio, members, monkeypatch):
    """The table of the true pictures themselves is the unit matrix."""
    first, second = members[:2]
    sizes = {"height": studio.model.height, "width": studio.model.width}
    from dpig_tf2 import synthetic

    people = {"a": first.factors, "b": second.factors}

    class True_:  # noqa: N801
        def __init__(self, **names):
            self.names = names

        def replace(self, **names):
            return True_(**self.names | names)

        foreground = property(lambda self: self.names["foreground"])
        background = property(lambda self: self.names["background"])
        keypoints = property(lambda self: self.names["keypoints"])

    fields = {"foreground": "foreground", "background": "background", "keypoints": "pose"}

    def draw(codes):
        factors = {f: people[codes.names[n]][f] for n, f in fields.items()}
        return type("S", (), {"images": synthetic.render(**factors, **sizes)[None]})

    names = iter("ab")
    monkeypatch.setattr(
        studio,
        "_codes",
        lambda person: True_(
            **dict.fromkeys(("foreground", "background", "keypoints"), next(names))
        ),
    )
    monkeypatch.setattr(studio.sampler, "draw", draw)
    table = studio.moved(first, second)
    found = np.array([list(row.values()) for row in table.values()])
    np.testing.assert_allclose(found, np.eye(3), atol=1e-4)


def test_a_download_holds_everything_and_is_opened_again(studio, members, poses, tmp_path):
    result = studio.repose(members[0], poses[3])
    path = tmp_path / "result.zip"
    path.write_bytes(results.archive(result, studio.fingerprint))
    with zipfile.ZipFile(path) as file:
        names = set(file.namelist())
        assert {"picture_01.png", "sheet.png", "codes.npz", "command.txt", *result.files} <= names
        assert file.read("command.txt").decode().strip() == result.command
        (tmp_path / "codes.npz").write_bytes(file.read("codes.npz"))
    again = results.restore(path, studio.sampler, studio.fingerprint)
    np.testing.assert_array_equal(again.pictures[0].image, result.pictures[0].image)
    assert again.command == result.command
    assert again.files == result.files, "it can be downloaded again"
    # `dpig draw` reads the codes too.
    drawn = studio.sampler.draw(
        read_codes(tmp_path / "codes.npz", studio.sampler.config.model)
    ).images
    np.testing.assert_array_equal(drawn[0], result.pictures[0].image)


def test_an_opened_result_keeps_what_a_command_may_read_and_nothing_else(
    studio, members, poses, tmp_path
):
    of_earlier_versions = ("persons/person.png", "persons/other.png")
    names = ("person.png", "other.png", "keypoints.csv", "target.csv", *of_earlier_versions)
    files = {name: name.encode() for name in names}
    result = studio.repose(members[0], poses[3])
    result = dataclasses.replace(result, files={**files, "notes.txt": b"a stranger's"})
    path = tmp_path / "result.zip"
    path.write_bytes(results.archive(result, studio.fingerprint))
    assert results.restore(path, studio.sampler, studio.fingerprint).files == files


def test_a_picture_in_its_photo_is_kept(studio, members, poses, tmp_path):
    photo = np.full((200, 200, 3), 7, np.uint8)
    crop = Crop(20, 30, 128, 64, studio.model.height, studio.model.width)
    result = studio.repose(dataclasses.replace(members[0], photo=photo, crop=crop), poses[0])
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    first.write_bytes(results.archive(result, studio.fingerprint))
    again = results.restore(first, studio.sampler, studio.fingerprint)
    second.write_bytes(results.archive(again, studio.fingerprint))
    with zipfile.ZipFile(first) as before, zipfile.ZipFile(second) as after:
        assert set(after.namelist()) == set(before.namelist())
        assert after.read("in_photo.png") == before.read("in_photo.png")


def test_files_of_a_result_say_its_poses_whole(studio, members, poses, tmp_path):
    for member, pose in itertools.product(members[:2], poses):
        result = studio.repose(member, pose)
        for name, expected in (("keypoints.csv", member.keypoints), ("target.csv", pose)):
            (tmp_path / name).write_bytes(result.files[name])
            np.testing.assert_array_equal(read_keypoint_csv(tmp_path / name)[1][0], expected)


def test_persons_between_whom_the_way_leads_lie_apart(studio, members, tmp_path):
    """Beside them in the download are pictures, which are no persons to be read."""
    result = studio.interpolate(members[0], members[1], ["pose"], 2)
    with zipfile.ZipFile(io.BytesIO(results.archive(result, studio.fingerprint))) as file:
        file.extractall(tmp_path)
    _, flags = _flags(result.command)
    assert photos.list_images(tmp_path / flags["images"], []) == ["other.png", "person.png"]
    names, _ = read_keypoint_csv(tmp_path / flags["keypoints"])
    assert names == ["person.png", "other.png"]


def test_an_animation_goes_along_with_frames(studio):
    result = studio.interpolate(1, 2, ["pose"], 3)
    with zipfile.ZipFile(io.BytesIO(results.archive(result, studio.fingerprint))) as file:
        assert file.read("animation.webp")[8:12] == b"WEBP"


def _changed(content, change):
    """A download of which something else is said."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as file, zipfile.ZipFile(changed, "w") as other:
        other.writestr("made.json", json.dumps(json.loads(file.read("made.json")) | change))
        other.writestr("codes.npz", file.read("codes.npz"))
    return changed.getvalue()


def test_a_command_of_a_stranger_is_one_call_of_dpig(studio, members, poses, tmp_path):
    content = results.archive(studio.repose(members[0], poses[0]), studio.fingerprint)
    path = tmp_path / "a.zip"
    path.write_bytes(_changed(content, {"command": "dpig draw --out_dir='a b'; rm -r a\nrm $(b)"}))
    shown = results.restore(path, studio.sampler, studio.fingerprint).command
    assert shown == "dpig draw '--out_dir=a b;' rm -r a rm '$(b)'"


def test_files_that_are_no_results_get_a_sentence(studio, members, poses, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(DpigError, match="no result of this page"):
        results.restore(path, studio.sampler, studio.fingerprint)
    content = results.archive(studio.repose(members[0], poses[0]), studio.fingerprint)
    changes = {"networks": "others"}, {"captions": 3}, {"captions": []}, {"columns": "x"}
    changes += {"command": "rm -r a"}, {"command": "dpig 'a"}, {"command": ""}
    for change in (*changes, {"verb": "../a"}, {"verb": "a" * 300}):
        path.write_bytes(_changed(content, change))
        with pytest.raises(DpigError) as caught:
            results.restore(path, studio.sampler, studio.fingerprint)
        assert caught.value.file == str(path)
