"""Scores of a record split with a sampler that returns the photos it is given."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from dpig_tf2 import config
from dpig_tf2.detection.photo_poses import DetectedPoses
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation import records as evaluation_records
from dpig_tf2.evaluation.image_scores import ImageScores
from dpig_tf2.evaluation.picture_folder import PairNamer, PictureFolder
from dpig_tf2.evaluation.records import score_records
from dpig_tf2.pipeline.batches import evaluation_batches
from dpig_tf2.preparation.keypoint_formats import read_keypoint_csv
from dpig_tf2.records.record_set import RecordSet


class Copier:
    """Leaves every person as it is."""

    batch_size = 4

    def __init__(self, config):
        self.config = config

    def transfer(self, images, keypoints, target_keypoints, **parts):
        assert len(images) == len(keypoints) == len(parts["body_mask"])
        return images


class MeanColors(Copier):
    """Appearance is the mean color of person and place; pictures show it on either side."""

    class model:
        @staticmethod
        def split_appearance(embedding):
            return {"foreground": embedding[:, :1], "background": embedding[:, 1:]}

        @staticmethod
        def join_appearance(codes):
            return tf.concat([codes["foreground"], codes["background"]], axis=1)

    def encode_appearance(self, images, keypoints, body_mask, **parts):
        masks = body_mask.astype(bool) & np.ones_like(images, bool)
        pairs = zip(images, masks, strict=True)
        return np.array([(i[m].mean(), i[~m].mean()) for i, m in pairs], np.float32)

    def generate(self, embedding, keypoints):
        assert len(embedding) == len(keypoints)
        return np.round(embedding).astype(np.uint8)[:, None, :, None].repeat(3, axis=-1)


@pytest.fixture(scope="module")
def records(synthetic_data):
    return RecordSet.open(synthetic_data, "test")


@pytest.mark.slow
def test_each_task_has_its_own_goal(tiny_config, records):
    sampler = Copier(tiny_config)
    same, examples = score_records(sampler, records, "reconstruct", ImageScores("tf"), limit=6)
    assert same["count"] == len(same["names"]) == len(examples) == 6
    assert same["metrics"]["l1"]["mean"] == 0.0 and same["skipped"] == []
    other, _ = score_records(sampler, records, "transfer", ImageScores("tf"), limit=6)
    assert other["metrics"]["l1"]["mean"] > 0.02


@pytest.mark.slow
def test_the_foreground_comes_from_the_source_alone(tiny_config, records):
    sampler = MeanColors(tiny_config)
    kept = []

    class Scores(ImageScores):
        def add(self, image, *goal):
            kept.append(image[0, :, 0])

        def summary(self):
            return {}

    score_records(sampler, records, "foreground", Scores("tf"), limit=4)
    (batch,) = evaluation_batches(records, tiny_config.model, 4, 4).as_numpy_iterator()
    codes = [
        sampler.encode_appearance(person["image"], None, person["body_mask"])
        for person in (batch["source"], batch["target"])
    ]
    np.testing.assert_array_equal(kept, np.round([codes[0][:, 0], codes[1][:, 1]]).T)


def test_a_foreground_needs_a_background(records):
    sampler = Copier(config.preset("deepfashion"))
    with pytest.raises(ValueError, match="code of the background"):
        score_records(sampler, records, "foreground", ImageScores("tf"))


def _changed(monkeypatch, change):
    """Every batch that is scored is changed by a function."""

    class Batches:
        def __init__(self, *args):
            self._batches = evaluation_batches(*args)

        def as_numpy_iterator(self):
            return map(change, self._batches.as_numpy_iterator())

    monkeypatch.setattr(evaluation_records, "evaluation_batches", Batches)


def test_what_cannot_be_scored_is_named_and_the_rest_is_scored(tiny_config, records, monkeypatch):
    def unseen(batch):
        keypoints = batch["source"]["keypoints"].copy()
        keypoints[0] = 0
        return batch | {"source": batch["source"] | {"keypoints": keypoints}}

    _changed(monkeypatch, unseen)
    damaged, told = dataclasses.replace(records, skipped=("some record: truncated",)), []
    scores, _ = score_records(
        Copier(tiny_config),
        damaged,
        "reconstruct",
        ImageScores("tf"),
        limit=4,
        report=lambda *done: told.append(done),
    )
    assert told == [("reconstruct", 4, 4)]
    assert scores["count"] == 3
    assert scores["skipped"][0] == "some record: truncated"
    assert scores["skipped"][1].endswith(": not one keypoint is visible")


def test_where_nothing_can_be_scored_the_reason_is_told(tiny_config, records, monkeypatch):
    def unseen(batch):
        keypoints = np.zeros_like(batch["source"]["keypoints"])
        return batch | {"source": batch["source"] | {"keypoints": keypoints}}

    _changed(monkeypatch, unseen)
    with pytest.raises(DpigError, match=r"not one pair .*: not one keypoint is visible"):
        score_records(Copier(tiny_config), records, "reconstruct", ImageScores("tf"), limit=4)


@pytest.mark.slow
def test_masks_of_another_radius_are_for_the_scores_alone(tiny_config, records):
    seen = []

    class Scores(ImageScores):
        def add(self, image, target, mask):
            seen[-1].append((image, mask))

        def summary(self):
            return {}

    radius = tiny_config.model.mask_radius
    for given, used in ((None, radius), (radius, radius), (2 * radius, 2 * radius)):
        seen.append([])
        sampler, scores = MeanColors(tiny_config), Scores("tf")
        summary, _ = score_records(
            sampler, records, "foreground", scores, limit=4, mask_radius=given
        )
        assert (summary["mask_radius"], summary["split"]) == (used, records.split)
    images, masks = zip(*(zip(*pairs, strict=True) for pairs in seen), strict=True)
    np.testing.assert_array_equal(images[2], images[0])
    np.testing.assert_array_equal(masks[1], masks[0])
    assert np.sum(masks[2]) > 1.2 * np.sum(masks[0])


def test_unknown_task_is_refused(tiny_config, records):
    with pytest.raises(ValueError, match="reconstruct, transfer, foreground; got 'fold'"):
        score_records(Copier(tiny_config), records, "fold", ImageScores("tf"))


def test_pictures_go_to_a_new_folder_only(tmp_path):
    (tmp_path / "a.txt").write_text("here already")
    with pytest.raises(ValueError, match="is not empty"):
        PictureFolder(tmp_path)


def _target(row=3):
    """A person whose third keypoint is missing, the others at a row."""
    keypoints = np.ones((18, 3), np.float32) * [row, 4, 1]
    keypoints[2] = 0
    image, mask = np.zeros((8, 6, 3), np.uint8), np.ones((8, 6, 1), np.float32)
    return {"image": image, "body_mask": mask, "keypoints": keypoints}


def test_a_missing_keypoint_is_minus_one_in_the_table(tmp_path):
    pictures = PictureFolder(tmp_path / "new")
    target = _target()
    pictures.add(PairNamer().name(("a.jpg", "b.jpg")), target["image"], target)
    pictures.finish()
    line = (tmp_path / "new" / "target_keypoints.csv").read_text().splitlines()[1]
    assert line.startswith("a_to_b.png: [3.0, 3.0, -1, 3.0")


def test_every_pair_is_kept_whatever_the_names_of_its_images(tmp_path):
    pairs = [("", ""), ("", ""), ("a/1.jpg", "b/1.jpg"), ("a/1.jpg", "c/1.jpg"), ("12:30.jpg", "d")]
    pictures, namer = PictureFolder(tmp_path), PairNamer()
    for row, pair in enumerate(pairs):
        pictures.add(namer.name(pair), np.zeros((8, 6, 3), np.uint8), _target(row))
    pictures.finish()
    names, keypoints = read_keypoint_csv(tmp_path / "target_keypoints.csv")
    assert names == [
        *("unnamed_to_unnamed.png", "unnamed_to_unnamed-2.png"),
        *("a_1_to_b_1.png", "a_1_to_c_1.png", "12:30_to_d.png"),
    ]
    assert keypoints[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    for folder in ("generated", "target", "masks"):
        assert {file.name for file in (tmp_path / folder).iterdir()} == set(names)


def test_found_keypoints_have_the_names_of_the_files(tiny_config, records, monkeypatch, tmp_path):
    def nameless(batch):
        names = np.array([b""] * len(batch["source"]["name"]), object)
        return {side: person | {"name": names} for side, person in batch.items()}

    class Everywhere:
        fingerprint = "one person on every picture"

        def detect(self, photos):
            return [[types.SimpleNamespace(keypoints=np.ones((18, 3)))] for _ in photos]

    _changed(monkeypatch, nameless)
    pictures, detected = PictureFolder(tmp_path), DetectedPoses(Everywhere())
    scores = ImageScores("tf")
    score_records(
        Copier(tiny_config), records, "transfer", scores, 3, pictures=pictures, detected=detected
    )
    files = {file.name for file in (tmp_path / "generated").iterdir()}
    assert len(files) == 3 and detected.found.keys() == files


def test_names_that_are_no_text_are_shown_as_far_as_they_are(tiny_config, records, monkeypatch):
    def named(batch):
        names = np.array([b"caf\xe9.jpg"] * len(batch["source"]["name"]), object)
        return batch | {"source": batch["source"] | {"name": names}}

    _changed(monkeypatch, named)
    scores, _ = score_records(
        Copier(tiny_config), records, "reconstruct", ImageScores("tf"), limit=1
    )
    assert scores["names"][0][0] == "caf\ufffd.jpg"
