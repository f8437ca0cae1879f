import dataclasses
import itertools
import types

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config, testing
from dpig_tf2.config import ConfigError
from dpig_tf2.ops.keypoints import flip_horizontal
from dpig_tf2.pipeline import personal_photos
from dpig_tf2.pipeline.batches import training_batches
from dpig_tf2.pipeline.personal_photos import PersonalPhotos, moved
from dpig_tf2.pipeline.training_data import RecordPairs
from dpig_tf2.records.record_set import RecordSet
from dpig_tf2.records.schema import RecordError


@pytest.fixture(scope="module")
def model():
    sizes = {"height": 32, "width": 16, "background_embedding": 2, "mask_radius": 1}
    changes = {f"model.{name}": value for name, value in sizes.items()}
    return config.preset("modern").override(**changes).model


def _photos(model, identities=("a", "b", "a")):
    person = testing.random_person(model, len(identities))
    return PersonalPhotos(person["image"].numpy(), person["keypoints"].numpy(), identities, 0)


@pytest.mark.parametrize(
    ("scale", "shift"), [(1, (0, 0)), (1, (3, -2)), (1.5, (0, 0)), (0.8, (4, 2))]
)
def test_a_keypoint_follows_what_it_marks(scale, shift):
    image = np.zeros((48, 24, 3), np.uint8)
    image[19:22, 9:12] = 255  # its middle is pixel (20, 10)
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[4] = (20, 10, 1)
    image, keypoints = moved(image, keypoints, scale, shift)
    weights = image[..., 0].astype(float)
    rows, columns = np.mgrid[:48, :24]
    middle = [(axis * weights).sum() / weights.sum() for axis in (rows, columns)]
    np.testing.assert_allclose(keypoints[4, :2], middle, atol=0.3)
    assert keypoints[4, 2] == 1 and not keypoints[[3, 5]].any()


def test_a_keypoint_that_leaves_the_photo_is_missing():
    keypoints = np.zeros((18, 3), np.float32)
    keypoints[0] = (5, 10, 1)
    _, keypoints = moved(np.zeros((48, 24, 3), np.uint8), keypoints, 1, (-10, 0))
    assert not keypoints.any()


def test_a_photo_that_is_not_moved_stays():
    image = np.random.default_rng(0).integers(0, 256, (32, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(moved(image, np.zeros((18, 3), np.float32), 1, (0, 0))[0], image)


def test_half_of_the_views_are_mirrored_source_and_target_alike(model, monkeypatch):
    monkeypatch.setattr(personal_photos, "_LARGEST_SCALE", 1.0)
    monkeypatch.setattr(personal_photos, "_LARGEST_SHIFT", 0.0)
    photos = _photos(model, ("a",))
    images, keypoints, targets, target_keypoints = photos._views(0, 20)
    np.testing.assert_array_equal(images, targets)
    np.testing.assert_array_equal(keypoints, target_keypoints)
    mirrored = [bool((image != photos.images[0]).any()) for image in images]
    assert 4 < sum(mirrored) < 16
    expected = photos.keypoints[0], flip_horizontal(photos.keypoints[0], model.width).numpy()
    for image, pose, flip in zip(images, keypoints, mirrored, strict=True):
        np.testing.assert_array_equal(image, photos.images[0][:, :: -1 if flip else 1])
        np.testing.assert_allclose(pose, expected[flip], atol=1e-5)


def test_views_are_scaled_and_shifted_either_way(model, monkeypatch):
    photos, seen = _photos(model), []

    def noted(image, keypoints, scale, shift):
        seen.append((scale, *(shift / np.array(image.shape[:2]))))
        return image, keypoints

    monkeypatch.setattr(personal_photos, "moved", noted)
    photos._views(0, 200)
    least, most = np.min(seen, axis=0), np.max(seen, axis=0)
    np.testing.assert_allclose(least, (1 / 1.2, -0.1, -0.1), atol=0.01)
    np.testing.assert_allclose(most, (1.2, 0.1, 0.1), atol=0.01)


def test_a_seed_has_its_own_views_and_other_persons(model, monkeypatch):
    photos = _photos(model)
    other = dataclasses.replace(photos, seed=7)
    assert np.not_equal(photos._views(0, 4)[0], other._views(0, 4)[0]).any(axis=(1, 2, 3)).all()

    def persons(seed):
        return types.SimpleNamespace(batches=lambda *given: (seed, given))

    monkeypatch.setattr(personal_photos, "FreshPersons", persons)
    assert other._others(model, 2, 3) == (7, (model, 2, 3))


@pytest.mark.slow
def test_half_of_a_batch_are_photos_of_one_identity_each(model):
    photos = _photos(model)
    # Every photo one color, its number.
    images = np.stack([np.full((32, 16, 3), 50 * i + 50, np.uint8) for i in range(3)])
    photos = PersonalPhotos(images, photos.keypoints, photos.identities, 0)
    pairs = set()
    for batch in itertools.islice(photos.batches(model, 6).as_numpy_iterator(), 20):
        assert batch["source"]["image"].shape == (6, 32, 16, 3)
        np.testing.assert_array_equal(batch["scene"]["image"][3:], batch["target"]["image"][3:])
        numbers = [batch[s]["image"][3:, 16, 8, 0] // 50 - 1 for s in ("source", "target")]
        pairs |= set(zip(*map(np.ndarray.tolist, numbers), strict=True))
        assert (batch["source"]["image"][:3].std(axis=(1, 2, 3)) > 5).all()  # rendered persons
    assert pairs == {(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)}


@pytest.mark.slow
def test_pairs_of_records_take_the_place_of_synthetic_persons(synthetic_data, tiny_config):
    photos, model = _photos(tiny_config.model), tiny_config.model
    records = RecordSet.open(synthetic_data, "train")
    beside = dataclasses.replace(photos, beside=RecordPairs(records))
    found, pairs = beside.batches(model, 7, start=2), training_batches(records, model, 3, 0, 2)
    for batch, pair in itertools.islice(zip(found, pairs, strict=False), 2):
        for side, of_pair in (("source", "source"), ("target", "target"), ("scene", "target")):
            assert batch[side].keys() == pair[of_pair].keys()
            for key, values in batch[side].items():
                assert len(values) == 7
                np.testing.assert_array_equal(values[:3], pair[of_pair][key])
    own = next(iter(photos.batches(model, 7, start=2)))
    batch = next(iter(found))
    np.testing.assert_array_equal(batch["source"]["image"][3:], own["source"]["image"][3:])
    assert beside.describe() == f"3 photos of 2 persons beside 72 pairs of {synthetic_data}"
    with pytest.raises(RecordError, match="too few for a batch of 100"):
        beside.batches(model, 200)


def test_every_photo_is_shown_once_in_the_pose_of_the_next(model):
    photos = _photos(model)
    shown = photos.shown(model, 8)
    np.testing.assert_allclose(shown["target_image"], np.roll(shown["image"], -1, 0))
    assert len(shown["image"]) == 3 and len(photos.shown(model, 2)["image"]) == 2


def test_any_batch_is_found_without_those_before(model):
    photos = _photos(model)
    batches = list(itertools.islice(photos.batches(model, 4).as_numpy_iterator(), 3))
    again = next(photos.batches(model, 4, start=2).as_numpy_iterator())
    np.testing.assert_array_equal(again["source"]["image"], batches[2]["source"]["image"])
    np.testing.assert_array_equal(again["target"]["keypoints"], batches[2]["target"]["keypoints"])


def test_replicas_share_every_batch(model):
    settings = config.preset("modern").override(**{"reconstruction.batch_size": 4})
    settings = dataclasses.replace(settings, model=model)
    one, two = (
        _photos(model).photo_batches(settings, 1, 0, context).as_numpy_iterator()
        for context in (None, tf.distribute.InputContext(1, 0, 2))
    )
    for _ in range(2):
        halves = [next(two)["source"]["image"] for _ in range(2)]
        np.testing.assert_array_equal(np.concatenate(halves), next(one)["source"]["image"])


def test_a_batch_too_small_for_other_persons_is_refused(model):
    settings = config.preset("modern").override(**{"reconstruction.batch_size": 3})
    with pytest.raises(ConfigError, match="batch_size must be at least 4 for 3 photos of .* got 3"):
        _photos(model).require(settings, ["reconstruction"])


def test_photos_and_persons_are_counted(model):
    assert _photos(model).describe() == "3 photos of 2 persons"
    assert _photos(model, ("a",)).describe() == "1 photo of 1 person"
