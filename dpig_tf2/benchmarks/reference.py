"""The method as it is written down: the reference that everything faster is measured against.

Same weights, same numbers to rounding, more work: networks and pose maps of implementation
"reference", separate forwards for the two updates, and a frozen encoder that runs for every critic
update. Each update is one call of a compiled graph, as in the practice of 2018.
"""

import itertools

import tensorflow as tf

from dpig_tf2.config import Config, ModelConfig
from dpig_tf2.execution import Execution
from dpig_tf2.models.layers import Network
from dpig_tf2.models.person_model import PersonModel
from dpig_tf2.ops import pose_maps
from dpig_tf2.ops.images import to_network_range
from dpig_tf2.training.mapping import MappingTrainer
from dpig_tf2.training.reconstruction import ReconstructionTrainer
from dpig_tf2.training.trainer import split_updates

EXECUTION = Execution(implementation="reference")


def pose_map(keypoints, model: ModelConfig) -> tf.Tensor:
    """The reference pose maps of a model's size, float32 [B, H, W, 18] in {-1, +1}."""
    return pose_maps.pose_map(
        keypoints, model.height, model.width, model.pose_map_radius, EXECUTION.implementation
    )


class ReferencePersonModel(PersonModel):
    """`PersonModel` of networks built with `EXECUTION`, with reference pose maps."""

    def generate(self, appearance_embedding, keypoints):
        if self.config.architecture == "placed":  # draws no pose maps
            return super().generate(appearance_embedding, keypoints)
        return self.network("generator")(appearance_embedding, pose_map(keypoints, self.config))


class ReferenceReconstructionTrainer(ReconstructionTrainer):
    """Stage I with a forward for each update, in the default order: discriminator, generator.

    Args:
        config: the run's configuration.
        networks: built with `EXECUTION`.
    """

    def __init__(self, config: Config, networks: dict[str, Network]):
        super().__init__(config, networks)
        self.person_model = ReferencePersonModel(config.model, networks)
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
        self.optimized["generator"].minimize(tape, loss)
        return logs


class ReferenceMappingTrainer(MappingTrainer):
    """Stage II on appearance that encodes the photos of every critic update anew.

    Args:
        config: the run's configuration.
        networks: mapping networks and critics.
        encoder: has the frozen appearance encoder, built with `EXECUTION`.
    """

    def __init__(self, config: Config, networks: dict[str, Network], encoder: PersonModel):
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
