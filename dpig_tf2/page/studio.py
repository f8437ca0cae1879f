"""What the page does: every tab is one function from choices to a result."""

import dataclasses
import os
import shlex
from collections.abc import Callable, Sequence

import numpy as np

from dpig_tf2 import synthetic
from dpig_tf2.detection.keypoint_csv import keypoint_csv
from dpig_tf2.errors import DpigError
from dpig_tf2.evaluation import movement
from dpig_tf2.ops.body_parts import GARMENTS, REGION_NAMES
from dpig_tf2.page.cast import DECIMALS, Member
from dpig_tf2.page.results import Picture, Result, person_files
from dpig_tf2.presets import registry
from dpig_tf2.sampling import interpolation, mixing
from dpig_tf2.sampling.person_codes import PersonCodes, concatenate
from dpig_tf2.sampling.sampler import PersonSampler

# How the page calls the factors.
FACTOR_NAMES = {
    "foreground": "Looks",
    "appearance": "Looks",
    "background": "Background",
    "pose": "Pose",
}
MAX_COUNT = 16
MAX_STEPS = 25
LARGEST_SEED = 2**31 - 1
PARTS = (*GARMENTS, *REGION_NAMES)
_FRAMES_AT_ONCE = 4


class Studio:
    """Trained networks at work for the page.

    Args:
        sampler: with all networks that sampling needs.
        run_dir, checkpoint: what commands name; a relative folder as an absolute one, for they are
            run elsewhere.

    Attributes:
        fingerprint: of the networks, as `PersonSampler.fingerprint`.
    """

    def __init__(self, sampler: PersonSampler, run_dir: str, checkpoint: str = "latest"):
        self.sampler, self.model = sampler, sampler.config.model
        is_folder = registry.name_of(run_dir) is None
        self._networks = {"run_dir": os.path.abspath(run_dir) if is_folder else run_dir}
        if checkpoint != "latest":
            self._networks["checkpoint"] = checkpoint
        # Once: it reads all weights, which takes longer than drawing a picture.
        self.fingerprint = sampler.fingerprint()

    # ---- re-pose

    def repose(self, person: Member, pose: np.ndarray) -> Result:
        """The person in another pose, float32 [18, 3] in pixels."""
        codes = self._codes(person).replace(keypoints=pose[None])
        image = self.sampler.draw(codes).images[0]
        return Result(
            "transfer",
            [Picture(f"{person.label} in the chosen pose", image)],
            codes,
            self._command(
                "transfer",
                image="person.png",
                keypoints="keypoints.csv",
                target_keypoints="target.csv",
            ),
            {
                **person_files({"person": person}),
                "target.csv": keypoint_csv({"target.png": pose}, DECIMALS).encode(),
            },
            self._pasted(person, image),
        )

    def sampled_pose(self, seed: int) -> np.ndarray:
        """A pose from noise, float32 [18, 3] in pixels."""
        codes = self.sampler.seed_codes(1, seed, ["pose"])
        [pose] = self.sampler.decode_pose(codes.code("pose"))
        return np.where(pose[:, 2:] > 0.5, pose, 0).astype(np.float32)

    # ---- new persons

    def new_persons(
        self,
        factors: Sequence[str],
        count: int,
        seed: int,
        person: Member | None = None,
        truncation: float = 1.0,
    ) -> Result:
        """Persons of whom the named factors are sampled and the others are those of a person.

        Args:
            factors: sampled, at least one.
            count: how many, at most `MAX_COUNT`.
            seed: the same seed gives the same persons.
            person: who gives the other factors; not needed if there are none.
            truncation: as in `PersonSampler.seed_codes`.
        """
        factors = self.model.known_factors(factors)
        if not factors:
            raise DpigError("Choose at least one factor to be new.", field="factors")
        count = _within("number of persons", count, 1, MAX_COUNT)
        seed = _within("seed", seed, 0, LARGEST_SEED)
        held = [factor for factor in self.model.factors if factor not in factors]
        codes = self.sampler.seed_codes(count, seed, factors, truncation)
        if held:
            if person is None:
                raise DpigError("Choose the person who gives the other factors.", field="person")
            kept = self._codes(person).only(held).repeat(count)
            codes = codes.replace(**kept.as_arrays())
        result = self._drawn(
            "sample", codes, [f"New person {number}" for number in range(1, count + 1)]
        )
        flags: dict[str, float] = {"count": count, "seed": seed}
        if truncation != 1:
            flags["truncation"] = truncation
        if held and person is not None:
            return dataclasses.replace(
                result,
                command=self._command(
                    "sample",
                    factors=",".join(factors),
                    **flags,
                    image="person.png",
                    keypoints="keypoints.csv",
                ),
                files=person_files({"person": person}),
            )
        command = self._command("sample", factors="all", **flags)
        return dataclasses.replace(result, command=command)

    # ---- mix

    def mix(
        self,
        base: Member,
        donors: Sequence[tuple[Member, Sequence[str]]],
        background: Member | None = None,
    ) -> Result:
        """The person with garments and regions of others, and perhaps another background.

        Args:
            base: the person.
            donors: up to three persons, each with what is taken from them, of `PARTS`.
            background: whose background is taken.
        """
        givers: dict[str, Member] = {}
        for donor, parts in donors:
            for region in mixing.expand_regions(parts):
                if region in givers:
                    raise DpigError(
                        f"The {_words(region)} would come from two persons: take it from one.",
                        field=region,
                    )
                givers[region] = donor
        if not givers and background is None:
            raise DpigError("Choose what is taken from another person.", field="donors")
        own = self._codes(base)
        body = mixing.body_factor(own)
        taken, notes = {}, []
        for region, donor in givers.items():
            codes = self._codes(donor)
            if mixing.has_regions(codes.code(body), [region])[0]:
                taken[region] = codes
            else:
                notes.append(f"The {_words(region)} of {donor.label} cannot be seen: it is kept.")
        place = None if background is None else self._codes(background)
        result = self._drawn(
            "mix", mixing.mix_codes(own, taken, place), [f"{base.label} with parts of others"]
        )
        pasted = self._pasted(base, result.pictures[0].image)
        return dataclasses.replace(result, pasted=pasted, notes=notes)

    # ---- interpolate

    def interpolate(
        self,
        start: Member | int,
        end: Member | int,
        factors: Sequence[str],
        steps: int = 9,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Result:
        """The way from one person or seed to another.

        Args:
            start, end: persons, or seeds of sampled ones.
            factors: those that change, at least one.
            steps: frames, both ends included.
            progress: called with the frames that are drawn, and all.
        """
        factors = self.model.known_factors(factors)
        if not factors:
            raise DpigError("Choose at least one factor that changes.", field="factors")
        steps = _within("number of frames", steps, 2, MAX_STEPS)
        if isinstance(start, Member) and isinstance(end, Member):
            codes = interpolation.codes_between(
                self.sampler, self._codes(start), self._codes(end), steps, factors
            )
            command = self._command(
                "interpolate",
                images="persons",  # not the pictures, which lie beside this folder
                keypoints="keypoints.csv",
                between="person,other",
                factors=",".join(factors),
                steps=steps,
            )
            files = person_files({"person": start, "other": end}, "persons/")
        else:
            seeds = [_within("seed", seed, 0, LARGEST_SEED) for seed in (start, end)]
            first, last = (
                {f: self.sampler.draw_noise(1, f, seed) for f in factors} for seed in seeds
            )
            held = self.sampler.seed_codes(1, seeds[0])
            codes = interpolation.codes_between_noise(self.sampler, first, last, held, steps)
            command = self._command(
                "interpolate",
                seeds=",".join(map(str, seeds)),
                factors=",".join(factors),
                steps=steps,
            )
            files = {}
        images = []
        progress(0, steps)
        for first in range(0, steps, _FRAMES_AT_ONCE):
            rows = list(range(first, min(first + _FRAMES_AT_ONCE, steps)))
            images.append(self.sampler.draw(codes.take(rows)))
            progress(rows[-1] + 1, steps)
        keypoints = np.concatenate([samples.keypoints for samples in images])
        pictures = [
            Picture(f"Frame {number} of {steps}", image)
            for number, image in enumerate(np.concatenate([s.images for s in images]), 1)
        ]
        codes = codes.replace(keypoints=keypoints)
        return Result("interpolate", pictures, codes, command, files, None, steps, True)

    # ---- disentangle

    def disentangle(self, first: Member, second: Member) -> Result:
        """Each factor of two persons exchanged: a row for each, and a column for each person.

        Returns:
            Pictures in rows of three: the first person, the first with the second's factor, the
            second with the first's factor.
        """
        own, other = self._codes(first), self._codes(second)
        rows, captions = [], []
        for factor in self.model.factors:
            rows += [own, _with_factor(own, other, factor), _with_factor(other, own, factor)]
            captions += [
                first.label,
                f"{first.label} with the {FACTOR_NAMES[factor].lower()} of {second.label}",
                f"{second.label} with the {FACTOR_NAMES[factor].lower()} of {first.label}",
            ]
        result = self._drawn("disentangle", concatenate(rows), captions)
        return dataclasses.replace(result, columns=3)

    def moved(self, first: Member, second: Member) -> dict[str, dict[str, float]] | None:
        """What moved in the pictures when a factor was exchanged, against the true pictures.

        Returns:
            {factor exchanged: {factor: share of its true change that is in the pictures}}, factors
            as in `FACTOR_NAMES`; None unless both persons are synthetic, who alone have true
            pictures, and the background is a factor of the model.
        """
        if not first.factors or not second.factors or not self.model.has_background:
            return None
        own, other = self._codes(first), self._codes(second)
        there = own, first.factors, other, second.factors
        back = other, second.factors, own, first.factors
        factors = self.model.factors
        changes = {factor: [] for factor in factors}
        true_changes = {factor: [] for factor in factors}
        for codes, truth, others, other_truth in (there, back):
            plain = self.sampler.draw(codes).images[0].astype(np.float32)
            render = self._render(truth)
            for factor in factors:
                swapped = _with_factor(codes, others, factor)
                changes[factor].append(self.sampler.draw(swapped).images[0] - plain)
                true = self._render({**truth, factor: other_truth[factor]})
                true_changes[factor].append(true - render)
        table = movement.moved(
            {factor: np.stack(values) for factor, values in changes.items()},
            {factor: np.stack(values) for factor, values in true_changes.items()},
        )
        return {
            FACTOR_NAMES[row]: {FACTOR_NAMES[factor]: share for factor, share in shares.items()}
            for row, shares in table["table"].items()
        }

    # ---- parts of the above

    def _codes(self, person: Member) -> PersonCodes:
        return self.sampler.person_codes(person.image[None], person.keypoints[None])

    def _drawn(self, verb, codes, captions) -> Result:
        """A result of these persons, which `dpig draw` repeats."""
        samples = self.sampler.draw(codes)
        pictures = [Picture(c, i) for c, i in zip(captions, samples.images, strict=True)]
        codes = codes.replace(keypoints=samples.keypoints)
        return Result(verb, pictures, codes, self._command("draw", codes="codes.npz"))

    def _pasted(self, person, image):
        if person.photo is None or person.crop is None:
            return None
        return person.crop.paste(person.photo, image)

    def _render(self, factors):
        image = synthetic.render(**factors, height=self.model.height, width=self.model.width)
        return image.astype(np.float32)

    def _command(self, verb, **flags):
        given = [f"--{name}={value}" for name, value in (self._networks | flags).items()]
        return shlex.join(["dpig", verb, *given])


def _with_factor(codes, others, factor) -> PersonCodes:
    """Persons with one factor of others, whose poses are known as keypoints."""
    name = "keypoints" if factor == "pose" else factor
    return codes.replace(**{name: getattr(others, name)})


def _within(what, value, least, most) -> int:
    """A whole number within bounds; raises DpigError with a sentence."""
    whole = isinstance(value, int | float) and value % 1 == 0
    if not whole or not least <= value <= most:
        raise DpigError(f"The {what} must be a whole number from {least} to {most}.", field=what)
    return int(value)


def _words(name):
    return name.replace("_", " ")
