import pytest

from dpig_tf2.serving import formats
from dpig_tf2.serving.formats import ExportError, ExportSettings


@pytest.mark.parametrize(
    "settings, field",
    [
        ({"format": "tflite"}, "format"),
        ({"quantize": "int4"}, "quantize"),
        ({"format": "onnx", "batch_size": 0}, "batch_size"),
        ({"version": 0}, "version"),
        ({"quantize": "int8"}, "quantize"),
        ({"batch_size": 2}, "batch_size"),
    ],
)
def test_unusable_settings_are_refused(settings, field):
    with pytest.raises(ExportError) as caught:
        ExportSettings(**settings)
    assert caught.value.field == field


@pytest.mark.parametrize(("format", "module"), [("onnx", "tf2onnx"), ("litert", "ai_edge_litert")])
def test_an_absent_package_is_named_with_its_extra(format, module, monkeypatch):
    find = formats.importlib.util.find_spec
    monkeypatch.setattr(
        formats.importlib.util, "find_spec", lambda name: None if name == module else find(name)
    )
    with pytest.raises(
        ExportError, match=rf"needs {module}: pip install .dpig-tf2\[{format}\]"
    ) as e:
        ExportSettings(format=format)
    assert e.value.field == "format"
    ExportSettings()  # a SavedModel needs nothing


def test_only_litert_has_a_batch_size_of_its_own():
    assert ExportSettings("onnx").rows is None
    assert ExportSettings("litert").rows == 1
    assert ExportSettings("litert", batch_size=8).rows == 8
