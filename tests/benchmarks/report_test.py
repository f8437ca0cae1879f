import json

import pytest

from dpig_tf2.benchmarks import report
from dpig_tf2.benchmarks.measure import Result
from dpig_tf2.benchmarks.memory import Peak

MACHINE = {
    "processor": "Some Processor",
    "cores": 2,
    "bfloat16": ["avx512_bf16"],
    "memory_gib": 8.0,
    "gpus": [],
    "tensorflow": "2.21.0",
}


@pytest.fixture
def measured():
    sizes = ("market1501", 128, 64, 32, 8, "CPU")
    results = [
        Result("sampling", "reference", *sizes, "float32", (0.2, 0.3, 0.4), (1.0, 1.0, 1.0)),
        Result(
            "sampling", "fast mixed_bfloat16", *sizes, "mixed_bfloat16", (0.1,), (2.5,), 4 * 10**9
        ),
    ]
    peaks = [Peak("market1501", 32, 8, "float32", True, 1.5, 0.5, 2.0)]
    limits = {"mixed_bfloat16": {"matmul": 80.0, "conv": 50.0}}
    return report.Report("dpig benchmark --quick", MACHINE, limits, results, peaks)


def test_json_holds_every_figure(measured, tmp_path):
    report.write_json(tmp_path / "figures.json", measured)
    figures = json.loads((tmp_path / "figures.json").read_text())
    reference, fast = figures["results"]
    assert reference["median"] == 0.3 and reference["gflops"] is None
    assert fast["ratio"] == 2.5
    assert fast["gflops"] == pytest.approx(40.0)
    assert fast["fraction_of_limit"] == pytest.approx(0.5)
    assert figures["memory"][0]["gib"] == 1.5


def test_markdown_goes_between_the_marks(measured, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.START}\nold\n{report.END}\nafter\n")
    for _ in range(2):
        report.insert(page, measured.markdown())
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| sampling")]
    assert [row.count("|") for row in rows] == [15, 15]
    assert "| 2.50 | 40 | 50% |" in rows[1] and "| fast |" in rows[1]
    assert "80" in text and "Some Processor" in text


def test_a_page_without_marks_is_left_as_it_is(measured, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="page.md.*must mark"):
        report.check_marks(page)
    with pytest.raises(ValueError, match="page.md.*must mark"):
        report.insert(page, measured.markdown())
    assert page.read_text() == "no marks"
    page.write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="page.md: no text in UTF-8"):
        report.check_marks(page)


def test_text_is_aligned(measured):
    head, *rows = [line for line in measured.text().splitlines() if "CPU" in line or "way" in line]
    assert len({line.index("market1501") for line in rows} | {head.index("preset")}) == 1
