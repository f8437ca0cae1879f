"""The one sheet that shows what a run can do."""

import types

import pytest

from dpig_tf2 import testing
from dpig_tf2.models import factory
from dpig_tf2.sampling.persons import Persons
from dpig_tf2.sampling.sampler import PersonSampler
from dpig_tf2.sampling.tasks.context import Context
from dpig_tf2.sampling.tasks.overview import overview


@pytest.mark.parametrize("count", [1, 2])
def test_a_person_alone_is_not_put_into_her_own_pose(tiny_config, count):
    model = tiny_config.model
    networks = factory.build_networks(["appearance_encoder", "generator"], model)
    person = testing.random_person(model, count)
    persons = Persons(tuple("ab"[:count]), person["keypoints"].numpy(), person["image"].numpy())
    sheets = []
    output = types.SimpleNamespace(
        add_sheet=lambda name, rows, labels, columns: sheets.append(labels)
    )
    overview(Context(PersonSampler(tiny_config, networks), output, lambda *_: None), persons, 0)
    reposed = ["other pose", "re-posed"] if count > 1 else []
    assert sheets == [["real", "reconstructed", *reposed]]
