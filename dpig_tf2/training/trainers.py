"""The trainer of a stage, from its name."""

from dpig_tf2.config import Config
from dpig_tf2.models import factory
from dpig_tf2.training.mapping import MappingTrainer
from dpig_tf2.training.pose_reconstruction import PoseReconstructionTrainer
from dpig_tf2.training.reconstruction import ReconstructionTrainer
from dpig_tf2.training.trainer import StageTrainer


def build_trainer(stage: str, config: Config, **how) -> StageTrainer:
    """A trainer with freshly initialized networks and optimizers.

    Args:
        stage: one of `config.STAGES`.
        config: the run's configuration.
        **how: the networks compute, see `models.factory.build_network`. In "mixed_float16" every
            optimizer scales its loss.
    """
    names = factory.stage_networks(stage, config.model)
    networks = factory.build_networks(names, config.model, **how)
    if stage == "reconstruction":
        return ReconstructionTrainer(config, networks)
    if stage == "pose":
        return PoseReconstructionTrainer(config, networks)
    return MappingTrainer(config, stage, networks)
