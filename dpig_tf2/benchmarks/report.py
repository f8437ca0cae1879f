"""Results as a table for people, in Markdown, and as JSON."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence

from dpig_tf2.benchmarks.measure import Result
from dpig_tf2.benchmarks.memory import Peak
from dpig_tf2.benchmarks.serving import Served
from dpig_tf2.errors import DpigError
from dpig_tf2.io.atomic import write_text

START, END = "<!-- figures of dpig benchmark -->", "<!-- end of figures -->"

_COLUMNS = (
    "what", "way", "preset", "size", "width", "batch", "device", "precision",
    "median ms", "lowest", "highest", "ratio", "GFLOP/s", "of limit",
)  # fmt: skip
_SERVING_COLUMNS = (
    "way", "precision", "preset", "size", "width", "MB", "levels apart", "at most",
    "ms a picture", "ratio", "batch", "ms a picture", "ratio", "start s", "peak GiB",
)  # fmt: skip
_MEMORY_COLUMNS = (
    "preset", "width", "batch", "precision", "rematerialize", "peak GiB", "of it program",
    "step s",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that one run of `dpig benchmark` measured.

    Attributes:
        command: the command line.
        machine: see `machine.describe`.
        limits: {precision: best GFLOP/s}, see `machine.limits`.
        results, peaks, served: what was measured.
    """

    command: str
    machine: dict
    limits: dict[str, dict[str, float]]
    results: Sequence[Result] = ()
    peaks: Sequence[Peak] = ()
    served: Sequence[Served] = ()

    def fraction_of_limit(self, result: Result) -> float | None:
        """Achieved GFLOP/s over the faster of the machine's best product and convolution."""
        limits = self.limits.get(result.precision)
        if result.gflops is None or limits is None:
            return None
        return result.gflops / max(limits.values())

    def as_dict(self) -> dict:
        return {
            "command": self.command,
            "machine": self.machine,
            "limits_gflops": self.limits,
            "results": [self._result(result) for result in self.results],
            "memory": [dataclasses.asdict(peak) for peak in self.peaks],
            "serving": [dataclasses.asdict(each) for each in self.served],
        }

    def _result(self, result):
        derived = {
            "median": result.median,
            "ratio": result.ratio,
            "gflops": result.gflops,
            "fraction_of_limit": self.fraction_of_limit(result),
        }
        return dataclasses.asdict(result) | derived

    def text(self) -> str:
        """Aligned tables."""
        tables = [_aligned(table) for table in self._tables()]
        return "\n\n".join([self._machine_line(), *tables])

    def markdown(self) -> str:
        tables = [_markdown_table(table) for table in self._tables()]
        command = f"```bash\n{self.command}\n```"
        return "\n\n".join([command, self._machine_line(), *tables])

    def _machine_line(self):
        machine = self.machine
        parts = [f"{machine['processor']}, {machine['cores']} cores", *machine["gpus"]]
        parts += machine["bfloat16"] or ["no bfloat16 instructions"]
        parts += [f"{machine['memory_gib']} GiB", f"TensorFlow {machine['tensorflow']}"]
        limits = [
            f"{precision}: matrix product {best['matmul']:.0f}, 3x3 convolution {best['conv']:.0f}"
            for precision, best in self.limits.items()
        ]
        return f"{', '.join(parts)}. Best GFLOP/s in the same run: {'; '.join(limits)}."

    def _tables(self):
        if self.results:
            yield [_COLUMNS, *(self._row(result) for result in self.results)]
        if self.peaks:
            yield [_MEMORY_COLUMNS, *(_memory_row(peak) for peak in self.peaks)]
        if self.served:
            yield [_SERVING_COLUMNS, *(_serving_row(each) for each in self.served)]

    def _row(self, result):
        fraction = self.fraction_of_limit(result)
        return (
            result.what,
            result.way.removesuffix(f" {result.precision}"),
            result.preset,
            f"{result.height}x{result.width}",
            str(result.hidden),
            str(result.batch),
            result.device,
            result.precision,
            *(_milliseconds(s) for s in (result.median, min(result.seconds), max(result.seconds))),
            "" if result.ratio is None else _ratio(result.ratio),
            "" if result.gflops is None else f"{result.gflops:.0f}",
            "" if fraction is None else f"{fraction:.0%}",
        )


def check_marks(path) -> None:
    """Raises DpigError if a Markdown file lacks the two marks that figures stand between."""
    _around_figures(pathlib.Path(path))


def insert(path, markdown: str) -> None:
    """Replaces what stands between the two marks of a Markdown file; raises as `check_marks`."""
    path = pathlib.Path(path)
    before, after = _around_figures(path)
    write_text(path, f"{before}{START}\n{markdown}\n{END}{after}")


def _around_figures(path):
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DpigError(f"{path}: no text in UTF-8: {error}", file=path) from error
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise DpigError(f"{path}: the lines {START!r} and {END!r} must mark where figures go")
    return before, after


def write_json(path, report: Report) -> None:
    write_text(path, json.dumps(report.as_dict(), indent=1) + "\n")


def _memory_row(peak):
    return (
        peak.preset,
        str(peak.hidden),
        str(peak.batch),
        peak.precision,
        "yes" if peak.rematerialize else "no",
        f"{peak.gib:.2f}",
        f"{peak.program_gib:.2f}",
        f"{peak.seconds:.1f}",
    )


def _serving_row(each):
    (one, many), (one_ratio, many_ratio) = each.seconds, each.ratios
    return (
        each.way,
        each.precision,
        each.preset,
        f"{each.height}x{each.width}",
        str(each.hidden),
        f"{each.size / 1e6:.1f}",
        f"{each.mean_levels:.3f}",
        f"{each.max_levels:.0f}",
        _milliseconds(one),
        _ratio(one_ratio),
        str(each.batches[-1]),
        _milliseconds(many),
        _ratio(many_ratio),
        f"{each.start_seconds:.1f}",
        f"{each.gib:.2f}",
    )


def _ratio(ratio):
    return f"{ratio:.{2 if ratio < 10 else 0}f}"


def _milliseconds(seconds):
    milliseconds = 1000 * seconds
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.0f}"


def _aligned(table):
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join(lines)


def _markdown_table(table):
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([head, "|---" * len(table[0]) + "|", *rows])
