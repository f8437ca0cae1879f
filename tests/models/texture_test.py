import numpy as np
import pytest

from dpig_tf2.models import texture
from dpig_tf2.ops import anchors
from dpig_tf2.ops.body_parts import REGION_NAMES
from dpig_tf2.ops.keypoints import KEYPOINT_NAMES

_TORSO = REGION_NAMES.index("upper_body")
_ROWS, _COLUMNS = 9, 5  # of the torso's texels


@pytest.fixture
def body(standing):
    return anchors.BodyMaps(standing, 128, 64, with_texels=True)


def _striped(period):
    """A picture of horizontal stripes, red and blue, float32 [1, 128, 64, 3] in [-1, 1]."""
    red = (np.arange(128) // (period // 2) % 2)[None, :, None] * np.ones((1, 1, 64))
    return np.stack([2 * red - 1, 0 * red, 1 - 2 * red], axis=-1).astype(np.float32)


def _torso(texels):
    first = 0
    for region, count in anchors.TEXELS_OF_REGION.items():
        if region == _TORSO:
            return np.reshape(texels[:, first : first + count], [_ROWS, _COLUMNS, -1])
        first += count


def test_stripes_are_read_and_drawn_again(standing, body):
    stripes, mask = _striped(16), np.ones((1, 128, 64, 1), np.float32)
    colors, seen = texture.read(stripes, mask, body)
    np.testing.assert_allclose(seen, 1, atol=1e-3)
    places, _ = anchors.texels(standing)
    red = _torso(colors)[..., 0]
    expected = _torso(stripes[0, np.round(places[0, :, 0]).astype(int), 30][None])[..., 0]
    inside = np.abs(red) > 0.4  # not at the edge of a stripe
    assert inside.mean() > 0.4
    assert (np.sign(red) == np.sign(expected))[inside].all()
    drawn = texture.draw(colors, body, (64, 32)).numpy()
    assert drawn.shape == (1, 64, 32, texture.CHANNELS)
    torso = list(anchors.TEXELS_OF_REGION).index(_TORSO)
    column = drawn[0, 17:28, 15, 4 * torso]  # along the middle of the torso
    halved = stripes[0, ::2, 30, 0][17:28]
    assert np.corrcoef(column, halved)[0, 1] > 0.8


def test_colors_are_means_under_the_maps_of_the_texels(body):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 128, 64, 3)).astype(np.float32)
    mask = rng.integers(0, 2, (1, 128, 64, 1)).astype(np.float32)
    colors, seen = texture.read(image, mask, body)
    maps = body.of_texels((64, 32)).numpy()
    sums = [
        np.einsum("bhwt,bhwc->btc", maps, x.reshape(1, 64, 2, 32, 2, -1).mean(axis=(2, 4)))
        for x in (image * mask, mask)
    ]
    np.testing.assert_allclose(colors, sums[0] / (sums[1] + 1e-2), atol=1e-5)
    total = maps.sum(axis=(1, 2))[..., None]
    np.testing.assert_allclose(seen, sums[1] / (total + 1e-3), atol=1e-5)


def test_every_region_is_drawn_in_channels_of_its_own(standing):
    hidden = standing.copy()
    hidden[:, KEYPOINT_NAMES.index("left_wrist")] = 0
    body = anchors.BodyMaps(hidden, 128, 64, with_texels=True)
    maps = body.of_texels((64, 32)).numpy()
    colors = np.random.default_rng(0).normal(size=(1, anchors.NUM_TEXELS, 3)).astype(np.float32)
    expected, first = [], 0
    for count in anchors.TEXELS_OF_REGION.values():
        own = slice(first, first + count)
        cover = maps[..., own].sum(axis=-1, keepdims=True)
        expected += [maps[..., own] @ colors[:, None, own] / (cover + 0.1), cover / (cover + 0.3)]
        first += count
    drawn = texture.draw(colors, body, (64, 32))
    np.testing.assert_allclose(drawn, np.concatenate(expected, axis=-1), atol=1e-5)


def test_what_the_mask_leaves_out_is_not_seen(body):
    image, mask = np.ones((1, 128, 64, 3), np.float32), np.ones((1, 128, 64, 1), np.float32)
    mask[:, 48:] = 0
    image[:, 48:] = -1
    colors, seen = (_torso(found.numpy()) for found in texture.read(image, mask, body))
    assert seen[0].min() > 0.95 and seen[-1].max() < 0.05
    partly = (seen[..., 0] > 0.3) & (seen[..., 0] < 0.9)
    assert partly.any()
    np.testing.assert_allclose(colors[partly], 1, atol=0.1)  # nothing of what is not the person


def test_texels_of_a_hidden_limb_are_not_seen(standing):
    standing[:, KEYPOINT_NAMES.index("left_elbow")] = 0
    body = anchors.BodyMaps(standing, 128, 64, with_texels=True)
    image, mask = np.ones((1, 128, 64, 3), np.float32), np.ones((1, 128, 64, 1), np.float32)
    _, seen = texture.read(image, mask, body)
    arms = [REGION_NAMES.index(f"{side}_arm") for side in ("left", "right")]
    firsts = np.cumsum(list(anchors.TEXELS_OF_REGION.values()))[:-1]
    of_region = dict(zip(anchors.TEXELS_OF_REGION, np.split(seen[0], firsts), strict=True))
    assert not of_region[arms[0]].any()
    assert of_region[arms[1]].min() > 0.9


def test_codes_of_one_region_color_its_texels_only():
    decoder = texture.TextureDecoder(4)
    codes = np.random.default_rng(0).normal(size=(2, 28)).astype(np.float32)
    before = decoder(codes).numpy()
    codes[:, 4 * _TORSO : 4 * _TORSO + 4] += 1
    changed = np.abs(decoder(codes).numpy() - before).max(axis=(0, 2)) > 1e-6
    assert before.shape == (2, anchors.NUM_TEXELS, 3)
    assert _torso(changed[None]).all()
    assert changed.sum() == _ROWS * _COLUMNS


def test_colors_change_the_codes_of_their_region_only():
    encoder = texture.TextureEncoder(4)
    colors = np.random.default_rng(0).normal(size=(2, anchors.NUM_TEXELS, 3)).astype(np.float32)
    seen = np.ones((2, anchors.NUM_TEXELS, 1), np.float32)
    before = {region: code.numpy() for region, code in encoder(colors, seen).items()}
    assert list(before) == list(anchors.TEXELS_OF_REGION)
    assert before[_TORSO].shape == (2, 4)
    colors[0, :_COLUMNS] += 1  # the torso's first row, of the first person
    after = encoder(colors, seen)
    changed = [region for region in before if np.abs(after[region] - before[region]).max() > 1e-6]
    assert changed == [_TORSO]
    hidden = encoder(colors, 0 * seen)[_TORSO].numpy()
    np.testing.assert_allclose(hidden[0], hidden[1], atol=1e-6)  # of colors that nobody saw
