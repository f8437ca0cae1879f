"""Timing of several ways to do the same work, in turns, so that a busy machine slows all alike."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from dpig_tf2.config import Config

REFERENCE = "reference"


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to do the work.

    Attributes:
        run: does it once and returns when it is done.
        precision: as `config.PRECISIONS`.
        operations: floating-point operations of one run; None where they do not matter.
        repetitions: how often one timing does it, for work too short to be timed alone.
    """

    run: Callable[[], object]
    precision: str = "float32"
    operations: int | None = None
    repetitions: int = 1

    def seconds(self) -> float:
        """Seconds that it takes once."""
        start = time.perf_counter()
        for _ in range(self.repetitions):
            self.run()
        return (time.perf_counter() - start) / self.repetitions


def wait_for(tensor) -> None:
    """Returns when a tensor has been computed: one number of it is read, the others not copied."""
    tensor[(0,) * len(tensor.shape)].numpy()


@dataclasses.dataclass(frozen=True)
class Result:
    """What one way took.

    Attributes:
        what: the work.
        way: the way, "reference" or another.
        preset, height, width, hidden, batch: sizes, pixels and examples.
        device: "CPU" or "GPU".
        precision: as `config.PRECISIONS`.
        seconds: of every run.
        ratios: how many times faster than the way compared to, run by run; empty without one.
        operations: floating-point operations of one run; None where they were not counted.
    """

    what: str
    way: str
    preset: str
    height: int
    width: int
    hidden: int
    batch: int
    device: str
    precision: str
    seconds: tuple[float, ...]
    ratios: tuple[float, ...] = ()
    operations: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float | None:
        return statistics.median(self.ratios) if self.ratios else None

    @property
    def gflops(self) -> float | None:
        """Achieved GFLOP/s."""
        return None if self.operations is None else self.operations / self.median / 1e9


def in_turns(ways: Mapping[str, Way], runs: int) -> dict[str, tuple[float, ...]]:
    """Seconds of every run: one warm-up of each, then A B C, A B C, ..."""
    for way in ways.values():
        way.run()
    seconds = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            seconds[name].append(way.seconds())
    return {name: tuple(values) for name, values in seconds.items()}


def compare(
    what: str,
    config: Config,
    batch: int,
    device: str,
    ways: Mapping[str, Way],
    runs: int,
    against: str = REFERENCE,
) -> list[Result]:
    """Measures ways side by side; ratios are to the one called `against`, if there is one."""
    seconds = in_turns(ways, runs)
    base: Sequence[float] = seconds.get(against, ())
    model = config.model
    return [
        Result(
            what=what,
            way=name,
            preset=config.preset,
            height=model.height,
            width=model.width,
            hidden=model.hidden,
            batch=batch,
            device=device,
            precision=way.precision,
            seconds=seconds[name],
            ratios=tuple(b / own for b, own in zip(base, seconds[name], strict=True))
            if base
            else (),
            operations=way.operations,
        )
        for name, way in ways.items()
    ]
