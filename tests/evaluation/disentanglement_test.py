"""Scores of swapped factors, with a sampler that is perfect, blind or leaky by construction."""

import json
import types

import numpy as np
import pytest

from dpig_tf2 import synthetic
from dpig_tf2.config import ConfigError
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation import disentanglement
from dpig_tf2.models import factory
from dpig_tf2.preparation import synthetic_records
from dpig_tf2.sampling.person_codes import PersonCodes, Samples
from dpig_tf2.sampling.sampler import PersonSampler

HEIGHT, WIDTH = 64, 32


@pytest.fixture(scope="module")
def factors(synthetic_data):
    return disentanglement.load_factors(synthetic_records.factors_path(synthetic_data, "test"))


@pytest.fixture(scope="module")
def persons(factors):
    pairs = disentanglement.choose_pairs(factors, 6)
    return disentanglement.SyntheticPersons(pairs, factors, HEIGHT, WIDTH)


class Oracle:
    """Looks persons up by their picture and draws what it is told, optionally with a flaw."""

    def __init__(self, config, persons, flaw=None):
        self.config = config
        self.model = types.SimpleNamespace(network=lambda name: None)
        self.flaw = flaw
        sides = [side for pair in persons.pairs for side in pair]
        self.table = sides
        pictures = [synthetic.render(**s, height=HEIGHT, width=WIDTH) for s in sides]
        self.rows = {picture.tobytes(): row for row, picture in enumerate(pictures)}
        self.poses = {
            synthetic.pose_keypoints(s["pose"], HEIGHT, WIDTH).tobytes(): s["pose"] for s in sides
        }

    def person_codes(self, images, keypoints):
        """A person's row in the table stands for both codes."""
        rows = np.array([[self.rows[image.tobytes()]] for image in images])
        return PersonCodes(foreground=rows, background=rows, keypoints=keypoints)

    def draw(self, codes):
        pictures = []
        rows = zip(codes.foreground, codes.background, codes.keypoints, strict=True)
        for (foreground,), (background,), pose in rows:
            foreground, background = int(foreground), int(background)
            if self.flaw == "blind to foreground":
                foreground = background
            if self.flaw == "background leaks":
                background = foreground
            pictures.append(
                synthetic.render(
                    self.table[foreground]["foreground"],
                    self.table[background]["background"],
                    self.poses[np.asarray(pose, np.float32).tobytes()],
                    HEIGHT,
                    WIDTH,
                )
            )
        images = np.stack(pictures)
        if self.flaw == "too dark":
            images //= 2
        return Samples(images, appearance=None, keypoints=codes.keypoints)


def test_a_perfect_model_scores_perfectly(tiny_config, persons):
    scores, sheet = disentanglement.measure(Oracle(tiny_config, persons), persons)
    assert scores["count"] == 6
    for part in (scores["reconstruction"], scores["transfer"], *scores["swap"].values()):
        assert part["l1"] == 0.0 and part["ssim"] == pytest.approx(1.0)
    for factor, part in scores["swap"].items():
        assert part["leak"] == 0.0 and part["region_l1"] == 0.0, factor
        assert part["unswapped_region_l1"] > 0.03, "the factor is visible in its region"
    assert scores["persons"] == 3
    for factor, row in scores["moved"]["table"].items():
        unit = {other: float(other == factor) for other in disentanglement.FACTORS}
        assert row == pytest.approx(unit, abs=1e-4)
        assert scores["moved"]["explained"][factor] == pytest.approx(1.0, abs=1e-4)
    assert sheet.ndim == 3


def test_a_model_that_ignores_a_factor_gains_nothing_by_the_swap(tiny_config, persons):
    oracle = Oracle(tiny_config, persons, "blind to foreground")
    scores = disentanglement.measure(oracle, persons)[0]
    part = scores["swap"]["foreground"]
    assert part["region_l1"] == pytest.approx(part["unswapped_region_l1"])
    assert scores["moved"]["table"]["foreground"]["foreground"] == pytest.approx(0.0, abs=1e-6)
    assert scores["moved"]["table"]["background"]["foreground"] > 0.8, "it took the place's person"


def test_a_leak_is_seen_outside_the_region(tiny_config, persons):
    oracle = Oracle(tiny_config, persons, "background leaks")
    scores = disentanglement.measure(oracle, persons)[0]
    assert scores["swap"]["foreground"]["leak"] > 0.03
    assert scores["swap"]["pose"]["leak"] == 0.0
    row = scores["moved"]["table"]["foreground"]
    assert row["foreground"] > 0.8 and row["background"] > 0.8 and abs(row["pose"]) < 0.2


def test_changes_are_those_of_the_reconstruction(tiny_config, persons):
    """A model that draws everything half as bright changes nothing but what it is told to."""
    scores = disentanglement.measure(Oracle(tiny_config, persons, "too dark"), persons)[0]
    for factor, part in scores["swap"].items():
        assert part["leak"] == 0.0 and part["region_l1"] > 0.1
        truth, region = persons.swapped(factor), persons.region(factor)
        unswapped = np.abs(persons.images // 2 - truth.astype(float))[region].mean() / 255
        assert part["unswapped_region_l1"] == pytest.approx(unswapped)
        row = scores["moved"]["table"][factor]
        unit = {other: 0.5 * (other == factor) for other in disentanglement.FACTORS}
        assert row == pytest.approx(unit, abs=0.01)
    posed = persons.swapped("pose")
    for name, truth in (("reconstruction", persons.images), ("transfer", posed)):
        expected = np.abs(truth // 2 - truth.astype(float)).mean() / 255
        assert scores[name]["l1"] == pytest.approx(expected), name


def test_only_the_needed_stages_are_needed(tiny_config, factors, persons):
    networks = factory.build_networks(["appearance_encoder", "generator"], tiny_config.model)
    sampler = PersonSampler(tiny_config, networks)
    told = []
    probed = disentanglement.probe_codes(sampler, factors, count=60, report=told.append)
    assert set(probed["mean_r2"]["pose"]) == {"foreground", "background"}
    assert "no trained pose_encoder" in probed["left_out"]["pose"] and "pose_encoder" in told[0]
    scores, sheet = disentanglement.measure(sampler, persons)
    shown = disentanglement.with_tables(sheet, scores | {"probes": probed})
    assert shown.shape[0] > sheet.shape[0]
    plain = disentanglement.with_tables(sheet, scores)
    assert plain.shape[0] > sheet.shape[0] and plain.shape[1] < shown.shape[1]
    without = PersonSampler(tiny_config, {"generator": networks["generator"]})
    with pytest.raises(ConfigError, match="no trained appearance_encoder") as raised:
        disentanglement.require_networks(without)
    assert raised.value.field == "appearance_encoder"


def test_pairs_differ_in_person_and_camera(factors):
    pairs = disentanglement.choose_pairs(factors, 6)
    assert len(pairs) == 6
    assert all(a[:4] != b[:4] and a[6] != b[6] for a, b in pairs)


def test_one_person_alone_makes_no_pair(factors):
    first = sorted(factors)[0][:4]
    alone = {name: value for name, value in factors.items() if name[:4] == first}
    with pytest.raises(ConfigError, match="two persons"):
        disentanglement.choose_pairs(alone, 4)


def test_records_without_factors_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="synthetic_factors_test.json is missing"):
        disentanglement.load_factors(synthetic_records.factors_path(tmp_path, "test"))


@pytest.mark.parametrize(
    "keys, value, message",
    [
        ([], [1], "expected an object"),
        (["odd"], {}, "odd: no name of a synthetic image"),
        (["0001_c1"], 3, "0001_c1: expected the factors"),
        (["pose"], {"factor": []}, "'factor' must be one of"),
        (["pose"], "foreground", "pose holds a Foreground"),
        (["pose", "yaw"], 1e300, "pose.yaw: expected at most 100"),
        (["pose", "yaw"], float("nan"), "pose.yaw: expected at most 100"),
        (["pose", "yaw"], 10**250, "pose.yaw: expected at most 100"),
        (["background", "period"], 1e-9, "period must be at least"),
        (["background", "horizon"], -1.0, "horizon must be between 0 and 1, got -1.0"),
        (
            ["background", "objects"],
            [{"kind": "pole", "column": 0.0, "size": 0.0, "color": [0, 0, 0]}],
            "size must be above 0, got 0.0",
        ),
        (["background", "grain"], -1, "background.grain: expected at least 0"),
        (["foreground", "skin"], ["a", 2, 3], "foreground.skin: expected int"),
    ],
)
def test_odd_factors_are_named(synthetic_data, tmp_path, keys, value, message):
    stored = json.loads(synthetic_records.factors_path(synthetic_data, "test").read_text())
    name = next(iter(stored))
    if not keys:
        stored = value
    elif keys[0] in disentanglement.FACTORS:
        holder = stored[name]
        for key in keys[:-1]:
            holder = holder[key]
        holder[keys[-1]] = stored[name][value] if value in disentanglement.FACTORS else value
    else:
        stored[keys[0]] = value
    path = tmp_path / "factors.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(DpigError, match=message) as raised:
        disentanglement.load_factors(path)
    assert raised.value.file == str(path) and str(path) in str(raised.value)
