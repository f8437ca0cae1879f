import dataclasses

import pytest

from dpig_tf2.benchmarks import report, serving
from dpig_tf2.errors import DpigError
from dpig_tf2.models import factory
from dpig_tf2.sampling.sampler import PersonSampler


def _comparison(tiny_config, folder):
    networks = factory.build_networks(("appearance_encoder", "generator"), tiny_config.model)
    return serving._Comparison(PersonSampler(tiny_config, networks), folder, 1, (1, 2))


@pytest.mark.slow
def test_ways_are_measured_in_processes_of_their_own(tiny_config, tmp_path, monkeypatch):
    comparison = _comparison(tiny_config, tmp_path)

    def ways(self, precisions, absent):
        yield "TensorFlow", "float32", self._way("tensorflow", tmp_path / "sampler")
        yield "onnxruntime", "float16", self._exported("onnx", "float16")

    monkeypatch.setattr(serving._Comparison, "_ways", ways)
    rows, absent = comparison.measured(("float32",))
    assert [row.way for row in rows] == ["reference", "TensorFlow", "onnxruntime"] and not absent
    for row in rows:
        assert row.max_levels <= 3 and row.mean_levels < 0.2  # untrained: little contrast
        assert min(row.seconds + row.ratios) > 0 and row.start_seconds > 0
    assert rows[2].size < rows[1].size and rows[2].gib < rows[1].gib


def test_a_process_that_ends_tells_why(tmp_path):
    way = {"kind": "onnx", "path": tmp_path, "inputs": tmp_path / "absent.npz"}
    with serving._Process(way) as process, pytest.raises(DpigError, match="absent.npz"):
        process.draw(1)


def test_absent_extras_leave_rows_out(tiny_config, tmp_path, monkeypatch):
    def refuse(kind):
        raise serving.ExportError(f"format {kind} needs something", field="format")

    monkeypatch.setattr(serving, "require_packages", refuse)
    monkeypatch.setattr(serving._Comparison, "_exported", lambda *_: {})
    absent = []
    rows = list(_comparison(tiny_config, tmp_path)._ways(("float32", "mixed_bfloat16"), absent))
    assert [(name, precision) for name, precision, _ in rows] == [
        (f"TensorFlow, {kind}", precision)
        for precision in ("float32", "mixed_bfloat16")
        for kind in ("as loaded", "frozen", "SavedModel")
    ]
    assert len(absent) == 2 and "onnxruntime: format onnx needs" in absent[0]


def test_a_way_that_cannot_hold_the_networks_is_left_out(tiny_config, tmp_path, monkeypatch):
    def exported(self, kind, how):
        if how == "int8":
            raise serving.ExportError("not these networks", field="quantize")
        return {}

    monkeypatch.setattr(serving, "require_packages", lambda kind: None)
    monkeypatch.setattr(serving._Comparison, "_exported", exported)
    absent = []
    rows = list(_comparison(tiny_config, tmp_path)._ways((), absent))
    assert len(rows) == 4 and "int8" not in [precision for _, precision, _ in rows]
    assert absent[1] == "LiteRT, XNNPACK, int8: not these networks"


def test_the_table_has_a_row_for_each_way():
    served = serving.Served(
        *("LiteRT, XNNPACK", "int8", "synthetic", 48, 24, 16, 1_500_000, 0.25, 3.0, (1, 8)),
        *((0.0123, 0.004), (2.5, 12.0), 0.31, 0.04),
    )
    machine = {"processor": "CPU", "cores": 2, "gpus": [], "bfloat16": []}
    machine |= {"memory_gib": 1, "tensorflow": "2"}
    made = report.Report("dpig benchmark", machine, {}, served=[served])
    assert (
        "| LiteRT, XNNPACK | int8 | synthetic | 48x24 | 16 | 1.5 | 0.250 | 3 | 12 | 2.50 | 8 | "
        "4.00 | 12 | 0.3 | 0.04 |" in made.markdown()
    )
    assert made.as_dict()["serving"] == [dataclasses.asdict(served)]
