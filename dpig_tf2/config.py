"""Configuration of a run: frozen dataclasses, named presets, strict overrides.

Nothing here imports TensorFlow, so that a program can refuse bad flags before the slow import.
"""

import dataclasses
import json
import typing
from collections.abc import Iterable

from dpig_tf2 import memory_needs
from dpig_tf2.errors import DpigError, shown

STAGES = ("reconstruction", "pose", "appearance_mapping", "pose_mapping")
PREDECESSORS = {"appearance_mapping": "reconstruction", "pose_mapping": "pose"}
OBJECTIVES = ("dcgan", "lsgan", "wgan", "wgan-gp")
PAIRINGS = ("pair", "triplet")
ARCHITECTURES = ("published", "placed")
MAPPINGS = ("adversarial", "flow")
OPTIMIZERS = ("adam", "muon")
_REGIONS = 7  # of the body
SCENE_CELL = 16  # side of a cell of the placed architecture's scene code, pixels
BOX_RULES = ("market1501", "deepfashion")
CHECKPOINTS = ("latest", "best")
_SMALLEST, _LARGEST = 1.1754944e-38, 3.4028235e38  # what networks know, float32
_LARGEST_INTEGER = 2**31 - 1
_MOST_SEED = 2_147_482  # training draws noise by int32 numbers: a thousand for each seed
_MOST_LEVELS = 16  # halvings of the resolution: images of more than 32768 pixels are not meant
MOST_RADIUS = 1000  # pixels; work and memory grow with the square
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")  # names of Keras dtype policies


class ConfigError(DpigError):
    """A configuration value that cannot work; the message names it."""


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Sizes of all networks. Field comments give the published values where they are not evident.

    `variant` decides the appearance embedding: "foreground_background" splits the image with the
    body mask (Market-1501), "appearance" encodes body regions only (DeepFashion).
    """

    variant: str
    height: int  # image rows, pixels
    width: int  # image columns, pixels
    box_rule: str  # how part boxes are grown, see ops.regions.part_boxes
    mask_radius: int = 7  # body mask fed to the encoder, pixels; unused by "appearance"
    pose_map_radius: int = 4  # pixels
    hidden: int = 128  # base width h: channels of the first level
    latent: int = 64  # generator bottleneck z
    region_size: int = 48  # crops are region_size x region_size pixels
    region_levels: int = 5
    region_embedding: int = 32  # per region, seven regions
    background_levels: int = 5
    background_embedding: int = 128
    generator_levels: int = 5
    pose_embedding: int = 32
    pose_hidden: int = 512
    # False: the pose autoencoder learns no coordinates of missing keypoints and decodes (0, 0).
    pose_learns_missing: bool = True
    foreground_mapping_hidden: int = 512
    background_mapping_hidden: int = 256
    pose_mapping_hidden: int = 512
    critic_hidden: int = 512
    discriminator_hidden: int = 64  # channels of its first layer, doubled three times
    discriminator_row: int = 16384  # features per logit: 8 logits per image at 256x256
    noise_scale: float = 0.2  # standard deviation of the noise that the mapping networks take
    # "placed": `models.placed`, which draws codes where they belong
    architecture: str = "published"
    placed_channels: int = 32  # of "placed" only: channels that region codes are placed in
    texels: bool = False  # of "placed" only: codes are read and placed finely, too: `ops.anchors`
    mapping: str = "adversarial"  # "flow": mapping networks are integrated, `models.flow_mapping`
    flow_places: bool = False  # of "flow" only: regions and cells have features of their own

    @property
    def has_background(self) -> bool:
        """Whether the background has a code of its own."""
        return self.variant == "foreground_background"

    @property
    def foreground_embedding(self) -> int:
        """Length of the code of all regions."""
        return _REGIONS * self.region_embedding

    @property
    def appearance_embedding(self) -> int:
        """Length of the codes of `appearance_factors` together."""
        background = self.background_embedding if self.has_background else 0
        return self.foreground_embedding + background

    @property
    def appearance_factors(self) -> tuple[str, ...]:
        """The factors whose embeddings, concatenated, are the appearance embedding."""
        return ("foreground", "background") if self.has_background else ("appearance",)

    @property
    def appearance_layout(self) -> dict[str, tuple[int, int]]:
        """{factor: (first, end)} of its code in the appearance embedding, in order."""
        layout, first = {}, 0
        for factor in self.appearance_factors:
            layout[factor] = first, first + self.embedding_size(factor)
            first = layout[factor][1]
        return layout

    @property
    def factors(self) -> tuple[str, ...]:
        """All that a person is made of, the pose last."""
        return (*self.appearance_factors, "pose")

    def mapped_factors(self, stage: str) -> tuple[str, ...]:
        """The factors whose mapping networks a stage trains; none in stage I."""
        mapped = {"appearance_mapping": self.appearance_factors, "pose_mapping": ("pose",)}
        return mapped.get(stage, ())

    def embedding_size(self, factor: str) -> int:
        """Length of one factor's embedding, which is also the length of its noise."""
        self.check_factor(factor)
        return {
            "foreground": self.foreground_embedding,
            "appearance": self.foreground_embedding,
            "background": self.background_embedding,
            "pose": self.pose_embedding,
        }[factor]

    def mapping_hidden(self, factor: str) -> int:
        """Units of one factor's mapping network."""
        self.check_factor(factor)
        return {
            "foreground": self.foreground_mapping_hidden,
            "appearance": self.foreground_mapping_hidden,
            "background": self.background_mapping_hidden,
            "pose": self.pose_mapping_hidden,
        }[factor]

    @property
    def scene_cells(self) -> int:
        """Number of cells in the placed architecture's scene code."""
        return self.height * self.width // SCENE_CELL**2

    def code_places(self, factor: str) -> int:
        """Number of places that a flow tells apart in a factor's code: regions, cells or 1."""
        self.check_factor(factor)
        if not self.flow_places or factor == "pose":
            return 1
        if factor == "background":
            return self.scene_cells if self.architecture == "placed" else 1
        return _REGIONS

    def check_factor(self, factor: str) -> None:
        """Raises ConfigError for what is none of `factors`."""
        if not isinstance(factor, str) or factor not in self.factors:
            raise ConfigError(
                f"factor must be one of {', '.join(self.factors)}; got {shown(factor)}",
                field="factor",
            )

    def known_factors(self, factors: Iterable[str] | None) -> tuple[str, ...]:
        """The factors, all for None; raises ConfigError naming an unknown one."""
        try:
            known = self.factors if factors is None else tuple(factors)
        except TypeError:
            message = f"factors must be a list, got {shown(factors)}"
            raise ConfigError(message, field="factors") from None
        for factor in known:
            self.check_factor(factor)
        return known

    def validate(self) -> None:
        """Raises ConfigError, naming the field, if the networks cannot be built."""
        _require_choice("model.variant", self.variant, ("foreground_background", "appearance"))
        _require_choice("model.box_rule", self.box_rule, BOX_RULES)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            least = 2 if field.name == "region_size" else 1  # crops keep their corner points
            if field.type is int:
                kind = field.name.rpartition("_")[2]
                most = {"levels": _MOST_LEVELS, "radius": MOST_RADIUS}.get(kind, _LARGEST_INTEGER)
                _require_between(f"model.{field.name}", value, least, most)
        _require_positive("model.noise_scale", self.noise_scale)
        _require_choice("model.architecture", self.architecture, ARCHITECTURES)
        _require_choice("model.mapping", self.mapping, MAPPINGS)
        if self.flow_places and self.mapping != "flow":
            raise ConfigError(
                "model.flow_places needs model.mapping=flow", field="model.flow_places"
            )
        if self.architecture == "placed":
            self._validate_placed()
        else:
            self._validate_published()
        _require_memory("networks of these sizes", memory_needs.weights(self))

    def _validate_published(self):
        if self.texels:
            raise ConfigError(
                "model.texels needs model.architecture=placed, which has codes of places",
                field="model.texels",
            )
        stride = 2 ** (self.generator_levels - 1)
        for name in ("height", "width"):
            if getattr(self, name) % stride:
                raise ConfigError(
                    f"model.{name} must be a multiple of {stride} for {self.generator_levels} "
                    f"generator levels, got {getattr(self, name)}"
                )
        features = 8 * self.discriminator_hidden * -(-self.height // 16) * -(-self.width // 16)
        if features % self.discriminator_row:
            raise ConfigError(
                f"model.discriminator_row must divide the {features} features of an image, "
                f"got {self.discriminator_row}"
            )

    def _validate_placed(self):
        if not self.has_background:
            raise ConfigError(
                "model.architecture=placed needs model.variant=foreground_background: it draws a "
                "figure before a scene",
                field="model.architecture",
            )
        for name in ("height", "width"):
            if getattr(self, name) % SCENE_CELL:
                raise ConfigError(
                    f"model.{name} must be a multiple of {SCENE_CELL} for "
                    f"model.architecture=placed, got {getattr(self, name)}",
                    field=f"model.{name}",
                )
        cells = self.scene_cells
        if self.background_embedding % cells:
            raise ConfigError(
                f"model.background_embedding must be a multiple of the {cells} cells of the scene, "
                f"got {self.background_embedding}",
                field="model.background_embedding",
            )


# Fields of a `StageConfig` that do not count everywhere: the stages in which they do, as long as
# such a stage has an adversary (pose never has one, and needs none).
_ADVERSARIAL = ("reconstruction", "appearance_mapping", "pose_mapping")
_COUNTS_IN = {
    "adversary_learning_rate": _ADVERSARIAL,
    "objective": STAGES,
    "pairing": ("reconstruction",),
    "reconstruction_weight": ("reconstruction", "pose"),
    "penalty_weight": _ADVERSARIAL,
    "clip": _ADVERSARIAL,
    "critic_updates": ("appearance_mapping", "pose_mapping"),
    "joint_discriminator": ("reconstruction",),
    "code_noise": ("pose",),
}
# Fields of a `StageConfig` that count under one objective only.
_COUNTS_UNDER = {"penalty_weight": "wgan-gp", "clip": "wgan"}
# Fields of a `ModelConfig` that count with one value of another only.
_COUNTS_WITH = {
    "architecture": {
        "published": (
            *("pose_map_radius", "latent", "region_size", "region_levels", "background_levels"),
            *("generator_levels", "discriminator_hidden", "discriminator_row"),
        ),
        "placed": ("placed_channels",),
    },
    "mapping": {"adversarial": ("critic_hidden",)},
}


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """How one stage trains."""

    batch_size: int  # global, examples per update
    steps: int
    learning_rate: float = 2e-5
    adversary_learning_rate: float = 2e-5  # of discriminator and critics
    # Adversarial objective; under wgan the optimizer is RMSProp, also of the pose autoencoder.
    objective: str = "dcgan"
    optimizer: str = "adam"  # "muon": of kernels, at a rate as `Recipe` has it
    pairing: str = "pair"  # "triplet" adds the target photo as a third discriminator input
    reconstruction_weight: float = 20.0
    penalty_weight: float = 10.0  # gradient penalty of wgan-gp
    clip: float = 0.01  # bound of critic weights under wgan
    critic_updates: int = 5  # per mapping update
    joint_discriminator: bool = False  # real and fake in one batch, sharing batch statistics
    halve_every: int = 50_000  # steps between halvings of the learning rate
    code_noise: float = 0.0  # of stage pose: on its codes, share of their standard deviation

    def shortened(self, steps: int) -> "StageConfig":
        """The same with fewer steps, over which the learning rate is halved as often."""
        halve_every = max(1, round(self.halve_every * steps / self.steps))
        return dataclasses.replace(self, steps=steps, halve_every=halve_every)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How the placed architecture, flows and whatever Muon updates are trained.

    Losses of images are means over pixels in the network's units; weights of 0 leave a term out.
    """

    structure_weight: float = 0.2  # of 1 - SSIM, beside the absolute error, which weighs 1
    person_weight: float = 1.0  # more weight of the absolute error where the person is
    scene_weight: float = 0.5  # of the absolute error of the scene alone, around the person
    texture_weight: float = 1.0  # of the squared error of texels' colors, with model.texels
    cross_answers: bool = True  # half of a batch takes each factor from another photo
    weight_average: float = 0.999  # decay of the exponential average that is sampled from
    warmup_steps: int = 200  # of the learning rate, from 0
    decay_share: float = 0.25  # last share of the steps, over which the learning rate falls to 0


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that a run depends on; saved as `config.json` in its folder."""

    preset: str
    model: ModelConfig
    reconstruction: StageConfig
    pose: StageConfig
    appearance_mapping: StageConfig
    pose_mapping: StageConfig
    recipe: Recipe = Recipe()
    match_release: bool = False  # release's update order: generator first, own batch per update
    seed: int = 0

    def stage(self, name: str) -> StageConfig:
        """How the named stage trains. Raises ConfigError for an unknown name."""
        if name not in STAGES:
            raise ConfigError(f"stage must be one of {', '.join(STAGES)}; got {shown(name)}")
        return getattr(self, name)

    def follows_recipe(self, stage: str) -> bool:
        """Whether `recipe` tells how a stage is trained; published methods have their own rules."""
        if stage == "reconstruction" and self.model.architecture == "placed":
            return True
        if stage in ("appearance_mapping", "pose_mapping") and self.model.mapping == "flow":
            return True
        return self.stage(stage).optimizer == "muon"

    def has_adversary(self, stage: str) -> bool:
        """Whether a stage trains a discriminator or critics beside its networks."""
        if stage == "reconstruction":
            return self.model.architecture == "published"
        return stage != "pose" and self.model.mapping != "flow"

    def updates_per_step(self, stage: str) -> int:
        """Batches that one training step of a stage consumes: each update draws its own."""
        if not self.has_adversary(stage):
            return 1
        if stage == "reconstruction":
            return 2 if self.match_release else 1
        return len(self.model.mapped_factors(stage)) * (1 + self.stage(stage).critic_updates)

    def validate(self) -> "Config":
        """Returns itself; raises ConfigError naming the first value that cannot work."""
        self.model.validate()
        _require_between("seed", self.seed, 0, _MOST_SEED)
        for name in STAGES:
            stage = self.stage(name)
            _require_choice(f"{name}.objective", stage.objective, OBJECTIVES)
            _require_choice(f"{name}.pairing", stage.pairing, PAIRINGS)
            _require_choice(f"{name}.optimizer", stage.optimizer, OPTIMIZERS)
            for field in ("batch_size", "steps", "critic_updates", "halve_every"):
                _require_between(f"{name}.{field}", getattr(stage, field), 1, _LARGEST_INTEGER)
            for field in ("learning_rate", "adversary_learning_rate", "clip"):
                _require_positive(f"{name}.{field}", getattr(stage, field))
            for field in ("reconstruction_weight", "penalty_weight", "code_noise"):
                if not 0 <= getattr(stage, field) <= _LARGEST:
                    raise ConfigError(
                        f"{name}.{field} must be finite and not negative, "
                        f"got {getattr(stage, field)}"
                    )
        for field in dataclasses.fields(Recipe):
            value, most = getattr(self.recipe, field.name), _LARGEST
            if field.name in ("weight_average", "decay_share"):
                most = 1.0
            if not 0 <= value <= most:
                raise ConfigError(
                    f"recipe.{field.name} must be from 0 to {most:g}, got {value}",
                    field=f"recipe.{field.name}",
                )
        self._validate_optimizers()
        for name in ("appearance_mapping", "pose_mapping"):
            if self.stage(name).objective not in ("wgan", "wgan-gp"):
                raise ConfigError(
                    f"{name}.objective must be wgan or wgan-gp: an embedding critic is a "
                    f"Wasserstein critic; got {shown(self.stage(name).objective)}"
                )
        return self

    def _validate_optimizers(self):
        """Muon has momentum and knows one rate: it is not for networks with an adversary."""
        for name in STAGES:
            if self.stage(name).optimizer == "adam" or name == "pose":
                continue
            field, value = (
                ("architecture", "placed") if name == "reconstruction" else ("mapping", "flow")
            )
            if getattr(self.model, field) != value:
                raise ConfigError(
                    f"{name}.optimizer=muon needs model.{field}={value}",
                    field=f"{name}.optimizer",
                )

    def require_memory(self, stage: str, replicas: int = 1) -> None:
        """Raises ConfigError if a replica's share of a training step cannot fit in memory."""
        needed = memory_needs.training(self, stage, replicas)
        _require_memory(f"{stage}.batch_size={self.stage(stage).batch_size}", needed)

    def override(self, **values) -> "Config":
        """A copy with dotted fields replaced, e.g. `override(**{"model.hidden": 32})`.

        Raises:
            ConfigError: if a name is unknown, a value has the wrong type, or nothing would change:
                the recipe where no stage follows it, a setting of adversaries where there are none,
                a field that does not count in its stage or for these networks.
        """
        config = self
        for name, value in values.items():
            config = _replace(config, name.split("."), value, name)
        config.validate()
        if config.recipe != self.recipe and not any(map(config.follows_recipe, STAGES)):
            changed = ", ".join(name for name in values if name.startswith("recipe"))
            raise ConfigError(
                f"{changed} would change nothing: no stage of preset {config.preset} follows the "
                "recipe, which is for model.architecture=placed, model.mapping=flow and Muon",
                field=changed,
            )
        if config.recipe.texture_weight != self.recipe.texture_weight and not config.model.texels:
            raise ConfigError(
                "recipe.texture_weight would change nothing: it is for model.texels=true",
                field="recipe.texture_weight",
            )
        config._require_effects(self)
        return config

    def _require_effects(self, before):
        """Raises if a setting was changed that does not count, or whose adversary is absent."""
        for stage in STAGES:
            for name, value in vars(self.stage(stage)).items():
                unused = self._why_unused(stage, name)
                if unused and value != getattr(before.stage(stage), name):
                    raise ConfigError(
                        f"{stage}.{name} would change nothing: {unused}", field=f"{stage}.{name}"
                    )
        for decisive, fields in _COUNTS_WITH.items():
            for choice, names in fields.items():
                for name in () if getattr(self.model, decisive) == choice else names:
                    if getattr(self.model, name) != getattr(before.model, name):
                        raise ConfigError(
                            f"model.{name} would change nothing: it is for "
                            f"model.{decisive}={choice}",
                            field=f"model.{name}",
                        )
        if self.match_release and not any(map(self.has_adversary, STAGES)):
            raise ConfigError(
                f"match_release would change nothing: preset {self.preset} has no adversaries, "
                "whose updates it orders",
                field="match_release",
            )

    def _why_unused(self, stage, name):
        """Why a field of a stage does not count; None if it does."""
        stages = _COUNTS_IN.get(name)
        if stages and stage not in stages:
            return f"it is for {', '.join(stages)}"
        if stages and stage != "pose" and not self.has_adversary(stage):
            return f"stage {stage} of preset {self.preset} has no adversary"
        settings = self.stage(stage)
        if _COUNTS_UNDER.get(name, settings.objective) != settings.objective:
            return f"it is for {stage}.objective={_COUNTS_UNDER[name]}"
        if name == "objective" and settings.optimizer == "muon":  # of pose: others are refused
            return f"it is for {stage}.optimizer=adam"
        if name == "halve_every" and self.follows_recipe(stage):
            return f"stage {stage} of preset {self.preset} lowers its rate by recipe.decay_share"
        return None

    def to_json(self) -> str:
        """All fields as indented text, which `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Config":
        """Raises ConfigError if the text is not JSON, or lacks or has fields that it must not."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"the configuration is not JSON: {error}") from error
        return cls.from_values(values)

    @classmethod
    def from_values(cls, values: object) -> "Config":
        """The configuration of nested dictionaries, as JSON gives them; raises as `from_json`."""
        return _build(cls, values, "").validate()


def _require_choice(name, value, choices):
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}")


def _require_between(name, value, least, most):
    if value < least:
        raise ConfigError(f"{name} must be at least {least}, got {shown(value)}", field=name)
    if value > most:
        raise ConfigError(f"{name} must be at most {most}, got {shown(value)}", field=name)


def _require_memory(what, needed):
    memory = memory_needs.machine_memory()
    if memory is not None and needed > memory:
        raise ConfigError(
            f"{what} need at least {needed / 2**30:.3g} GiB, this machine has "
            f"{memory / 2**30:.3g} GiB of memory"
        )


def _require_positive(name, value):
    if not _SMALLEST <= value <= _LARGEST:
        raise ConfigError(f"{name} must be positive and finite, got {value}")


def _replace(node, path, value, full_name):
    fields = {field.name: field.type for field in dataclasses.fields(node)}
    if path[0] not in fields:
        raise ConfigError(
            f"unknown configuration field {shown(full_name)}; known: {', '.join(fields)}"
        )
    if len(path) > 1:
        child = getattr(node, path[0])
        if not dataclasses.is_dataclass(child):
            raise ConfigError(f"configuration field {shown(full_name)} does not exist")
        value = _replace(child, path[1:], value, full_name)
    else:
        value = _convert(value, fields[path[0]], full_name)
    return dataclasses.replace(node, **{path[0]: value})


def _convert(value, expected, name):
    if type(value) is int and abs(value) > _LARGEST_INTEGER:
        raise ConfigError(
            f"configuration field {shown(name)} is beyond {_LARGEST_INTEGER} in size", field=name
        )
    if expected is float and type(value) is int:
        value = float(value)
    if dataclasses.is_dataclass(expected) or type(value) is not expected:
        kind = getattr(expected, "__name__", expected)
        raise ConfigError(f"configuration field {shown(name)} takes {kind}, got {shown(value)}")
    return value


def _build(cls, values, prefix):
    types = typing.get_type_hints(cls)
    # A field that an older run does not know takes its default, which is how that run worked.
    required = {f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
    given = set(values) if isinstance(values, dict) else set()
    if differing := (required - given) | (given - set(types)):
        raise ConfigError(
            f"configuration {prefix or 'root'}: missing or unknown fields "
            f"{', '.join(sorted(differing))}"
        )
    return cls(
        **{
            name: _build(kind, values[name], f"{prefix}{name}.")
            if dataclasses.is_dataclass(kind)
            else _convert(values[name], kind, f"{prefix}{name}")
            for name, kind in types.items()
            if name in given
        }
    )


_MODERN = Config(
    preset="modern",
    model=ModelConfig(
        "foreground_background",
        128,
        64,
        box_rule="market1501",
        hidden=32,
        region_embedding=64,
        background_embedding=768,
        pose_hidden=384,
        pose_learns_missing=False,
        foreground_mapping_hidden=192,
        background_mapping_hidden=128,
        pose_mapping_hidden=256,
        noise_scale=1.0,
        architecture="placed",
        mapping="flow",
        flow_places=True,
    ),
    reconstruction=StageConfig(batch_size=4, steps=40_000, learning_rate=1e-3, optimizer="muon"),
    pose=StageConfig(
        batch_size=256, steps=6_000, learning_rate=1e-3, optimizer="muon", code_noise=0.02
    ),
    appearance_mapping=StageConfig(
        batch_size=64, steps=20_000, learning_rate=1e-3, objective="wgan-gp"
    ),
    pose_mapping=StageConfig(batch_size=256, steps=80_000, learning_rate=1e-3, objective="wgan-gp"),
)

PRESETS = {
    "market1501": Config(
        preset="market1501",
        model=ModelConfig("foreground_background", 128, 64, box_rule="market1501"),
        reconstruction=StageConfig(batch_size=16, steps=120_000),
        pose=StageConfig(batch_size=64, steps=60_000),
        appearance_mapping=StageConfig(batch_size=32, steps=120_000, objective="wgan"),
        pose_mapping=StageConfig(batch_size=64, steps=60_000, objective="wgan"),
    ),
    "deepfashion": Config(
        preset="deepfashion",
        model=ModelConfig(
            "appearance",
            256,
            256,
            box_rule="deepfashion",
            mask_radius=8,
            region_size=64,
            region_levels=7,
        ),
        reconstruction=StageConfig(batch_size=6, steps=120_000, joint_discriminator=True),
        pose=StageConfig(batch_size=16, steps=120_000),
        appearance_mapping=StageConfig(batch_size=16, steps=120_000, objective="wgan"),
        pose_mapping=StageConfig(batch_size=32, steps=60_000, objective="wgan"),
    ),
    # Small enough for two CPU cores in minutes; the same code with other numbers.
    "synthetic": Config(
        preset="synthetic",
        model=ModelConfig(
            "foreground_background",
            48,
            24,
            box_rule="market1501",
            mask_radius=3,
            pose_map_radius=3,
            hidden=16,
            latent=32,
            region_size=12,
            region_levels=3,
            background_levels=4,
            generator_levels=3,
            pose_hidden=256,
            # Sampled poses are half as often impossible as with the published pose loss.
            pose_learns_missing=False,
            foreground_mapping_hidden=256,
            background_mapping_hidden=256,
            pose_mapping_hidden=256,
            critic_hidden=256,
            discriminator_hidden=16,
            discriminator_row=768,
        ),
        reconstruction=StageConfig(
            batch_size=8,
            steps=5500,
            learning_rate=3e-4,
            adversary_learning_rate=5e-5,
            # So few steps are best spent on the reconstruction: the adversary hardly weighs.
            reconstruction_weight=1000.0,
            halve_every=2200,
        ),
        pose=StageConfig(
            batch_size=64, steps=4000, learning_rate=5e-4, halve_every=1000, code_noise=0.1
        ),
        appearance_mapping=StageConfig(
            batch_size=64,
            steps=600,
            learning_rate=2e-4,
            adversary_learning_rate=2e-4,
            objective="wgan-gp",
        ),
        pose_mapping=StageConfig(
            batch_size=64,
            steps=2000,
            learning_rate=2e-4,
            adversary_learning_rate=2e-4,
            objective="wgan-gp",
            halve_every=700,
        ),
    ),
    # The modern recipe; its weights for synthetic persons come with the package.
    "modern": _MODERN,
    # The same for two cores and a few minutes.
    "modern_64x32": _MODERN.override(
        **{
            "preset": "modern_64x32",
            "model.height": 64,
            "model.width": 32,
            "model.mask_radius": 3,
            "model.background_embedding": 384,
            "model.pose_hidden": 256,
            "reconstruction.steps": 4000,
            "pose.batch_size": 64,
            "pose.steps": 4000,
            "pose.optimizer": "adam",  # cheaper steps, and enough for its size
            "pose.halve_every": 1000,
            "pose.code_noise": 0.1,
            "appearance_mapping.steps": 4000,
            "pose_mapping.steps": 6000,
        }
    ),
}


def preset(name: str) -> Config:
    """The named preset, validated. Raises ConfigError for an unknown name."""
    if name not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}; got {shown(name)}")
    return PRESETS[name].validate()
