import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config, synthetic
from dpig_tf2.config import ConfigError
from dpig_tf2.ops.keypoints import flip_horizontal
from dpig_tf2.pipeline.fresh_persons import FreshPersons


@pytest.fixture(scope="module")
def model():
    sizes = {"height": 32, "width": 16, "background_embedding": 2, "mask_radius": 1}
    changes = {f"model.{name}": value for name, value in sizes.items()}
    return config.preset("modern").override(**changes).model


def _batches(model, count, start=0, seed=0, size=3):
    batches = FreshPersons(seed).batches(model, size, start)
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def _equal(a, b):
    tf.nest.map_structure(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def batches(model):
    return _batches(model, 4)


def test_any_batch_is_found_without_those_before(model, batches):
    _equal(_batches(model, 2, start=1), batches[1:3])
    _equal(_batches(model, 1, start=2), batches[2:3])


@pytest.mark.slow
def test_replicas_share_every_batch(model):
    """Two replicas on each of two workers, started at the second step of two updates each."""
    settings = config.preset("modern").override(**{"reconstruction.batch_size": 4})
    settings = dataclasses.replace(settings, model=model)
    contexts = [tf.distribute.InputContext(2, worker, 4) for worker in range(2)]
    one, *workers = (
        FreshPersons(0).photo_batches(settings, 2, 1, context).as_numpy_iterator()
        for context in (None, *contexts)
    )

    def joined(*shares):  # [replica, update, row] -> the order of one device
        return np.stack(shares, axis=1).reshape(8, *shares[0].shape[1:])

    for _ in range(2):
        shares = [next(batches) for batches in workers for _ in range(2)]
        _equal(tf.nest.map_structure(joined, *shares), next(one))


def test_a_batch_of_one_person_is_refused():
    settings = config.preset("modern").override(**{"reconstruction.batch_size": 1})
    with pytest.raises(ConfigError, match="batch_size must be at least 2 for synthetic .*, got 1"):
        FreshPersons(0).require(settings, ["reconstruction"])
    FreshPersons(0).require(settings, ["pose"])


def test_nobody_wears_what_a_person_of_the_same_seeds_data_set_wears(monkeypatch, model):
    """Whoever was trained on here has not been seen before in `make_synthetic --split=test`."""
    worn = []
    sample = synthetic.sample_foreground
    monkeypatch.setattr(
        synthetic, "sample_foreground", lambda rng: worn.append(sample(rng)) or worn[-1]
    )
    _batches(model, 10)
    next(iter(dataclasses.replace(FreshPersons(0), photos=5).persons(model)))
    assert len(worn) >= 20
    there = [person.foreground for person in synthetic.make_images(0, 20, 1)]
    assert not [foreground for foreground in there if foreground in worn]


def test_a_seed_has_its_own_persons(model, batches):
    other = _batches(model, 1, seed=1)[0]
    assert (other["source"]["image"] != batches[0]["source"]["image"]).mean() > 0.5
    assert (batches[2]["source"]["image"] != batches[0]["source"]["image"]).mean() > 0.5


def test_odd_batches_mirror_even_ones(batches):
    for side in ("source", "target"):
        plain, mirrored = (batch[side] for batch in batches[:2])
        for picture in ("image", "body_mask"):
            np.testing.assert_array_equal(mirrored[picture], plain[picture][:, :, ::-1])
        np.testing.assert_array_equal(
            mirrored["keypoints"], flip_horizontal(plain["keypoints"], 16)
        )


def test_scene_is_the_target_without_its_person(model, batches):
    batch = batches[0]
    np.testing.assert_array_equal(batch["scene"]["image"][0], batch["source"]["image"][1])
    # But for shadows, the two pictures differ only where one of the persons is.
    same = (batch["scene"]["image"] == batch["target"]["image"]).all(axis=-1)
    others = (batch["source"]["image"] == batch["target"]["image"]).all(axis=-1)
    assert same.mean() > 0.3 > 0.1 > others.mean()


def test_source_and_target_show_one_person(model):
    """Seen through the mean color of what the masks cover, beside that of other persons."""
    batch = _batches(model, 1, seed=5, size=16)[0]
    means = []
    for side in ("source", "target"):
        mask, image = batch[side]["body_mask"], batch[side]["image"]
        means.append((image * mask).sum(axis=(1, 2)) / mask.sum(axis=(1, 2)))
    distance = np.linalg.norm(means[0][:, None] - means[1][None], axis=-1)
    assert distance.diagonal().mean() < 0.8 * distance.mean()


def test_poses_are_those_of_the_persons(model):
    fresh = FreshPersons(3, photos=35, drawn_poses=36)
    persons = list(fresh.persons(model))
    assert [len(person["image"]) for person in persons] == [32, 3]
    keypoints = np.concatenate([person["keypoints"] for person in persons])
    poses = fresh.poses(model)
    assert len(poses) == 72
    np.testing.assert_array_equal(keypoints, poses[:35])
    np.testing.assert_array_equal(poses[36:], flip_horizontal(poses[:36], model.width))
