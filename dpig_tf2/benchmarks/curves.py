"""A picture of what a training step takes at other batch sizes, widths and image sizes."""

from collections.abc import Callable, Sequence

import numpy as np

from dpig_tf2.benchmarks.measure import Result
from dpig_tf2.visual.charts import Panel, chart

_SHARED = 0  # position of the point that all curves go through, see `cases.curve_sizes`


def picture(results: Sequence[Result]) -> np.ndarray:
    """The measured curves, milliseconds a step, uint8 [H, W, 3].

    Args:
        results: of `cases.curves` at `cases.curve_sizes`.
    """
    shared = results[_SHARED]
    size = f"{shared.height}x{shared.width}"
    panels = [
        _panel(
            results, f"batch, examples (width {shared.hidden}, {size})",
            lambda r: r.batch, lambda r: str(r.batch), lambda r: (r.hidden, r.height, r.width),
        ),
        _panel(
            results, f"base width, channels (batch {shared.batch}, {size})",
            lambda r: r.hidden, lambda r: str(r.hidden), lambda r: (r.batch, r.height, r.width),
        ),
        _panel(
            results, f"image, pixels (batch {shared.batch}, width {shared.hidden})",
            lambda r: r.height, lambda r: f"{r.height}x{r.width}", lambda r: (r.batch, r.hidden),
        ),
    ]  # fmt: skip
    title = f"A step of {shared.what.removeprefix('training step, ')} on {shared.device}"
    return chart(f"{title}, preset {shared.preset}", "ms a step", panels)


def _panel(
    results: Sequence[Result],
    title: str,
    place: Callable[[Result], int],
    label: Callable[[Result], str],
    rest: Callable[[Result], tuple],
) -> Panel:
    """The results that differ from the shared point in one quantity alone."""
    shared = results[_SHARED]
    found = sorted((r for r in results if rest(r) == rest(shared)), key=place)
    labels = {place(r): label(r) for r in found}
    curves: dict[str, list] = {}
    for r in found:
        times = min(r.seconds), r.median, max(r.seconds)
        curves.setdefault(r.precision, []).append(tuple(1000 * t for t in times))
    return Panel(title, list(labels), list(labels.values()), curves)
