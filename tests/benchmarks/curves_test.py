import pytest

from dpig_tf2 import config
from dpig_tf2.benchmarks import cases, curves
from dpig_tf2.benchmarks.measure import Result


@pytest.fixture
def panels(monkeypatch):
    """The panels of a picture of made-up results at the sizes that are measured."""
    settings = config.preset("market1501").override(
        **{"model.hidden": 16, "reconstruction.batch_size": 8}
    )
    results = []
    for number, other in enumerate(cases.curve_sizes(settings, (0.5, 2.0))):
        size = (other.model.height, other.model.width, other.model.hidden)
        for precision in ("float32", "mixed_bfloat16"):
            times = (0.1 + number, 0.2 + number, 0.4 + number)
            batch = other.reconstruction.batch_size
            what = "training step, reconstruction"
            results.append(
                Result(what, "fast", "market1501", *size, batch, "CPU", precision, times, ())
            )
    drawn = {}
    monkeypatch.setattr(curves, "chart", lambda title, unit, panels: drawn.update(panels=panels))
    curves.picture(results)
    return drawn["panels"]


def test_each_curve_varies_one_quantity(panels):
    assert [list(panel.labels) for panel in panels] == [
        ["4", "8", "16"], ["8", "16", "32"], ["64x32", "128x64", "256x128"],
    ]  # fmt: skip
    assert "width 16, 128x64" in panels[0].title and "batch 8" in panels[1].title
    for panel in panels:
        assert list(panel.curves) == ["float32", "mixed_bfloat16"]
        assert all(len(curve) == 3 for curve in panel.curves.values())


def test_milliseconds_with_their_range(panels):
    shared, last = panels[0].curves["float32"][1], panels[2].curves["float32"][2]
    assert shared == pytest.approx((100, 200, 400))
    assert last == pytest.approx((6100, 6200, 6400))
