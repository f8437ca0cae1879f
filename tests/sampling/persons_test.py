"""Names of persons, and batches of them put together."""

import numpy as np
import pytest

from dpig_tf2.errors import DpigError
from dpig_tf2.sampling.persons import Namer, Persons, concatenate


def _persons(*names):
    count = len(names)
    return Persons(
        names,
        np.arange(count * 54, dtype=np.float32).reshape(count, 18, 3),
        np.zeros((count, 4, 2, 3), np.uint8),
        tuple(name[0] for name in names),
        {"part_visibility": np.eye(count, 7, dtype=np.float32)},
    )


@pytest.mark.parametrize(
    "source, name",
    [
        ("0001_c1s1_000151_01.jpg", "0001_c1s1_000151_01"),
        ("WOMEN/Dresses/id_1/01_1_front.jpg", "WOMEN_Dresses_id_1_01_1_front"),
        ("/etc/../photo.png", "etc_photo"),
        ("C:\\photos\\me.png", "C:_photos_me"),
        ("no ending", "no ending"),
        ("//etc/photo.png", "etc_photo"),  # two slashes lead as one does
        ("a\0b\x1b[2J.png", "a_b_[2J"),
    ],
)
def test_names_are_fit_for_files(source, name):
    assert Namer().name(source) == name


@pytest.mark.parametrize("source", ["", ".", "..", "/", "//", "\\"])
def test_what_is_no_name_is_replaced_or_refused(source):
    assert Namer().name(source, "image_000001") == "image_000001"
    with pytest.raises(DpigError, match="is no name"):
        Namer().name(source)


def test_names_are_unique():
    namer = Namer()
    given = [namer.name(source) for source in ("a.jpg", "a.png", "b.jpg", "a.jpg")]
    assert given == ["a", "a-2", "b", "a-3"]


def test_names_of_two_persons_fit_into_the_name_of_a_file():
    namer = Namer()
    given = [namer.name(source) for source in ("ä" * 120 + "1.jpg", "ä" * 120 + "2.jpg")]
    assert given == ["ä" * 40, "ä" * 40 + "-2"]


def test_an_image_keeps_its_name_in_later_runs():
    names: dict[str, str] = {}
    first = Namer(names)
    assert [first.keep(source, source) for source in ("a.png", "a_b.png")] == ["a", "a_b"]
    later = Namer(names)
    sources = ("a.jpg", "a.png", "a/b.png", "a.jpg")
    assert [later.keep(source, source) for source in sources] == ["a-2", "a", "a_b-2", "a-2"]


def test_take_and_concatenate():
    persons = concatenate([_persons("a1", "b1"), _persons("c1")])
    assert len(persons) == 3
    chosen = persons.take([2, 0])
    assert (chosen.names, chosen.identities) == (("c1", "a1"), ("c", "a"))
    np.testing.assert_array_equal(chosen.keypoints, persons.keypoints[[2, 0]])
    np.testing.assert_array_equal(chosen.parts["part_visibility"][:, 0], [1, 1])


def test_nobody_is_an_error():
    with pytest.raises(ValueError, match="no usable person was found"):
        concatenate([])


def test_poses_alone_have_no_images():
    persons = _persons("a1", "b1")
    assert persons.require_images() is persons.images
    poses = Persons(persons.names, persons.keypoints)
    with pytest.raises(DpigError, match="got poses alone") as caught:
        poses.require_images()
    assert caught.value.field == "images"
