"""Maps: points by their place, marked by a value."""

from collections import Counter

import pandas as pd
from matplotlib.figure import Figure

from dermis.data.report.canvas import INK, MONK_COLOURS, WIDTH
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words
from dermis.data.scin.attributes import NO_RESPONSE

_NONE = "#8a929b"
_COLOURS = ("#3f7fbf", "#c0661a", "#3a9a5b", "#b5418f", "#8a6d3b", "#7a5cc2", "#1f9e9e", "#c94040")
_MARKERS = "os^DvPX*"
_BIN_COLOURS = {"MST_1_3": MONK_COLOURS[1], "MST_4_6": MONK_COLOURS[5], "MST_7_10": MONK_COLOURS[8]}
MOST_POINTS = 3000


def scatter(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    counts = Counter(frame["value"])
    named = [value for value in dict.fromkeys(frame["value"]) if value not in (NO_RESPONSE, "NO_CLUSTER")]
    ordered = sorted(named, key=lambda value: (-counts[value], value)) if len(named) > len(_MARKERS) else sorted(named)
    drawn = frame if len(frame) <= MOST_POINTS else frame.sample(MOST_POINTS, random_state=0)
    marked = ordered[: len(_MARKERS)]
    groups = [
        (
            "others or none",
            _NONE,
            ".",
            ~drawn["value"].isin(marked),
            sum(counts.values()) - sum(counts[value] for value in marked),
        ),
        *(
            (words(value), _BIN_COLOURS.get(value, colour), marker, drawn["value"] == value, counts[value])
            for value, colour, marker in zip(marked, _COLOURS, _MARKERS, strict=False)
        ),
    ]
    figure = Figure(figsize=(WIDTH, 4.6))
    axes = figure.add_axes((0.02, 0.26, 0.96, 0.72))
    for label, colour, marker, mask, n in groups:
        if n:
            edge = INK if colour in MONK_COLOURS else "none"
            points = drawn[mask]
            axes.scatter(
                points["x"],
                points["y"],
                s=13,
                c=colour,
                marker=marker,
                edgecolors=edge,
                linewidths=0.3,
                alpha=0.8,
                label=f"{label}, {n:,}",
            )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=7.5)
    text = "; ".join(f"{label} {n:,}" for label, _, _, _, n in groups if n)
    more = f" {MOST_POINTS:,} of them are drawn." if len(drawn) < len(frame) else ""
    return figure, f"A map of {len(frame):,} points: {text}.{more}"
