"""PersonSampler: everything that trained networks can do, on NumPy arrays."""

import dataclasses
import functools
import hashlib
import operator
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from dpig_tf2.config import STAGES, Config, ConfigError
from dpig_tf2.errors import DpigError
from dpig_tf2.execution import Execution
from dpig_tf2.io import array_files
from dpig_tf2.io.atomic import write_text
from dpig_tf2.models import factory, weights
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.images import to_uint8
from dpig_tf2.ops.keypoints import NUM_KEYPOINTS
from dpig_tf2.ops.regions import NUM_REGIONS
from dpig_tf2.run_folder import RunFolder
from dpig_tf2.sampling import interpolation, inversion, mixing

Codes = dict[str, np.ndarray]  # {factor or KEYPOINTS: array with one row for each person}
KEYPOINTS = "keypoints"  # a pose that is given, not decoded from its code

_WEIGHTS = "weights.npz"
_CONFIG = "config.json"


class SamplerError(DpigError):
    """An input that the sampler cannot use; the message names it and what was expected."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """Generated persons and the codes that made them.

    Attributes:
        images: uint8 [N, H, W, 3].
        appearance: float32 [N, E], appearance embeddings.
        keypoints: float32 [N, 18, 3], pixels.
    """

    images: np.ndarray
    appearance: np.ndarray
    keypoints: np.ndarray


class PersonSampler:
    """Re-poses persons, and samples each factor from noise or holds it at a real image.

    Images are uint8 [B, H, W, 3] of the model's size; keypoints are float32 [B, 18, 3], pixels
    (row, column, visibility); a missing keypoint is (0, 0, 0). Every function takes any batch size
    and works through it in chunks of `batch_size`; in another batch size a picture may differ by a
    level here and there, because sums are then taken in another order.

    A person can be held as codes, {factor: array [B, E]}, from a photo (`person_codes`) or a seed
    (`seed_codes`); codes are drawn, interpolated, inverted and mixed:

        a = sampler.person_codes(images[:1], keypoints[:1])
        b = sampler.person_codes(images[1:2], keypoints[1:2])
        frames = sampler.interpolate(a, b, steps=9, factors=["foreground"]).images
        noise = sampler.invert(a)["background"].noise
        dressed = sampler.mix(a, {"lower_garment": b}).images

    Args:
        config: the run's configuration.
        networks: {name: network} of the trained networks at hand.
        batch_size: images per chunk.
    """

    def __init__(self, config: Config, networks: dict, batch_size: int = 32):
        self.config = config
        self.batch_size = batch_size
        self.model = PersonModel(config.model, networks)
        self._functions: dict[str, tf.types.experimental.PolymorphicFunction] = {}
        self._inverters: dict[tuple, inversion.Inverter] = {}

    # ---- loading and saving

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        batch_size: int = 32,
        adversaries: bool = False,
        execution: Execution = Execution(),
        checkpoint: str = "latest",
    ) -> "PersonSampler":
        """A sampler from a run folder or a saved sampler.

        Args:
            path: the folder.
            batch_size: images per chunk.
            adversaries: also load the discriminator and critics of a run folder.
            execution: how the networks compute.
            checkpoint: of every stage of a run folder the "latest", or the "best" where one is
                kept. Mapping networks imitate the latest encoders: sample with those.

        Raises:
            ConfigError: if the folder is neither, or no stage has a checkpoint.
            array_files.WeightsError: if a file is damaged or does not fit the configuration.
        """
        path = pathlib.Path(path)
        if (path / _WEIGHTS).exists():
            config = RunFolder.open(path).config
            arrays = array_files.load(path / _WEIGHTS)
            names = {name.split("/", 1)[0] for name in arrays}
            source = str(path / _WEIGHTS)
            networks = _networks(names, config.model, arrays, source, execution)
            return cls(config, networks, batch_size)
        run = RunFolder.open(path)
        networks = {}
        for stage in STAGES:
            if run.latest_step(stage) is not None:
                networks |= load_stage_networks(run, stage, adversaries, execution, checkpoint)
        if not networks:
            raise ConfigError(f"{path} has no checkpoint of any stage: train or import one first")
        return cls(run.config, networks, batch_size)

    def freeze(self) -> None:
        """For many small batches: computes now what depends on weights alone.

        At the published width, on CPU, a picture at a time then takes about a third less time, and
        the networks 1.2 GB more memory, half of that in bfloat16; on GPU nothing changes. Weights
        must stay as they are from now on.
        """
        for network in self.model.networks.values():
            network.freeze()
        self._functions.clear()  # graphs that compute it anew

    def save(self, path: str | os.PathLike) -> None:
        """Writes configuration and weights to a folder that `load` reads; no optimizer state."""
        path = pathlib.Path(path)
        path.mkdir(parents=True, exist_ok=True)
        variables = [v for n in self.model.networks.values() for v in n.variables]
        array_files.save(path / _WEIGHTS, weights.collect(variables))
        write_text(path / _CONFIG, self.config.to_json() + "\n")

    # ---- codes

    def encode_appearance(
        self, images, keypoints, body_mask=None, part_boxes=None, part_visibility=None
    ) -> np.ndarray:
        """Appearance embeddings of photos.

        Args:
            images: uint8 [B, H, W, 3].
            keypoints: float32 [B, 18, 3], pixels.
            body_mask: [B, H, W] or [B, H, W, 1] in {0, 1}; None draws it from the keypoints.
            part_boxes: [B, 7, 4], [y1, x1, y2, x2] in pixels; None computes them.
            part_visibility: [B, 7] in {0, 1}; None computes it.

        Returns:
            float32 [B, E].

        Raises:
            SamplerError: if an argument has the wrong shape, type or value.
        """
        images = self._check_images(images)
        count = len(images)
        keypoints = self._check_keypoints(keypoints, count, need_visible=True)
        size = (self.config.model.height, self.config.model.width)
        given = {"images": images, "keypoints": keypoints}
        if body_mask is not None and self.config.model.has_background:
            mask = np.asarray(body_mask)
            if mask.shape not in ((count, *size), (count, *size, 1)):
                raise SamplerError(
                    f"body_mask has shape {mask.shape}, expected {(count, *size)} or "
                    f"{(count, *size, 1)}"
                )
            if not np.isin(mask, (0, 1)).all():
                raise SamplerError("body_mask must hold only 0 and 1")
            given["body_mask"] = mask.reshape(count, *size, 1).astype(np.float32)
        if part_boxes is not None:
            given["part_boxes"] = _check_array("part_boxes", part_boxes, (count, NUM_REGIONS, 4))
        if part_visibility is not None:
            given["part_visibility"] = _check_array(
                "part_visibility", part_visibility, (count, NUM_REGIONS)
            )
        return self._run("encode_appearance", **given)

    def encode_pose(self, keypoints) -> np.ndarray:
        """Pose embeddings float32 [B, P] of pixel keypoints [B, 18, 3]."""
        return self._run("encode_pose", keypoints=self._check_keypoints(keypoints))

    def decode_pose(self, code) -> np.ndarray:
        """Keypoints float32 [B, 18, 3] of pose embeddings [B, P].

        Pixels, clamped to [0, size - 1] and not truncated; visibility in {0, 1}. The coordinates of
        an invisible keypoint are what the decoder gives and mean nothing.
        """
        return self._run("decode_pose", embedding=self._check_code("pose code", code, "pose"))

    def map_noise(self, noise, factor: str) -> np.ndarray:
        """Embeddings float32 [B, E] of one factor from its noise [B, E], already scaled.

        Args:
            noise: drawn from N(0, 0.2 ** 2), see `draw_noise`.
            factor: "foreground", "background", "appearance" or "pose", as the model has them.
        """
        self.config.model.check_factor(factor)
        return self._run(
            "map_noise", {"factor": factor}, noise=self._check_code("noise", noise, factor)
        )

    def draw_noise(self, count: int, factor: str, seed: int = 0) -> np.ndarray:
        """Scaled Gaussian noise float32 [count, E] of one factor; a seed gives the same noise."""
        if count < 1:
            raise SamplerError(f"the number of samples must be at least 1, got {count}")
        return self.model.draw_noise(count, factor, seed).numpy()

    def generate(self, appearance_embedding, keypoints, raw: bool = False) -> np.ndarray:
        """Images from appearance embeddings [B, E] and pixel keypoints [B, 18, 3].

        Returns:
            uint8 [B, H, W, 3]; with `raw` float32 as the network gives it, in [-1, 1] units,
            unbounded.
        """
        embedding = _check_array(
            "appearance_embedding",
            appearance_embedding,
            (None, self.config.model.appearance_embedding),
            hint="is it of another preset?",
        )
        keypoints = self._check_keypoints(keypoints, len(embedding))
        images = self._run("generate", appearance_embedding=embedding, keypoints=keypoints)
        return images if raw else to_uint8(images).numpy()

    # ---- tasks

    def reconstruct(self, images, keypoints, **parts) -> np.ndarray:
        """The same persons in the same poses, uint8 [B, H, W, 3], through the embeddings.

        `parts`: body_mask, part_boxes, part_visibility as in `encode_appearance`.
        """
        return self.transfer(images, keypoints, keypoints, **parts)

    def transfer(self, images, keypoints, target_keypoints, **parts) -> np.ndarray:
        """The persons of the images in other poses, uint8 [B, H, W, 3]."""
        embedding = self.encode_appearance(images, keypoints, **parts)
        return self.generate(embedding, target_keypoints)

    def sample(
        self,
        n: int,
        factors: Sequence[str],
        image=None,
        keypoints=None,
        seed: int = 0,
        **parts,
    ) -> Samples:
        """New persons: the named factors from noise, the others held.

        Args:
            n: number of persons.
            factors: any subset of the model's factors.
            image: uint8 [H, W, 3] or [1, H, W, 3], a real person at which the other factors are
                held; None holds them at one sample, the same for all n.
            keypoints: float32 [18, 3] or [1, 18, 3], pixels, of that image.
            seed: the same seed gives the same persons.
            parts: body_mask, part_boxes, part_visibility of the image, with a batch axis of 1.

        Raises:
            ConfigError: if a factor is unknown, or its mapping network is not trained.
            SamplerError: if only one of image and keypoints is given.
        """
        if n < 1:
            raise SamplerError(f"the number of samples must be at least 1, got {n}")
        self._known_factors(factors)
        held = self.held_codes(factors, image, keypoints, seed, **parts)
        return self.draw(_with_factors(held, self.seed_codes(n, seed, factors), n))

    def held_codes(self, sampled, image, keypoints, seed, **parts) -> Codes:
        """Codes [1, ...] of the factors that are not sampled; a real pose stays keypoints."""
        held = [factor for factor in self.config.model.factors if factor not in sampled]
        if (image is None) != (keypoints is None):
            raise SamplerError("image and keypoints of the held person come together")
        if image is None:
            # Another stream than the samples': a held factor is never one of them.
            return self.seed_codes(1, ~seed, held)
        keypoints = np.asarray(keypoints, np.float32).reshape(-1, NUM_KEYPOINTS, 3)
        images = np.asarray(image).reshape(-1, *np.shape(image)[-3:])
        codes = self.person_codes(images, keypoints, **parts)
        return {f: c for f, c in codes.items() if f in held or (f == KEYPOINTS and "pose" in held)}

    # ---- persons as codes

    def person_codes(self, images, keypoints, **parts) -> Codes:
        """Codes of photos: appearance factors encoded, the pose as "keypoints".

        Arguments as in `encode_appearance`.
        """
        embedding = self.encode_appearance(images, keypoints, **parts)
        codes = {f: code.numpy() for f, code in self.model.split_appearance(embedding).items()}
        return codes | {KEYPOINTS: np.asarray(keypoints, np.float32)}

    def seed_codes(self, n: int, seed: int = 0, factors: Sequence[str] | None = None) -> Codes:
        """Codes [n, E] of the named factors, all by default, from noise."""
        factors = self._known_factors(factors)
        return {f: self.map_noise(self.draw_noise(n, f, seed), f) for f in factors}

    def draw(self, codes: Codes) -> Samples:
        """The persons that codes describe, one for each row.

        Args:
            codes: every appearance factor, and the pose as "keypoints" or as its code "pose"; with
                both, the keypoints are drawn.

        Raises:
            SamplerError: if a factor is missing, unknown, of another length or row count.
        """
        appearance_factors = self.config.model.appearance_factors
        missing = [f for f in appearance_factors if f not in codes]
        if not {"pose", KEYPOINTS} & set(codes):
            missing.append("pose")
        unknown = sorted(set(codes) - {*appearance_factors, "pose", KEYPOINTS})
        if missing or unknown:
            what, names = ("missing", missing) if missing else ("unknown", unknown)
            raise SamplerError(f"codes: {what} {', '.join(names)}")
        parts = {f: self._check_code(f"{f} code", codes[f], f) for f in appearance_factors}
        counts = {factor: len(code) for factor, code in codes.items()}
        if len(set(counts.values())) > 1:
            raise SamplerError(f"codes must be of equally many persons, got {counts}")
        appearance = self.model.join_appearance(parts).numpy()
        poses = codes[KEYPOINTS] if KEYPOINTS in codes else self.decode_pose(codes["pose"])
        poses = np.asarray(poses, np.float32)
        return Samples(self.generate(appearance, poses), appearance, poses)

    def identity(self, n: int, seed: int = 0, keypoints=None) -> Samples:
        """Images of one virtual identity: one sampled foreground, new backgrounds and poses.

        Args:
            n: number of images.
            seed: the same seed gives the same identity.
            keypoints: float32 [n, 18, 3], pixels, of real poses; None samples the poses.

        Source: paper section 4.3, virtual identities for re-identification.
        """
        return self.draw(self.identity_codes(n, seed, keypoints))

    def identity_codes(self, n, seed=0, keypoints=None) -> Codes:
        """Codes [n, ...] of the persons that `identity` draws."""
        foreground, *others = self.config.model.factors
        if keypoints is not None:
            others.remove("pose")
        one = self.seed_codes(1, seed, [foreground])
        codes = _with_factors(one, self.seed_codes(n, seed, others), n)
        return codes if keypoints is None else codes | {KEYPOINTS: keypoints}

    def pose_codes(self, codes: Codes) -> np.ndarray:
        """The pose codes [B, P] of persons whose pose is given as code or as keypoints."""
        return codes["pose"] if "pose" in codes else self.encode_pose(codes[KEYPOINTS])

    # ---- between persons

    def interpolate(
        self,
        start: Codes,
        end: Codes,
        steps: int = 9,
        factors: Sequence[str] | None = None,
        path: str = "linear",
    ) -> Samples:
        """Persons on the way from one to another.

        Args:
            start, end: codes of one person each, see `person_codes` and `seed_codes`.
            steps: number of persons, both ends included.
            factors: those that change, all by default; the others stay at `start`. A pose that
                changes is interpolated in its embedding, and is so encoded and decoded.
            path: "linear" or "spherical", see `interpolation.blend`.
        """
        return self.draw(self.codes_between(start, end, steps, factors, path))

    def codes_between(self, start, end, steps=9, factors=None, path="linear") -> Codes:
        """Codes [steps, ...] of the persons that `interpolate` draws."""
        ways = {}
        for factor in self._known_factors(factors):
            of = self.pose_codes if factor == "pose" else operator.itemgetter(factor)
            ways[factor] = interpolation.blend(_one(of(start)), _one(of(end)), steps, path)
        return _with_factors(start, ways, steps)

    def interpolate_noise(
        self, start: Codes, end: Codes, held: Codes, steps: int = 9, path: str = "spherical"
    ) -> Samples:
        """Persons on the way from one noise vector to another, through the mapping networks.

        Args:
            start, end: {factor: noise [1, E]} of the factors that change.
            held: codes [1, ...] of the other factors; those of changing factors are not used.
            steps: number of persons, both ends included.
            path: "linear" or "spherical"; the latter keeps the length that Gaussian noise has.
        """
        return self.draw(self.codes_between_noise(start, end, held, steps, path))

    def codes_between_noise(self, start, end, held, steps=9, path="spherical") -> Codes:
        """Codes [steps, ...] of the persons that `interpolate_noise` draws."""
        ways = {
            factor: interpolation.blend(_one(start[factor]), _one(end[factor]), steps, path)
            for factor in self._known_factors(list(start))
        }
        mapped = {factor: self.map_noise(way, factor) for factor, way in ways.items()}
        return _with_factors(held, mapped, steps)

    def invert(
        self,
        codes: Codes,
        factors: Sequence[str] | None = None,
        settings: inversion.InversionSettings | None = None,
        seed: int = 0,
    ) -> dict[str, inversion.Inversion]:
        """Noise of each factor whose mapped code is as close as possible to a given code.

        Args:
            codes: of any number of persons, see `person_codes`.
            factors: those to invert, all by default.
            settings: of the search.
            seed: of the noise from which the search starts.

        Source: paper section 4.4, inverse interpolation: gradient descent on the noise.
        """
        settings = settings or inversion.InversionSettings()
        found = {}
        for factor in self._known_factors(factors):
            wanted = self.pose_codes(codes) if factor == "pose" else codes[factor]
            wanted = self._check_code(f"{factor} code", wanted, factor)
            inverter = self._inverter(factor, settings)
            chunks = [
                inverter(wanted[i : i + self.batch_size], seed)
                for i in range(0, len(wanted), self.batch_size)
            ]
            found[factor] = inversion.concatenate(chunks)
        return found

    def _inverter(self, factor, settings):
        """The search for one factor's noise; built once for each set of arguments."""
        if (factor, settings) not in self._inverters:
            mapping = functools.partial(self.model.map_noise, factor=factor)
            self._inverters[factor, settings] = inversion.Inverter(
                mapping, self.config.model.noise_scale, settings
            )
        return self._inverters[factor, settings]

    def mix(
        self, base: Codes, donors: Mapping[str, Codes], background: Codes | None = None
    ) -> Samples:
        """Persons with some body regions' codes from others; all else is that of `base`.

        Args:
            base: codes of B persons, see `person_codes`.
            donors: {region or garment: codes of B persons}, names as in `mixing.REGION_CHOICES`.
            background: codes of B persons whose background is taken; None keeps it.

        Raises:
            ValueError: if a region is unknown.
            SamplerError: if a region is not visible at its donor, or a background is given to a
                model that has none.
        """
        return self.draw(self.mixed_codes(base, donors, background))

    def mixed_codes(self, base, donors, background=None) -> Codes:
        """Codes of the persons that `mix` draws."""
        foreground = self.config.model.appearance_factors[0]
        for name, donor in donors.items():
            unseen = np.flatnonzero(~mixing.has_regions(donor[foreground], [name]))
            if len(unseen):
                raise SamplerError(f"{name} is not visible at donor {unseen[0]}")
        if background is not None and not self.config.model.has_background:
            raise SamplerError(f"preset {self.config.preset} has no background factor")
        regions = {name: donor[foreground] for name, donor in donors.items()}
        codes = base | {foreground: mixing.mix_regions(base[foreground], regions)}
        if background is not None:
            codes["background"] = background["background"]
        return codes

    def discriminator_scores(self, images) -> np.ndarray:
        """Mean logit of the discriminator for each image, float32 [B]: high is judged real.

        The discriminator normalizes by the statistics of its batch, which is all the images of this
        call: scores can be compared within a call, and between calls with alike images.

        Raises:
            ConfigError: if the sampler was loaded without adversaries.
        """
        logits = self.model.discriminate(self._check_images(images)).numpy()
        return logits.reshape(len(images), -1).mean(axis=1)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any weight or network size."""
        digest = hashlib.blake2b(repr(self.config.model).encode(), digest_size=8)
        for name, network in sorted(self.model.networks.items()):
            for path, array in weights.collect(network.variables).items():
                digest.update(f"{name} {path} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    # ---- checks

    def _known_factors(self, factors):
        """The factors, all for None; raises ConfigError naming an unknown one."""
        factors = self.config.model.factors if factors is None else factors
        for factor in factors:
            self.config.model.check_factor(factor)
        return factors

    def _check_images(self, images) -> np.ndarray:
        images = np.asarray(images)
        expected = (self.config.model.height, self.config.model.width, 3)
        if images.ndim != 4 or images.shape[1:] != expected or not len(images):
            raise SamplerError(
                f"images have shape {list(images.shape)}, expected [B, "
                f"{', '.join(map(str, expected))}] with B at least 1"
            )
        if images.dtype != np.uint8:
            raise SamplerError(f"images must be uint8 in [0, 255], got {images.dtype}")
        return images

    def _check_keypoints(self, keypoints, count=None, need_visible=False) -> np.ndarray:
        keypoints = _check_array("keypoints", keypoints, (count, NUM_KEYPOINTS, 3))
        if not np.isin(keypoints[..., 2], (0, 1)).all():
            raise SamplerError("keypoints: visibility must be 0 or 1")
        limit = 10 * max(self.config.model.height, self.config.model.width)
        if np.abs(keypoints).max() > limit:
            raise SamplerError(
                f"keypoints: coordinate {np.abs(keypoints).max():.0f} is far outside the image; "
                "expected pixels (row, column, visibility)"
            )
        unseen = np.flatnonzero(~(keypoints[..., 2] > 0).any(axis=1))
        if need_visible and len(unseen):
            raise SamplerError(f"keypoints of image {unseen[0]}: not one is visible")
        return keypoints

    def _check_code(self, name, code, factor) -> np.ndarray:
        size = self.config.model.embedding_size(factor)
        return _check_array(name, code, (None, size), hint=f"the {factor} code of this model")

    # ---- execution

    def _run(self, method: str, static: dict | None = None, **arrays) -> np.ndarray:
        """Runs a PersonModel function over chunks of the arrays' first axis."""
        function = self._function(method, static or {}, arrays)
        count = len(next(iter(arrays.values())))
        chunks = [
            function(**{n: a[i : i + self.batch_size] for n, a in arrays.items()}).numpy()
            for i in range(0, count, self.batch_size)
        ]
        return np.concatenate(chunks)

    def _function(self, method, static, arrays):
        """The compiled function for any batch size; built once for each set of arguments."""
        key = "/".join((method, *static.values(), *arrays))
        if key not in self._functions:
            call = functools.partial(getattr(self.model, method), **static)
            specs = {n: tf.TensorSpec([None, *a.shape[1:]], a.dtype) for n, a in arrays.items()}
            # Without autograph, which would wrap our errors in its own.
            graph = tf.function(lambda **tensors: call(**tensors), autograph=False)
            self._functions[key] = graph.get_concrete_function(**specs)
        concrete = self._functions[key]
        return lambda **tensors: concrete(**{n: tf.constant(a) for n, a in tensors.items()})


def load_stage_networks(
    run: RunFolder,
    stage: str,
    adversaries: bool = False,
    execution: Execution = Execution(),
    checkpoint: str = "latest",
) -> dict:
    """{name: network} of one stage with the weights of a checkpoint.

    Args:
        run: the run folder.
        stage: name of the stage.
        adversaries: also load its discriminator or critics.
        execution: how the networks compute.
        checkpoint: "latest" or "best", see `RunFolder.load_checkpoint`.
    """
    path, arrays = run.load_checkpoint(stage, checkpoint)
    names = [
        name
        for name in factory.stage_networks(stage, run.config.model)
        if adversaries or not name.endswith(("discriminator", "critic"))
    ]
    return _networks(names, run.config.model, arrays, str(path), execution)


def _networks(names, model, arrays, source, execution):
    """{name: network} with the weights of `arrays`, which were read from `source`."""
    networks = factory.build_networks(sorted(names), model, execution)
    for network in networks.values():
        weights.assign(network.variables, arrays, source)
    return networks


def _with_factors(held: Codes, changing: Codes, count: int) -> Codes:
    """The codes of one person repeated, some factors replaced by `count` codes each."""
    codes = {name: np.repeat(code, count, axis=0) for name, code in held.items()}
    if "pose" in changing:
        codes.pop(KEYPOINTS, None)
    return codes | changing


def _one(rows) -> np.ndarray:
    """The only row of [1, E]."""
    if len(rows) != 1:
        raise SamplerError(f"expected the codes of one person, got {len(rows)}")
    return np.asarray(rows)[0]


def _check_array(name, values, shape, hint="") -> np.ndarray:
    """float32 array of the given shape (None: any, at least 1), all finite."""
    values = np.asarray(values, np.float32)
    fits = values.ndim == len(shape) and all(
        found == wanted if wanted is not None else found >= 1
        for found, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits:
        expected = "[" + ", ".join("B" if size is None else str(size) for size in shape) + "]"
        note = f" ({hint})" if hint else ""
        raise SamplerError(f"{name} has shape {list(values.shape)}, expected {expected}{note}")
    if not np.isfinite(values).all():
        raise SamplerError(f"{name} holds NaN or infinite values")
    return values
