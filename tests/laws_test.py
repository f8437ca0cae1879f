"""Laws that hold for every input; hypothesis looks for one that breaks them."""

import dataclasses
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dpig_tf2 import config
from dpig_tf2.ops import keypoints as ops
from dpig_tf2.pipeline.shares import replica_shares
from dpig_tf2.records import writer
from dpig_tf2.records.decoder import Decoder

settings.register_profile("laws", max_examples=25, deadline=None, derandomize=True)
settings.load_profile("laws")

HEIGHT, WIDTH = 64, 32
sizes = st.integers(16, 512)
# Eighths of pixels, which float32 holds exactly: what should be equal then is equal bit for bit.
eighths = st.integers(0, 8 * 512)


@st.composite
def poses(draw, height, width):
    """float32 [18, 3]; missing keypoints are (0, 0, 0)."""
    pose = np.zeros((18, 3), np.float32)
    for keypoint in pose:
        if draw(st.booleans()):
            keypoint[0] = draw(eighths) / 8 % height
            keypoint[1] = draw(eighths) / 8 % width
            # Not between the last pixel's center and the border, where nothing is seen.
            keypoint[:] = min(keypoint[0], height - 1), min(keypoint[1], width - 1), 1
    return pose


sized_poses = st.tuples(sizes, sizes).flatmap(lambda size: st.tuples(st.just(size), poses(*size)))


# ---- keypoints


@given(sized_poses)
def test_flipped_twice_is_unchanged(sized):
    (_, width), pose = sized
    flipped = ops.flip_horizontal(pose, width)
    np.testing.assert_array_equal(ops.flip_horizontal(flipped, width), pose)
    for k, (row, column, visible) in enumerate(pose):
        name = ops.KEYPOINT_NAMES[k]
        other = name.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
        mirrored = [row, width - 1 - column, 1] if visible else [0, 0, 0]
        np.testing.assert_array_equal(flipped[ops.KEYPOINT_NAMES.index(other)], mirrored)


@given(sized_poses)
def test_normalized_and_back_is_unchanged(sized):
    (height, width), pose = sized
    normalized = ops.normalize(pose, height, width)
    assert np.abs(normalized).max() <= 1
    back = ops.denormalize(normalized, height, width)
    # Three roundings of numbers up to the image size.
    np.testing.assert_allclose(back, pose, rtol=0, atol=3 * 2.0**-24 * max(height, width))


# ---- configuration

overrides = st.fixed_dictionaries(
    {},
    optional={
        "model.hidden": st.integers(1, 256),  # fits in small machines
        "model.region_embedding": st.integers(1, 64),
        "model.noise_scale": st.floats(1e-3, 1e3),
        "model.pose_learns_missing": st.booleans(),
        "reconstruction.objective": st.sampled_from(config.OBJECTIVES),
        "reconstruction.pairing": st.sampled_from(config.PAIRINGS),
        "reconstruction.batch_size": st.integers(1, 2**31 - 1),
        "pose.learning_rate": st.floats(1e-12, 1e3),
        "pose.code_noise": st.floats(0, 10),
        "appearance_mapping.critic_updates": st.integers(1, 100),
        "pose_mapping.objective": st.sampled_from(("wgan", "wgan-gp")),
        "match_release": st.booleans(),
        "seed": st.integers(0, 2_000_000),
    },
)
_OF_ADVERSARIES = ("objective", "pairing", "critic_updates", "match_release")


def _settled(name, fields):
    preset = config.preset(name)
    if not preset.has_adversary("reconstruction"):
        fields = {f: v for f, v in fields.items() if not f.endswith(_OF_ADVERSARIES)}
    return preset.override(**fields)


configs = st.builds(_settled, st.sampled_from(sorted(config.PRESETS)), overrides)


@given(configs)
def test_a_configuration_survives_json(settled):
    assert config.Config.from_json(settled.to_json()) == settled


@given(configs, st.sampled_from(("", "model", *config.STAGES)), st.text(min_size=1))
def test_an_unknown_field_is_refused_by_name(settled, part, name):
    values = dataclasses.asdict(settled)
    fields = values[part] if part else values
    if name in fields:
        return
    fields[name] = 1
    with pytest.raises(config.ConfigError) as error:
        config.Config.from_json(json.dumps(values))
    assert name in str(error.value)


# ---- records

people = st.builds(
    lambda name, pose, seed, **fields: writer.Person(
        name=name, encoded=png(seed), keypoints=pose, **fields
    ),
    st.text(st.characters(blacklist_categories=["Cs"])),
    poses(HEIGHT, WIDTH),
    st.integers(0, 2**32),
    identity=st.integers(-1, 6) | st.integers(0, 2**62),
    camera=st.integers(-1, 6),
    attributes=st.none() | st.lists(st.integers(0, 9), min_size=27, max_size=27).map(np.array),
)


def png(seed):
    file = io.BytesIO()
    Image.fromarray(pixels(seed)).save(file, "PNG")
    return file.getvalue()


def pixels(seed):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@given(people, people, st.sampled_from((7, 37)))
def test_what_is_written_is_read(source, target, parts):
    encoder = writer.PairEncoder(
        writer.Format("market1501", HEIGHT, WIDTH, parts, image_format="png")
    )
    serialized = [example for example, _ in encoder.encode([writer.Pair(source, target)])]
    decoded = Decoder(HEIGHT, WIDTH, extras=("attributes",))(tf.constant(serialized))
    for person, side in ((source, "source"), (target, "target")):
        found = {name: np.array(value[0]) for name, value in decoded[side].items()}
        expected = Image.open(io.BytesIO(person.encoded))
        np.testing.assert_array_equal(found["image"], expected)
        np.testing.assert_array_equal(found["keypoints"], person.keypoints)
        assert bytes(found["name"].item()).decode() == person.name
        assert (found["identity"], found["camera"]) == (person.identity, person.camera)
        absent = np.full(27, -1)
        expected = absent if person.attributes is None else person.attributes
        np.testing.assert_array_equal(found["attributes"], expected)


# ---- several workers


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_workers_share_every_update_without_overlap(workers, per_worker, updates, rows):
    """All replicas together take every row once, and each update's rows in equal parts."""
    replicas = workers * per_worker
    batch = updates * replicas * rows
    shares = np.concatenate(
        [
            replica_shares(batch, updates, tf.distribute.InputContext(workers, worker, replicas))
            for worker in range(workers)
        ]
    )
    assert shares.shape == (replicas, updates * rows)
    np.testing.assert_array_equal(np.sort(shares, axis=None), np.arange(batch))
    of_update = shares.reshape(replicas, updates, rows) // (replicas * rows)
    np.testing.assert_array_equal(
        of_update, np.broadcast_to(np.arange(updates)[:, None], of_update.shape)
    )
