"""PersonSampler: everything that trained networks can do, on NumPy arrays."""

import os
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dpig_tf2.config import Config
from dpig_tf2.execution import Execution
from dpig_tf2.models import loading
from dpig_tf2.models.layers import Network
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.convolution_speed import measured_execution
from dpig_tf2.presets import registry
from dpig_tf2.sampling import checks, interpolation, inversion, mixing
from dpig_tf2.sampling.checks import SamplerError
from dpig_tf2.sampling.compiled import CompiledModel
from dpig_tf2.sampling.person_codes import PersonCodes, Samples

_MEAN_OF = 256  # samples, whose mean code is what truncation goes to


class PersonSampler:
    """Re-poses persons, and samples each factor from noise or holds it at a real image.

    Images are uint8 [B, H, W, 3] of the model's size; keypoints are float32 [B, 18, 3], pixels
    (row, column, visibility); a missing keypoint is (0, 0, 0). Every function takes any batch size
    and works through it in chunks of `batch_size`. Codes from noise, pose codes and decoded poses
    are the same bits in any batch size; encoded appearances differ in the seventh digit and
    pictures by a level here and there, because sums are then taken in another order.

    A person can be held as `PersonCodes`, from a photo (`person_codes`) or a seed (`seed_codes`),
    to be drawn, interpolated, inverted and mixed.

    Unusable input raises SamplerError, an unknown factor or absent network ConfigError.

    Args:
        config: the run's configuration.
        networks: {name: network} of the trained networks at hand.
        batch_size: images per chunk.
        eager_at_first: as in `load`.
    """

    def __init__(
        self,
        config: Config,
        networks: Mapping[str, Network],
        batch_size: int = 32,
        eager_at_first: bool = False,
    ):
        checks.check_whole_number("batch_size", batch_size, 1, 2**31 - 1)
        self.config = config
        self.batch_size = batch_size
        self.model = PersonModel(config.model, networks)
        self._run = CompiledModel(self.model, batch_size, eager_at_first)
        self._means: dict[str, np.ndarray] = {}

    # ---- loading and saving

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        execution: Execution | None = None,
        batch_size: int = 32,
        checkpoint: str = "latest",
        adversaries: bool = False,
        names: Collection[str] | None = None,
        eager_at_first: bool = False,
    ) -> "PersonSampler":
        """A sampler from a run folder, a saved sampler or `preset:NAME`; see `from_preset`.

        Args:
            path, checkpoint, adversaries, names: as in `models.loading.load_networks`.
            execution: how the networks compute. None is "fast" as a measurement of this machine
                suggests it (`ops.convolution_speed`; the first takes a second): machines may then
                differ by a level here and there, with `Execution()` those of one kind do not.
            batch_size: images per chunk.
            eager_at_first: for a program that may draw few pictures: the first come without waiting
                for a graph, and differ from later ones by a level here and there.
        """
        name = registry.name_of(path)
        if name is not None:
            registry.require(name)
        if execution is None:
            execution = measured_execution(Execution(), say=lambda text: None)
        config, networks = loading.load_networks(path, execution, checkpoint, adversaries, names)
        return cls(config, networks, batch_size, eager_at_first)

    @classmethod
    def from_preset(cls, name: str, **options) -> "PersonSampler":
        """A sampler from a preset of weights, e.g. "persons_128x64"; `dpig presets` lists them.

        Those of the release of 2018 are fetched when they are first used.

        Args:
            name: of the preset.
            options: as in `load`.

        Raises:
            ConfigError: for an unknown name.
            DpigError: if weights cannot be fetched.
            array_files.WeightsError: if the files of the preset are damaged.
        """
        return cls.load(f"{registry.PREFIX}{name}", **options)

    def freeze(self) -> None:
        """For many small batches: computes now what depends on weights alone.

        At the published width, on CPU, a picture at a time then takes up to a fifth less time, and
        the networks 1 GB more memory. In bfloat16 where TensorFlow computes by oneDNN it takes half
        the time, the networks 3 GB more, and the first picture 14 seconds more. On GPU nothing
        changes. Weights must stay as they are from now on.
        """
        for network in self.model.networks.values():
            network.freeze()
        self._run.forget()

    def save(self, path: str | os.PathLike) -> None:
        """Writes configuration and weights to a folder that `load` reads; no optimizer state.

        Raises:
            ConfigError: if the folder is that of a run.
        """
        loading.save_networks(path, self.config, self.model.networks)

    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with any weight or network size."""
        return loading.fingerprint(self.config.model, self.model.networks)

    # ---- encoders, mapping networks, generator

    def encode_appearance(self, images, keypoints, **parts) -> np.ndarray:
        """Appearance embeddings float32 [B, E] of photos.

        Args:
            images: uint8 [B, H, W, 3].
            keypoints: float32 [B, 18, 3], pixels, at least one visible.
            parts: body_mask, [B, H, W] or [B, H, W, 1] in {0, 1}; part_boxes, [B, 7, 4], [y1, x1,
                y2, x2] in pixels; part_visibility, [B, 7] in {0, 1}. What is not given is computed
                from the keypoints.
        """
        return self._run("encode_appearance", self._photo(images, keypoints, parts))

    def encode_pose(self, keypoints) -> np.ndarray:
        """Pose codes float32 [B, P] of keypoints [B, 18, 3]."""
        return self._run("encode_pose", {"keypoints": self._keypoints(keypoints)})

    def decode_pose(self, code) -> np.ndarray:
        """Keypoints float32 [B, 18, 3] of pose codes [B, P].

        Pixels, clamped to [0, size - 1] and not truncated; visibility in {0, 1}. The coordinates of
        an invisible keypoint are what the decoder gives and mean nothing.
        """
        code = checks.check_code(self.config.model, "pose code", code, "pose")
        return self._run("decode_pose", {"embedding": code})

    def draw_noise(self, count: int, factor: str, seed: int = 0) -> np.ndarray:
        """Scaled Gaussian noise float32 [count, E] of one factor; a seed gives the same noise."""
        checks.check_count(count)
        checks.check_seed(seed)
        return self.model.draw_noise(count, factor, seed).numpy()

    def map_noise(self, noise, factor: str) -> np.ndarray:
        """Codes float32 [B, E] of one factor from its noise [B, E], already scaled.

        Args:
            noise: drawn from N(0, s ** 2), s the configuration's `model.noise_scale`; see
                `draw_noise`.
            factor: "foreground", "background", "appearance" or "pose", as the model has them.
        """
        noise = checks.check_code(self.config.model, "noise", noise, factor)
        return self._run("map_noise", {"noise": noise}, factor=factor)

    def generate(self, appearance_embedding, keypoints, raw: bool = False) -> np.ndarray:
        """Images from appearance embeddings [B, E] and keypoints [B, 18, 3].

        Returns:
            uint8 [B, H, W, 3]; with `raw` float32 as the network gives it, in [-1, 1] units,
            unbounded.
        """
        shape = (None, self.config.model.appearance_embedding)
        embedding = checks.check_array(
            "appearance_embedding", appearance_embedding, shape, hint="is it of another preset?"
        )
        keypoints = self._keypoints(keypoints, len(embedding))
        verb = "generate" if raw else "pictures"
        return self._run(verb, {"appearance_embedding": embedding, "keypoints": keypoints})

    def discriminator_scores(self, images) -> np.ndarray:
        """Mean logit of the discriminator for each image, float32 [B]: high is judged real.

        The discriminator normalizes by the statistics of its batch, which is all the images of this
        call: scores can be compared within a call, and between calls with alike images.

        Raises:
            ConfigError: if the sampler was loaded without adversaries.
        """
        images = checks.check_images(self.config.model, images)
        logits = self.model.discriminate(images).numpy()
        return logits.reshape(len(images), -1).mean(axis=1)

    # ---- from photo or noise to picture

    def reconstruct(self, images, keypoints, **parts) -> np.ndarray:
        """The same persons in the same poses, uint8 [B, H, W, 3]; as `transfer`."""
        return self.transfer(images, keypoints, keypoints, **parts)

    def transfer(self, images, keypoints, target_keypoints, **parts) -> np.ndarray:
        """The persons of the images in other poses, uint8 [B, H, W, 3].

        `parts` as in `encode_appearance`.
        """
        photo = self._photo(images, keypoints, parts)
        target_keypoints = self._keypoints(target_keypoints, len(photo["images"]))
        return self._run("transfer", photo | {"target_keypoints": target_keypoints})

    def sample(
        self,
        n: int,
        factors: Sequence[str],
        image=None,
        keypoints=None,
        seed: int = 0,
        truncation: float = 1.0,
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
            truncation: as in `seed_codes`.
            parts: as in `encode_appearance`, with a batch axis of 1.
        """
        checks.check_count(n)
        checks.check_seed(seed)
        if (image is None) != (keypoints is None):
            raise SamplerError(
                "image and keypoints of the held person come together", field="keypoints"
            )
        factors = self.config.model.known_factors(factors)
        held = [factor for factor in self.config.model.factors if factor not in factors]
        if image is None:
            # ~seed: other noise than that of the samples, so that a held factor is none of them.
            person = self.seed_codes(1, ~seed, held, truncation)
        else:
            images = checks.of_one("image", image, 4)
            keypoints = checks.of_one("keypoints", keypoints, 3)
            person = self.person_codes(images, keypoints, **parts).only(held)
        sampled = self.seed_codes(n, seed, factors, truncation)
        return self.draw(person.repeat(n).replace(**sampled.as_arrays()))

    def identity(self, n: int, seed: int = 0, keypoints=None) -> Samples:
        """Images of one virtual identity; arguments as in `identity_codes`."""
        return self.draw(self.identity_codes(n, seed, keypoints))

    # ---- persons as codes

    def person_codes(self, images, keypoints, **parts) -> PersonCodes:
        """Persons on photos, their poses as keypoints; arguments as in `encode_appearance`."""
        embedding = self.encode_appearance(images, keypoints, **parts)
        return PersonCodes(keypoints=keypoints, **self.model.split_appearance(embedding))

    def seed_codes(
        self,
        n: int,
        seed: int = 0,
        factors: Sequence[str] | None = None,
        truncation: float = 1.0,
    ) -> PersonCodes:
        """Codes of n persons from noise, of all factors or the named ones.

        Args:
            n: number of persons; more begin with the same ones, bit for bit.
            seed: the same seed gives the same persons.
            factors: None: all.
            truncation: how far codes may be from the mean code of their factor, from 0 to 1: 1
                leaves them as they are, 0 gives the mean. Smaller values give safer and less
                varied pictures.

        Source: of truncation, Karras et al., "A style-based generator architecture for generative
        adversarial networks", CVPR 2019, appendix B.
        """
        checks.check_truncation(truncation)
        codes = {}
        for factor in self.config.model.known_factors(factors):
            codes[factor] = self.map_noise(self.draw_noise(n, factor, seed), factor)
            if truncation != 1:
                mean = self._mean_code(factor)
                codes[factor] = mean + np.float32(truncation) * (codes[factor] - mean)
        return PersonCodes(**codes)

    def identity_codes(self, n: int, seed: int = 0, keypoints=None) -> PersonCodes:
        """One virtual identity: one sampled foreground, new backgrounds and poses.

        Args:
            n: number of images; more begin with the same ones, bit for bit.
            seed: the same seed gives the same identity.
            keypoints: float32 [n, 18, 3], pixels, of real poses; None samples the poses.

        Source: paper section 4.3, virtual identities for re-identification.
        """
        checks.check_count(n)
        foreground, *others = self.config.model.factors
        if keypoints is not None:
            others.remove("pose")
        one = self.seed_codes(1, seed, [foreground])
        return one.repeat(n).replace(
            keypoints=keypoints, **self.seed_codes(n, seed, others).as_arrays()
        )

    def encode_poses(self, codes: PersonCodes) -> PersonCodes:
        """The same persons, their poses as codes."""
        if codes.keypoints is None:
            return codes
        return codes.replace(pose=self.encode_pose(codes.keypoints))

    def draw(self, codes: PersonCodes) -> Samples:
        """The persons that codes describe, of whom every factor must be known."""
        return Samples(
            **self._run("draw", {"codes": codes.check(self.config.model).as_arrays(), "noise": {}})
        )

    # ---- between persons

    def interpolate(
        self,
        start: PersonCodes,
        end: PersonCodes,
        steps: int = 9,
        factors: Sequence[str] | None = None,
        path: str = "linear",
    ) -> Samples:
        """Persons on the way from one to another; see `interpolation.codes_between`."""
        return self.draw(interpolation.codes_between(self, start, end, steps, factors, path))

    def invert(
        self,
        codes: PersonCodes,
        factors: Sequence[str] | None = None,
        settings: inversion.InversionSettings = inversion.InversionSettings(),
        seed: int = 0,
    ) -> dict[str, inversion.Inversion]:
        """{factor: noise that is mapped to its codes}; see `inversion.invert`."""
        return inversion.invert(self, codes, factors, settings, seed)

    def mix(
        self,
        base: PersonCodes,
        donors: Mapping[str, PersonCodes],
        background: PersonCodes | None = None,
    ) -> Samples:
        """Persons with body regions or the background of others; see `mixing.mix_codes`."""
        return self.draw(mixing.mix_codes(base, donors, background))

    # ---- arguments and results

    def _photo(self, images, keypoints, parts):
        """Checked arguments of `PersonModel.encode_appearance`."""
        images = checks.check_images(self.config.model, images)
        keypoints = self._keypoints(keypoints, len(images), need_visible=True)
        parts = checks.check_parts(self.config.model, len(images), **parts)
        return {"images": images, "keypoints": keypoints, **parts}

    def _keypoints(self, keypoints, count=None, need_visible=False):
        return checks.check_keypoints(self.config.model, keypoints, count, need_visible)

    def _mean_code(self, factor):
        if factor not in self._means:
            noise = self.draw_noise(_MEAN_OF, factor, seed=0)
            self._means[factor] = self.map_noise(noise, factor).mean(axis=0)
        return self._means[factor]
