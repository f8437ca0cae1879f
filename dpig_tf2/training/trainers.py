"""The trainer of a stage, from its name."""

from dpig_tf2.config import Config
from dpig_tf2.execution import Execution
from dpig_tf2.models import factory
from dpig_tf2.training.flow_mapping import FlowMappingTrainer
from dpig_tf2.training.mapping import MappingTrainer
from dpig_tf2.training.placed_reconstruction import PlacedReconstructionTrainer
from dpig_tf2.training.pose_reconstruction import PoseReconstructionTrainer
from dpig_tf2.training.reconstruction import ReconstructionTrainer
from dpig_tf2.training.trainer import StageTrainer


def build_trainer(stage: str, config: Config, execution: Execution = Execution()) -> StageTrainer:
    """A trainer with freshly initialized networks and optimizers.

    Args:
        stage: one of `config.STAGES`.
        config: the run's configuration.
        execution: how the networks compute. In "mixed_float16" every optimizer scales its loss.
    """
    names = factory.stage_networks(stage, config.model)
    networks = factory.build_networks(names, config.model, execution)
    if stage == "reconstruction" and config.model.architecture == "placed":
        return PlacedReconstructionTrainer(config, networks)
    if stage == "reconstruction":
        return ReconstructionTrainer(config, networks)
    if stage == "pose":
        return PoseReconstructionTrainer(config, networks)
    if config.model.mapping == "flow":
        return FlowMappingTrainer(config, stage, networks)
    return MappingTrainer(config, stage, networks)
