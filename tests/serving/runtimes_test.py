import pytest

from dpig_tf2.io.json_files import JsonError
from dpig_tf2.serving import runtimes
from dpig_tf2.serving.formats import ExportError


def test_a_damaged_description_is_named(tmp_path):
    path = tmp_path / "signatures.json"
    path.write_text("{")
    with pytest.raises(JsonError) as caught:
        runtimes.describe(tmp_path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("format", "field"), [("tflite", "format"), ("onnx", "signature"), ("litert", "signature")]
)
def test_what_cannot_be_loaded_is_named(tmp_path, format, field):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(ExportError) as caught:
        runtimes.load(tmp_path, format, "transfer")
    assert caught.value.field == field
