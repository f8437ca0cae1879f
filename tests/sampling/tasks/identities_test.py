"""Re-identification sets: names, what is fixed, what is new, what the seed decides."""

import re

import numpy as np
import pytest

from dpig_tf2 import PersonSampler
from dpig_tf2.config import STAGES
from dpig_tf2.models import factory
from dpig_tf2.sampling.output_folder import OutputFolder
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.tasks import identities
from dpig_tf2.sampling.tasks.context import Context

pytestmark = pytest.mark.numeric  # also run with narrower instructions, see .ci/run

_MARKET_NAME = re.compile(r"(\d{4})_c([1-6])s([1-6])_(\d{6})_(\d{2})\.jpg")


@pytest.fixture(scope="module")
def sampler(tiny_config):
    model = tiny_config.model
    names = [name for stage in STAGES for name in factory.stage_networks(stage, model)]
    return PersonSampler(tiny_config, factory.build_networks(names, model))


def _write(sampler, path, *sizes, poses=None):
    wanted = identities.IdentitySet(*sizes)
    with OutputFolder(path, {"seed": 3}) as output:
        identities.write_identities(Context(sampler, output, _quiet), wanted, 3, poses)
    return output


def _quiet(label, done, total):
    assert done <= total


def test_names_are_those_of_market1501():
    names = [identities.image_name(identity, i) for identity in (1, 500) for i in range(60)]
    parsed = [_MARKET_NAME.fullmatch(name) for name in names]
    assert all(parsed) and len(set(names)) == 120
    assert {match[1] for match in parsed} == {"0001", "0500"}
    assert {match[2] for match in parsed} == set("123456")


def test_one_foreground_and_new_backgrounds_and_poses(sampler):
    codes = sampler.identity_codes(5, seed=9)
    assert (codes.foreground == codes.foreground[0]).all()
    for factor in ("background", "pose"):
        assert len(np.unique(codes.code(factor), axis=0)) == 5
    other = sampler.identity_codes(5, seed=10)
    assert not (other.foreground == codes.foreground).any()
    assert sampler.identity(5, seed=9).images.shape == (5, 64, 32, 3)


def test_more_images_leave_the_first_ones_as_they_are(sampler):
    few, many = sampler.identity_codes(3, seed=9), sampler.identity_codes(7, seed=9)
    assert few.factors == ("foreground", "background", "pose")
    for factor in few.factors:
        np.testing.assert_array_equal(few.code(factor), many.code(factor)[:3], err_msg=factor)


def test_real_poses_are_drawn_from_those_given(sampler, tmp_path):
    keypoints = np.random.default_rng(0).uniform(1, 30, (4, 18, 3)).astype(np.float32)
    keypoints[..., 2] = 1
    poses = Persons(("a", "b", "c", "d"), keypoints)
    output = _write(sampler, tmp_path, 1, 8, poses=poses)
    files = [f"{identities.TRAIN}/{identities.image_name(1, i)}" for i in range(8)]
    assert len({output.made_from(file)["pose_of"] for file in files}) > 1
    for file in files:
        pose = keypoints[poses.names.index(output.made_from(file)["pose_of"])]
        np.testing.assert_array_equal(output.codes(file)["keypoints"], pose)


def test_writes_the_folder_with_scores_and_goes_on_where_it_stopped(sampler, tmp_path):
    output = _write(sampler, tmp_path, 2, 3)
    folder = tmp_path / identities.TRAIN
    files = sorted(folder.iterdir())
    assert len(files) == 6 and all(_MARKET_NAME.fullmatch(file.name) for file in files)
    made_from = output.made_from(f"{identities.TRAIN}/{files[0].name}")
    assert made_from["identity"] == 1 and isinstance(made_from["discriminator"], float)

    before = {file: file.read_bytes() for file in files}
    files[0].unlink()
    output = _write(sampler, tmp_path, 3, 3)  # one image is lost, one identity more is wanted
    assert output.reused == 7  # six images and a sheet
    assert len(list(folder.iterdir())) == 9
    assert {file: file.read_bytes() for file in files} == before


def test_without_a_discriminator_there_is_no_score(sampler, tmp_path):
    networks = {n: v for n, v in sampler.model.networks.items() if n != "discriminator"}
    bare = PersonSampler(sampler.config, networks)
    output = _write(bare, tmp_path, 1, 2)
    name = f"{identities.TRAIN}/{identities.image_name(1, 0)}"
    assert output.made_from(name)["discriminator"] is None


def test_seeds_of_identities_differ():
    seeds = [identities.identity_seed(seed, i) for seed in range(3) for i in range(1, 200)]
    assert len(set(seeds)) == len(seeds) and 0 <= min(seeds) and max(seeds) < 2**31


def _read_as_market1501(folder):
    """[(identity, camera)] of a folder as re-identification code reads the data set."""
    found = [_MARKET_NAME.fullmatch(path.name) for path in sorted(folder.glob("*.jpg"))]
    return [(int(match[1]), int(match[2])) for match in found]


def test_identities_to_test_have_queries_that_can_be_answered(sampler, tmp_path):
    _write(sampler, tmp_path, 1, 5, 2)
    folders = [_read_as_market1501(tmp_path / name) for name in identities.FOLDERS]
    train, query, gallery = folders
    assert {identity for identity, _ in train} == {1} and len(train) == 5
    assert query == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert len(gallery) == 6
    for identity, camera in query:  # by another camera, as the protocol wants it
        assert any(other == identity and seen_by != camera for other, seen_by in gallery)


def test_without_identities_to_test_all_folders_are_there(sampler, tmp_path):
    _write(sampler, tmp_path, 1, 1)
    assert [len(list((tmp_path / name).iterdir())) for name in identities.FOLDERS] == [1, 0, 0]


@pytest.mark.parametrize(
    "sizes, message",
    [
        ((10_000, 1), "10000 identities x 1 images: names have room"),
        ((9_999, 2, 1), "10000 identities x 2 images: names have room"),
        ((1, 1_000_000), "1 identities x 1000000 images: names have room"),
        ((1, 1, 1), "an identity to test needs 2 images"),
    ],
)
def test_refuses_sizes_without_names_or_answers(sizes, message):
    with pytest.raises(ValueError, match=message):
        identities.IdentitySet(*sizes)
