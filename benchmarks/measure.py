"""How a side of a ratio is timed, and what a row of the page is."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison; `ratio` is ours to the peer's, `aim` the ratio or time that is aimed at, `met` whether it is."""

    bench: str
    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    aim: str = ""
    met: bool | None = None
    n: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Rows and what has to be said about them: one paragraph a note."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Milliseconds, one a round."""

    ms: tuple[float, ...]

    @property
    def p50(self) -> float:
        return statistics.median(self.ms)

    def __str__(self) -> str:
        low, high = quartiles(self.ms)
        return f"{number(self.p50)} ms ({number(low)}-{number(high)})"


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return low, high


def number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def interleaved(sides: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, Times]:
    """Time the sides in turn (A B A B ...), each after one run that does not count."""
    for run in sides.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            taken[name].append((time.perf_counter() - start) * 1000)
    return {name: Times(ms=tuple(ms)) for name, ms in taken.items()}


def of_pairs(ours: Times, peer: Times) -> tuple[float, str]:
    """Return the median of the rounds' ratios, and it with its quartiles as text."""
    ratios = [mine / theirs for mine, theirs in zip(ours.ms, peer.ms, strict=True)]
    low, high = quartiles(ratios)
    return statistics.median(ratios), f"{statistics.median(ratios):.2f} ({low:.2f}-{high:.2f})"
