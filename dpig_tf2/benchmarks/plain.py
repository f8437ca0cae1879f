"""The method without its shortcuts: what the networks compute, computed as it is written down.

The measure of every shortcut: same weights, same numbers up to rounding, more work. Separate
forwards for the two players, a generator that convolves the broadcast embedding and the upsampled
maps, pose maps from shifted copies, and a frozen encoder that runs for every critic update. Each
update is one call of a compiled graph, as in the 2018 practice.
"""

import functools
import itertools

import keras
import tensorflow as tf

from dpig_tf2.config import Config
from dpig_tf2.models import layers
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops.images import to_network_range
from dpig_tf2.training.mapping import MappingTrainer
from dpig_tf2.training.reconstruction import ReconstructionTrainer
from dpig_tf2.training.trainer import split_updates


def pose_map(keypoints, height: int, width: int, radius: int) -> tf.Tensor:
    """`ops.pose_maps.pose_map`: one pixel for each keypoint, dilated by shifted copies."""
    row, column, visibility = tf.unstack(tf.cast(keypoints, tf.float32), axis=-1)

    def marks(values, length):
        padded = tf.one_hot(tf.cast(values, tf.int32) + radius, length + 2 * radius, axis=1)
        return padded * tf.cast(visibility > 0.5, tf.float32)[:, None]

    pixels = marks(row, height)[:, :, None] * marks(column, width)[:, None]
    copies = [
        pixels[:, y : y + height, x : x + width]
        for y, x in itertools.product(range(2 * radius + 1), repeat=2)
        if (y - radius) ** 2 + (x - radius) ** 2 <= radius**2
    ]
    return 2.0 * functools.reduce(tf.maximum, copies) - 1.0


def generate(generator, embedding, pose_map) -> tf.Tensor:
    """`generator(embedding, pose_map)` by plain convolutions on full-size maps; float32 only."""
    _, height, width, _ = pose_map.shape
    tiled = tf.tile(embedding[:, None, None, :], [1, height, width, 1])
    first = generator.input_conv
    x = tf.nn.conv2d(tf.concat([tiled, pose_map], axis=-1), first.kernel, 1, "SAME") + first.bias
    skips = generator.pyramid(tf.nn.relu(x))
    x = tf.reshape(generator.bottom_dense(generator.bottleneck(skips)), [-1, *generator.bottom])
    upsample = keras.layers.UpSampling2D(2, interpolation="nearest")
    for level, residual in enumerate(generator.residuals):
        if level:
            x = generator.ups[level - 1](upsample(x))
        x = layers.ResidualConv.call(residual, tf.concat([x, skips[-1 - level]], axis=-1))
    return generator.output_conv(x)


class PlainPersonModel(PersonModel):
    """`PersonModel` that generates the plain way."""

    def generate(self, appearance_embedding, keypoints):
        config = self.config
        maps = pose_map(keypoints, config.height, config.width, config.pose_map_radius)
        return generate(self.network("generator"), appearance_embedding, maps)


class PlainReconstructionTrainer(ReconstructionTrainer):
    """Stage I with a forward for each player, in the default order: discriminator, generator."""

    def __init__(self, config: Config, networks: dict):
        super().__init__(config, networks)
        self.person_model = PlainPersonModel(config.model, networks)
        self.graphs = [tf.function(self.move_discriminator), tf.function(self.move_generator)]

    def run_step(self, batch) -> dict:
        """One step on a batch as `ReconstructionTrainer` documents; returns the losses."""
        logs = {}
        for graph in self.graphs:
            logs |= graph(batch)
        return logs

    def move_discriminator(self, batch):
        person = batch["source"]
        fake = self.reconstruct(person)
        return self.update_discriminator(to_network_range(person["image"]), fake, batch)

    def move_generator(self, batch):
        real = to_network_range(batch["source"]["image"])
        with tf.GradientTape() as tape:
            fake = self.reconstruct(batch["source"])
            loss, logs = self.generator_loss(real, fake, batch)
        self.players["generator"].minimize(tape, loss)
        return logs


class PlainMappingTrainer(MappingTrainer):
    """Stage II on appearance that encodes the photos of every critic update anew.

    Args:
        config: the run's configuration.
        networks: mapping networks and critics.
        encoder: has the frozen appearance encoder.
    """

    def __init__(self, config: Config, networks: dict, encoder: PersonModel):
        super().__init__(config, "appearance_mapping", networks)
        self.person_model = encoder
        self.mapping_graph = tf.function(self.update_mapping)
        self.critic_graph = tf.function(self.encode_and_update_critic)

    def run_step(self, batch) -> dict:
        """One step; returns the losses.

        Args:
            batch: {"source": person, "noise": {factor: float32 [U * B, E], scaled}}, a person as
                `pipeline.parser` documents, of U * B photos with U = `updates_per_step`.
        """
        logs = {}
        pieces = iter(split_updates(batch, self.updates_per_step))
        for factor in self.factors:
            noise = next(pieces)["noise"][factor]
            logs[f"loss/{factor}_mapping"] = self.mapping_graph(factor, noise)
            for piece in itertools.islice(pieces, self.settings.critic_updates):
                logs |= self.critic_graph(factor, piece)
        return logs

    def encode_and_update_critic(self, factor, piece):
        embedding = self.person_model.encode_person(piece["source"])
        parts = self.person_model.split_appearance(embedding)
        return self.update_critic(factor, parts[factor], piece["noise"][factor])
