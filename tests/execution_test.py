import json

import pytest

from dpig_tf2.config import ConfigError
from dpig_tf2.execution import Execution


@pytest.mark.parametrize(
    "arguments, field, message",
    [
        ({"precision": "bfloat16"}, "precision", "one of float32, mixed_bfloat16, mixed_float16"),
        ({"implementation": "plain"}, "implementation", "one of reference, fast; got 'plain'"),
        ({"rematerialize": 1}, "rematerialize", "True or False, got 1"),
        ({"jit_compile": "auto"}, "jit_compile", "True or False, got 'auto'"),
        (
            {"implementation": "reference", "jit_compile": True},
            "jit_compile",
            "needs implementation=fast",
        ),
    ],
)
def test_bad_values_are_refused_by_name(arguments, field, message):
    with pytest.raises(ConfigError, match=message) as refused:
        Execution(**arguments)
    assert refused.value.field == field


def test_classes_of_convolutions_may_come_from_json():
    read = Execution(library=json.loads(json.dumps([[128, 32, True]])))
    assert read == Execution(library=((128, 32, True),))
    assert hash(read)
