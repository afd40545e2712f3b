"""Draws cases under load against time, `python -m tests.system.cluster.picture roll.json ... --out picture.svg`.

Outcomes a second, refusals a second and each case's wait, one column for each file that `make cluster` wrote.
"""

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, GAP = 420, 110, 46, 58, 34
OUTCOME, REFUSAL, WAIT, MARK, GRID = "#2b8a3e", "#c92a2a", "#1864ab", "#e6770033", "#ced4da"


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    """What became of cases while something was done; all times in seconds from the load's start."""

    title: str
    ends: tuple[float, ...]
    waits: tuple[tuple[float, float], ...]
    """When a case was due, and how long it then took."""
    refusals: tuple[float, ...]
    lost: int
    cut: int
    late_s: float
    """By which the load itself was late, at most."""
    done: tuple[float, float]
    """When what was done to the system began and was over."""

    @property
    def p50_s(self) -> float:
        return self._percentile(50)

    @property
    def p99_s(self) -> float:
        return self._percentile(99)

    @property
    def longest_s(self) -> float:
        return max((wait for _, wait in self.waits), default=0.0)

    def _percentile(self, percent: int) -> float:
        waits = [wait for _, wait in self.waits]
        if len(waits) < 2:
            return self.longest_s
        return statistics.quantiles(waits, n=100, method="inclusive")[percent - 1]

    def figures(self) -> str:
        return (
            f"{len(self.waits)} cases, wait p50 {self.p50_s:.1f} s, p99 {self.p99_s:.1f} s, longest "
            f"{self.longest_s:.1f} s; {len(self.refusals)} refusals, {self.lost} lost; {self.cut} connections cut; "
            f"load late by {self.late_s:.1f} s at most"
        )


def roll_of(title: str, cases: Sequence[dict[str, Any]], begun: float, over: float) -> Roll:
    """Read the records of `load.py`; `begun` and `over` are seconds since the epoch."""
    start = min(case["due"] for case in cases)
    ended = [case for case in cases if case["wait_s"] is not None]
    return Roll(
        title=title,
        ends=tuple(case["due"] - start + case["wait_s"] for case in ended),
        waits=tuple((case["due"] - start, case["wait_s"]) for case in ended),
        refusals=tuple(refusal["at"] - start for case in cases for refusal in case["refused"]),
        lost=len(cases) - len(ended),
        cut=sum(case["cut"] for case in cases),
        late_s=max(case["late_s"] for case in cases),
        done=(begun - start, over - start),
    )


def draw(rolls: Sequence[Roll]) -> str:
    """Return an SVG; the same scales in all columns, so that they can be compared."""
    seconds = max(max((*roll.ends, *roll.refusals, roll.done[1])) for roll in rolls) + 1
    waits = max(5.0, *(roll.longest_s for roll in rolls)) * 1.05
    counts = max(5, *(max(Counter(map(int, roll.ends)).values(), default=0) for roll in rolls))
    refusals = max(5, *(max(Counter(map(int, roll.refusals)).values(), default=0) for roll in rolls))
    width = LEFT + len(rolls) * (WIDTH + LEFT)
    height = TOP + 3 * (HEIGHT + GAP) + 10
    columns = "".join(
        f'<g transform="translate({LEFT + n * (WIDTH + LEFT)},{TOP})">'
        f"{''.join(_column(roll, seconds, (counts, refusals, waits)))}</g>"
        for n, roll in enumerate(rolls)
    )
    told = "; ".join(f"{roll.title}: {roll.figures()}" for roll in rolls)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(told)}" font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{columns}</svg>\n'
    )


def _column(roll: Roll, seconds: float, tops: tuple[float, float, float]) -> Iterator[str]:
    waits, _, rest = roll.figures().partition("; ")
    yield f'<text y="-40" font-weight="bold" font-size="13">{escape(roll.title)}</text>'
    yield f'<text y="-24">{escape(waits)}</text><text y="-9">{escape(rest)}</text>'
    names = ("outcomes a second", "refusals a second", "wait of a case that was due then, s")
    for n, (name, top) in enumerate(zip(names, tops, strict=True)):
        yield f'<g transform="translate(0,{n * (HEIGHT + GAP) + 8})">{_axes(name, top, seconds, roll.done)}'
        if n < 2:
            yield from _bars(roll.refusals if n else roll.ends, REFUSAL if n else OUTCOME, seconds, top)
        else:
            yield from (
                f'<circle cx="{at / seconds * WIDTH:.1f}" cy="{HEIGHT - wait / top * HEIGHT:.1f}" r="1.7" '
                f'fill="{WAIT}"/>'
                for at, wait in roll.waits
            )
        yield "</g>"


def _axes(name: str, top: float, seconds: float, done: tuple[float, float]) -> str:
    begin, end = (at / seconds * WIDTH for at in done)
    ticks = "".join(
        f'<text x="{at / seconds * WIDTH:.0f}" y="{HEIGHT + 12}" text-anchor="middle">{at}</text>'
        for at in range(0, int(seconds) + 1, 20)
    )
    return (
        f'<rect x="{begin:.1f}" width="{end - begin:.1f}" height="{HEIGHT}" fill="{MARK}"/>'
        f'<path d="M0 0V{HEIGHT}H{WIDTH}" fill="none" stroke="{GRID}"/>{ticks}'
        f'<text x="-4" y="8" text-anchor="end">{top:.0f}</text><text x="-4" y="{HEIGHT}" text-anchor="end">0</text>'
        f'<text x="4" y="10" fill="#495057">{escape(name)}</text>'
    )


def _bars(at: Sequence[float], colour: str, seconds: float, top: float) -> Iterator[str]:
    wide = WIDTH / seconds
    for second, count in sorted(Counter(map(int, at)).items()):
        tall = count / top * HEIGHT
        yield (
            f'<rect x="{second * wide:.1f}" y="{HEIGHT - tall:.1f}" width="{wide * 0.85:.1f}" height="{tall:.1f}" '
            f'fill="{colour}"/>'
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="results, a column each")
    parser.add_argument("--out", type=Path, required=True, help="SVG file to write")
    options = parser.parse_args()
    results = [json.loads(file.read_text()) for file in options.files]
    options.out.write_text(draw([roll_of(**result) for result in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
