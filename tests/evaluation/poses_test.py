import numpy as np
import pytest

from dpig_tf2.evaluation import poses as evaluation

RNG = np.random.default_rng(0)


def standing(count, scale=1.0):
    """Poses around one standing figure, with some missing keypoints."""
    base = np.stack([np.linspace(4, 44, 18), 12 + 6 * np.sin(np.arange(18))], axis=-1)
    noise = RNG.normal(0, 1.0, (count, 18, 2))
    seen = RNG.uniform(size=(count, 18, 1)) < 0.9
    poses = np.concatenate([base * scale + noise, np.ones((count, 18, 1))], axis=-1) * seen
    return poses.astype(np.float32)


class Sampler:
    """Reconstructs exactly, and "samples" a given set of poses."""

    def __init__(self, config, samples, mapped=True):
        self.config = config
        self.samples = samples
        networks = {"pose_mapping": None} if mapped else {}
        self.model = type("Model", (), {"networks": networks})

    def encode_pose(self, keypoints):
        return keypoints

    def decode_pose(self, code):
        return self.samples if code is None else code

    def draw_noise(self, count, factor, seed):
        return None

    def map_noise(self, noise, factor):
        return None


@pytest.fixture(scope="module")
def real():
    """Poses trained on and held out."""
    return standing(2000), standing(600)


def scores_of(config, real, samples):
    scores, _ = evaluation.score_poses(Sampler(config, samples), *real)
    return scores


def test_real_poses_score_as_real(tiny_config, real):
    scores = scores_of(tiny_config, real, standing(2000))
    assert scores["held_out"] == 600
    assert scores["reconstruction"]["pixel_error"] == 0.0
    assert scores["reconstruction"]["visibility_accuracy"] == 1.0
    sampling = scores["sampling"]
    assert scores["reconstruction"]["impossible"] == sampling["impossible_real"]
    assert sampling["ratio"] < 1.5
    assert sampling["impossible"] < 0.1
    assert abs(sampling["visible_keypoints"] - sampling["visible_keypoints_real"]) < 0.5


def test_wrong_poses_are_told_from_real_ones(tiny_config, real):
    sampling = scores_of(tiny_config, real, standing(2000, scale=1.6))["sampling"]
    assert sampling["ratio"] > 20
    assert sampling["impossible"] > 0.9


def test_equal_poses_have_no_ratio(tiny_config, real):
    training, held_out = real
    equal = held_out[:1].repeat(4, axis=0)
    sampling = scores_of(tiny_config, (training, equal), standing(2000))["sampling"]
    assert sampling["frechet_real_halves"] == 0 and sampling["ratio"] is None


def test_coordinates_of_missing_keypoints_do_not_count(tiny_config, real):
    samples = standing(2000)
    elsewhere = np.where(samples[..., 2:] > 0, samples, np.float32([30.0, 20.0, 0.0]))
    assert scores_of(tiny_config, real, elsewhere) == scores_of(tiny_config, real, samples)


def test_one_long_limb_makes_a_pose_impossible(tiny_config, real):
    samples = real[1].copy()
    visible = (samples[:, 4, 2] > 0) & (samples[:, 3, 2] > 0)
    samples[visible, 4, 0] += 40  # a wrist far from its elbow
    sampling = scores_of(tiny_config, real, samples)["sampling"]
    assert sampling["impossible"] >= visible.mean()
    samples[:, 4] = 0  # the same wrist, hidden
    assert scores_of(tiny_config, real, samples)["sampling"]["impossible"] < 0.1


def test_without_a_mapping_only_the_reconstruction_is_scored(tiny_config, real):
    sampler = Sampler(tiny_config, None, mapped=False)
    scores, sheet = evaluation.score_poses(sampler, *real)
    assert "sampling" not in scores
    assert sheet.dtype == np.uint8
    _, taller = evaluation.score_poses(Sampler(tiny_config, standing(2000)), *real)
    assert len(taller) > len(sheet), "rows of sampled poses below the real ones"
