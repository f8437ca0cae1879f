"""What all tasks share."""

import types

import pytest

from dpig_tf2.io.manifests import OutputError
from dpig_tf2.sampling.output_folder import OutputFolder
from dpig_tf2.sampling.tasks.context import Context, generate_missing


def test_two_pictures_of_one_name_in_a_batch_are_refused(tmp_path):
    made_from = [
        {"source": "x", "pose_of": "y_to_z"},
        {"source": "x_to_y", "pose_of": "z"},
    ]
    files = [f"{each['source']}_to_{each['pose_of']}.png" for each in made_from]
    sampler = types.SimpleNamespace(batch_size=2)
    with OutputFolder(tmp_path / "out", {}) as output, pytest.raises(OutputError) as refused:
        generate_missing(Context(sampler, output, print), files, made_from, None)
    assert "x_to_y_to_z.png would be two pictures, with source 'x' and 'x_to_y'" in str(
        refused.value
    )
