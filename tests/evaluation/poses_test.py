import numpy as np

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


def test_real_poses_score_as_real(tiny_config):
    training, held_out = standing(2000), standing(600)
    scores = evaluation.score_poses(Sampler(tiny_config, standing(2000)), training, held_out)
    assert scores["held_out"] == 600
    assert scores["reconstruction"]["pixel_error"] == 0.0
    assert scores["reconstruction"]["visibility_accuracy"] == 1.0
    sampling = scores["sampling"]
    assert sampling["ratio"] < 1.5
    assert sampling["impossible"] < 0.1


def test_wrong_poses_are_told_from_real_ones(tiny_config):
    training, held_out = standing(2000), standing(600)
    wrong = Sampler(tiny_config, standing(2000, scale=1.6))
    sampling = evaluation.score_poses(wrong, training, held_out)["sampling"]
    assert sampling["ratio"] > 20
    assert sampling["impossible"] > 0.9


def test_without_a_mapping_only_the_reconstruction_is_scored(tiny_config):
    sampler = Sampler(tiny_config, None, mapped=False)
    assert "sampling" not in evaluation.score_poses(sampler, standing(50), standing(50))
