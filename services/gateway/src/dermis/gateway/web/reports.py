"""An evaluation report, read for a page: figures with n and interval beside their floor, the cuts by skin tone first."""

from dataclasses import dataclass
from typing import Any

TONES = (
    "monk_bin",
    "monk_skin_tone",
    "fitzpatrick_group",
    "fitzpatrick_estimated_group",
    "fitzpatrick_self",
    "fitzpatrick_estimated",
    "fitzpatrick_skin_type",
)
_SHOWN = ("top_1", "top_3", "set_coverage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A share, its 95 % interval and floor, None where there is none; `perfect` is the range of a perfect model at this n."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    floor: float | None = None
    perfect: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The figures of `n` cases of one value of a cut, by name."""

    value: str
    n: int
    figures: dict[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    data: str
    n: int | None
    overall: tuple[Figure, ...]
    floor_meaning: str
    tones: dict[str, tuple[Group, ...]]
    others: dict[str, tuple[Group, ...]]


def read(report: dict[str, Any]) -> Read:
    """Return what a page shows of a report, whatever of it is there."""
    floors = report.get("floors", {})
    intervals = {name: figure.get("interval") for name, figure in report.get("overall", {}).items()} | report.get("intervals", {})
    perfect = report.get("perfect_model_at_this_n", {})
    overall = tuple(
        Figure(
            name=name, value=value, interval=_pair(intervals.get(name)), floor=_share(floors.get(name)), perfect=_pair(perfect.get(name))
        )
        for name, value in report.get("metrics", {}).items()
        if _share(value) is not None
    )
    cuts = {name: tuple(_group(row, floors) for row in rows) for name, rows in report.get("slices", {}).items()}
    return Read(
        data=str(report.get("data", "")),
        n=report.get("n"),
        overall=overall,
        floor_meaning=str(floors.get("meaning", "")),
        tones={name: cuts[name] for name in TONES if name in cuts},
        others={name: rows for name, rows in cuts.items() if name not in TONES},
    )


def overlap(one: Figure | None, other: Figure | None) -> bool | None:
    """Return whether two intervals overlap; None if there are not two."""
    if not (one and other and one.interval and other.interval):
        return None
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def beside(one: tuple[Group, ...], other: tuple[Group, ...]) -> list[tuple[str, Group | None, Group | None]]:
    """Return the groups of two reports side by side, by their value."""
    ours, theirs = ({group.value: group for group in groups} for groups in (one, other))
    return [(value, ours.get(value), theirs.get(value)) for value in {**ours, **theirs}]


def _group(row: dict[str, Any], floors: dict[str, Any]) -> Group:
    found = {
        name: Figure(name=name, value=row[name], interval=_pair(row.get(f"{name}_interval")), floor=_share(floors.get(name)))
        for name in _SHOWN
        if _share(row.get(name)) is not None
    }
    return Group(value=str(row.get("value", "")), n=int(row.get("n", 0)), figures=found)


def _share(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _pair(value: object) -> tuple[float, float] | None:
    match value:
        case [int() | float() as low, int() | float() as high]:
            return float(low), float(high)
        case _:
            return None
