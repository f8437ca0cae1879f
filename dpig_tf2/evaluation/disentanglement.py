"""Disentanglement on synthetic persons, where every re-combination has a true picture.

For each factor, the code of image A's factor is replaced by image B's, and the result is compared
with the true render of that combination. "Leak" is how much changed where nothing should have.
`movement` tells which factors' true changes are in the picture, `probes` what the codes know.
"""

import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np

from dpig_tf2 import synthetic
from dpig_tf2.config import ConfigError
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation import movement, probes
from dpig_tf2.evaluation.pair_scores import PairScores
from dpig_tf2.io.json_files import read_json
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.visual.heat_map import heat_map
from dpig_tf2.visual.sheets import beside, labeled_sheet, stacked

FACTORS = tuple(synthetic.FACTORS)
PROTOCOL = "tf"
_IMAGE_NAME = re.compile(r"\d{4}_c\d")  # person and camera


def load_factors(path: str | pathlib.Path) -> dict[str, dict]:
    """{image name: {factor: dataclass}} of a factors file beside synthetic records.

    Raises:
        DpigError: naming file and field, if it is missing, which is so for records of real persons,
            or damaged.
    """
    path = pathlib.Path(path)
    try:
        stored = read_json(path)
    except FileNotFoundError:
        raise ConfigError(
            f"{path} is missing: disentanglement needs synthetic records with their factors",
            file=path,
        ) from None
    if not isinstance(stored, dict):
        raise ConfigError(f"{path}: expected an object of image names", file=path)
    return {name: _factors_of(name, values, path) for name, values in stored.items()}


def _factors_of(name, values, path):
    try:
        if not _IMAGE_NAME.match(name):
            raise DpigError("no name of a synthetic image")
        if not isinstance(values, dict) or not values.keys() >= set(FACTORS):
            raise DpigError(f"expected the factors {', '.join(FACTORS)}")
        factors = {factor: synthetic.from_dict(values[factor]) for factor in FACTORS}
        for factor, value in factors.items():
            if not isinstance(value, synthetic.FACTORS[factor]):
                raise DpigError(f"{factor} holds a {type(value).__name__}")
        return factors
    except DpigError as error:
        raise DpigError(f"{path}: {name}: {error}", file=path, field=name) from error


class SyntheticPersons:
    """Held-out persons in pairs (A, B) of different identity and place, with their true renders.

    Args:
        names: image names of the As and Bs, each [N].
        factors: as `load_factors` gives.
        height, width: image size in pixels.
    """

    def __init__(self, names: Sequence[tuple[str, str]], factors: dict, height: int, width: int):
        self.persons = len({a.partition("_")[0] for a, _ in names})
        self.pairs = [(factors[a], factors[b]) for a, b in names]
        self.size = (height, width)
        self.images = np.stack([_render(a, self.size) for a, _ in self.pairs])
        self.keypoints = np.stack([self._keypoints(a) for a, _ in self.pairs])
        self.other_images = np.stack([_render(b, self.size) for _, b in self.pairs])
        self.other_keypoints = np.stack([self._keypoints(b) for _, b in self.pairs])

    def swapped(self, factor: str) -> np.ndarray:
        """True renders of A with B's factor, uint8 [N, H, W, 3]."""
        return np.stack([_render(a | {factor: b[factor]}, self.size) for a, b in self.pairs])

    def region(self, factor: str) -> np.ndarray:
        """Where swapping the factor may change the picture, bool [N, H, W].

        Foreground: A's silhouette or B's in A's pose. Pose: A's silhouette in either pose, and the
        shadow. Background: whatever the person does not cover fully.
        """
        regions = []
        for a, b in self.pairs:
            if factor == "background":
                coverage = synthetic.foreground_coverage(a["foreground"], a["pose"], *self.size)
                regions.append(coverage < 1)
                continue
            changed = a | {factor: b[factor]}
            masks = [
                synthetic.foreground_mask(x["foreground"], x["pose"], *self.size)
                for x in (a, changed)
            ]
            # The shadow moves with the pose outside both silhouettes.
            differs = (_render(a, self.size) != _render(changed, self.size)).any(axis=-1)
            regions.append(masks[0] | masks[1] | differs)
        return np.stack(regions)

    def _keypoints(self, factors):
        return synthetic.pose_keypoints(factors["pose"], *self.size)


def _render(factors, size):
    return synthetic.render(**factors, height=size[0], width=size[1])


def choose_pairs(factors: dict, count: int) -> list[tuple[str, str]]:
    """`count` pairs of image names, spread over the split, that differ in person and camera.

    Raises:
        ConfigError: if no two images differ in both.
    """
    names = sorted(factors)
    pairs = []
    for start in _spread(len(names), count):
        name = names[start]
        # The nearest following image of another identity (first 4 characters) and camera (7th).
        others = (names[(start + k) % len(names)] for k in range(1, len(names)))
        other = next((o for o in others if o[:4] != name[:4] and o[6] != name[6]), None)
        if other is None:
            raise ConfigError("disentanglement needs images of two persons from two cameras")
        pairs.append((name, other))
    return pairs


def _spread(total, count):
    """At most `count` of the numbers below `total`, evenly spread."""
    return np.linspace(0, total - 1, min(count, total)).astype(int)


def require_networks(sampler: PersonSampler) -> None:
    """Raises ConfigError unless the networks are there that `measure` runs."""
    if not sampler.config.model.has_background:
        raise ConfigError("disentanglement needs a model with separate foreground and background")
    for name in ("appearance_encoder", "generator"):
        sampler.model.network(name)


def measure(
    sampler: PersonSampler,
    persons: SyntheticPersons,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[dict, np.ndarray]:
    """Scores of reconstruction, of transfer and of each swapped factor, and a sheet to look at.

    Returns:
        scores: {"count", "persons", "protocol", "reconstruction": {ssim, l1}, "transfer": {ssim,
            l1}, "swap": {factor: {ssim, l1, region_l1, unswapped_region_l1, leak}}, "moved": as
            `movement.moved`}. All L1 are mean absolute differences in units of [0, 1]. `region_l1`
            compares with the true render where the factor shows; `unswapped_region_l1` is what the
            plain reconstruction would score there; `leak` is the change against the reconstruction
            outside that region.
        sheet: uint8 [H, W, 3].

    Raises:
        ConfigError: as `require_networks`.
    """
    require_networks(sampler)
    outputs = _swap_all(sampler, persons, report)
    reconstruction = outputs["reconstruction"]
    scores = {
        "count": len(persons.images),
        "persons": persons.persons,
        "protocol": PROTOCOL,
        "reconstruction": _compare(reconstruction, persons.images),
        "transfer": None,
        "swap": {},
    }
    rows = {"A": persons.images, "B": persons.other_images, "A reconstructed": reconstruction}
    changes, true_changes = {}, {}
    for factor in FACTORS:
        report(f"true renders: {factor}")
        truth, region = persons.swapped(factor), persons.region(factor)
        scores["swap"][factor] = _compare(outputs[factor], truth) | {
            "region_l1": _masked_l1(outputs[factor], truth, region),
            "unswapped_region_l1": _masked_l1(reconstruction, truth, region),
            "leak": _masked_l1(outputs[factor], reconstruction, ~region),
        }
        changes[factor] = np.subtract(outputs[factor], reconstruction, dtype=np.float32)
        true_changes[factor] = np.subtract(truth, persons.images, dtype=np.float32)
        rows |= {f"A with B's {factor}": outputs[factor], f"truth ({factor})": truth}
    swapped_pose = scores["swap"]["pose"]
    scores["transfer"] = {name: swapped_pose[name] for name in ("ssim", "l1")}
    scores["moved"] = movement.moved(changes, true_changes)
    shown = _spread(len(persons.images), 10)
    sheet = labeled_sheet(
        [list(row[shown]) for row in rows.values()],
        row_labels=list(rows),
        scale=max(1, 128 // persons.size[0]),
    )
    return scores, sheet


def probe_codes(
    sampler: PersonSampler,
    factors: dict,
    count: int = 900,
    seed: int = 0,
    report: Callable[[str], None] = lambda text: None,
) -> dict:
    """Scores of linear probes from the three codes, as `probes.probe`, on persons drawn anew.

    Without a trained pose encoder there are no probes of the pose's code, and `left_out` says so.

    Args:
        sampler: with an appearance encoder.
        factors: as `load_factors` gives; the new persons stand in these places.
        count: number of persons.
        seed: of the persons.
        report: told what is being done.
    """
    model, left_out = sampler.config.model, {}
    try:
        sampler.model.network("pose_encoder")
    except ConfigError as error:
        left_out = {"pose": str(error)}
        report(f"probes: the code of the pose is left out, {error}")
    places = [values["background"] for _, values in sorted(factors.items())]
    persons = probes.new_persons(places, count, seed)
    report(f"probes: rendering {count} new persons")
    images = np.stack(
        [synthetic.render(**p, height=model.height, width=model.width) for p in persons]
    )
    keypoints = np.stack(
        [synthetic.pose_keypoints(p["pose"], model.height, model.width) for p in persons]
    )
    codes = sampler.person_codes(images, keypoints)
    if left_out:
        codes = codes.only(["foreground", "background"])
    else:
        codes = sampler.encode_poses(codes)
    return probes.probe(codes.as_arrays(), persons) | {"left_out": left_out}


def with_tables(sheet: np.ndarray, scores: dict) -> np.ndarray:
    """The pictures of `measure` with tables: what moved, and what probes read, if there are any."""
    moved = scores["moved"]["table"]
    below = [_table(moved, FACTORS, "What moved (columns) when one factor was swapped (rows)")]
    if "probes" not in scores:
        return stacked([sheet, *below])
    probed = scores["probes"]
    codes = tuple(probed["mean_r2"]["foreground"])
    below += [
        _table(probed["mean_r2"], codes, "R^2 of linear probes from each code, mean per factor"),
    ]
    right = [
        _table(_joined(probed["r2"]), codes, "R^2 of linear probes from each code"),
        _table(_joined(probed["accuracy"]), (*codes, "chance"), "Share right, from each code"),
    ]
    left = stacked([sheet, beside(below)])
    return beside([left, stacked(right)])


def _table(scores, columns, title):
    rows = {label: [values[column] for column in columns] for label, values in scores.items()}
    return heat_map(rows, columns, title)


def _joined(scores):
    """{"factor: property": values} of {factor: {property: values}}."""
    return {
        f"{factor}: {name}": values
        for factor, properties in scores.items()
        for name, values in properties.items()
    }


def _swap_all(sampler, persons, report):
    """{"reconstruction" or factor: uint8 [N, H, W, 3]}."""
    report("encoding")
    own = sampler.person_codes(persons.images, persons.keypoints)
    other = sampler.person_codes(persons.other_images, persons.other_keypoints)
    swapped = {
        "reconstruction": own,
        "foreground": own.replace(foreground=other.foreground),
        "background": own.replace(background=other.background),
        "pose": own.replace(keypoints=other.keypoints),
    }
    report("generating")
    return {name: sampler.draw(codes).images for name, codes in swapped.items()}


def _compare(generated, target):
    scores = PairScores(PROTOCOL)
    for pair in zip(generated, target, strict=True):
        scores.add(*pair)
    metrics = scores.summary()["metrics"]
    return {name: metrics[name]["mean"] for name in ("ssim", "l1")}


def _masked_l1(images, others, region):
    """Mean absolute difference over the pixels of a region [N, H, W], in units of [0, 1]."""
    difference = np.abs(images.astype(np.float64) - others) / 255
    return float(difference[region].mean()) if region.any() else None
