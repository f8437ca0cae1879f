import json

import numpy as np
import pytest

from dpig_tf2.config import preset
from dpig_tf2.legacy_tf1 import importer, variable_map
from dpig_tf2.legacy_tf1.checkpoint import Checkpoint
from dpig_tf2.models import factory
from tests.legacy_tf1.reference import STAGES

MODELS = list(STAGES)


def _preset(model):
    return "deepfashion" if len(model) > 2 else "market1501"


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.fixture
def listing(shared_dir, model):
    path = shared_dir / "fixtures" / "tf1" / f"{model}_variables.json"
    return json.loads(path.read_text())


def _shapes(listing, size):
    """Names and shapes of a graph as a checkpoint whose arrays take no memory."""
    tensors = {
        v["name"]: np.broadcast_to(np.asarray(0, v["dtype"]), v["shape"])
        for v in listing[size]["variables"]
    }
    return Checkpoint("shapes-0", tensors)


@pytest.mark.parametrize("size", ["small", "full"])
def test_every_source_variable_is_mapped_once_or_ignored_for_a_reason(model, listing, size):
    stage, sizes = STAGES[model], preset(_preset(model)).model
    names = _shapes(listing, size).tensors
    table = variable_map.stage_table(stage, sizes)
    suffixes = set(variable_map.ADAM_SLOTS) | set(variable_map.RMSPROP_SLOTS)
    slots = {f"{source}/{suffix}" for source in table for suffix in suffixes} & set(names)
    ignored = variable_map.ignore_list(names, stage, sizes)
    rates = set(variable_map.LEARNING_RATES.values())
    groups = [set(table), slots, set(ignored), rates]
    assert set.union(*groups) == set(names)
    assert sum(map(len, groups)) == len(names), "a variable is in two groups"
    assert len(set(table.values())) == len(table)
    assert all(ignored.values())


def test_the_moved_variables_are_those_with_slots(model, listing):
    """What an optimizer of the release moves has slots; the map takes exactly these."""
    names = [v["name"] for v in listing["small"]["variables"]]
    moved = {n.rpartition("/")[0] for n in names if n.endswith(("/Adam", "/RMSProp"))}
    table = variable_map.stage_table(STAGES[model], preset(_preset(model)).model)
    assert set(table) == moved


SIZES_READ = {
    "reconstruction": (
        "hidden",
        "latent",
        "region_embedding",
        "discriminator_hidden",
        "discriminator_row",
    ),
    "pose": ("pose_hidden", "pose_embedding"),
    "appearance_mapping": ("region_embedding", "foreground_mapping_hidden", "critic_hidden"),
    "pose_mapping": ("pose_embedding", "pose_mapping_hidden", "critic_hidden"),
}


def test_published_sizes_are_read_from_the_full_graph(model, listing):
    published = preset(_preset(model))
    fields = SIZES_READ[STAGES[model]]
    wrong = published.override(**{f"model.{field}": 2 for field in fields})
    found = importer.infer_sizes(wrong, {STAGES[model]: _shapes(listing, "full")})
    for field in fields:
        assert getattr(found.model, field) == getattr(published.model, field), field


def test_every_network_variable_is_written_once(model, listing):
    sizes = importer.infer_sizes(
        preset(_preset(model)), {STAGES[model]: _shapes(listing, "small")}
    ).model
    networks = factory.build_networks(factory.stage_networks(STAGES[model], sizes), sizes)
    paths = [v.path for network in networks.values() for v in network.variables]
    assert sorted(variable_map.stage_table(STAGES[model], sizes).values()) == sorted(paths)


def test_a_graph_is_recognized_by_its_names(model, listing):
    names = [v["name"] for v in listing["small"]["variables"]]
    stage, preset_name = variable_map.looks_like(names)
    assert stage == STAGES[model]
    if model == "m4":
        assert preset_name == "market1501"
    elif stage == "pose":
        assert preset_name is None
    else:
        assert preset_name == _preset(model)


def test_other_graphs_are_not_recognized():
    assert variable_map.looks_like(["dense/kernel", "dense/bias"]) == (None, None)
