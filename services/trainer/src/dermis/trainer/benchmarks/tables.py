"""Tables of what contenders predict: each beside the floor, paired differences, and both by tone."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from dermis.data.report.markdown import markdown_table
from dermis.shared.evaluation import Figure
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.cross_validation import HeldOut
from dermis.trainer.evaluation.comparison import Difference, differences
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.metrics import Floats, Ints, Judged

METRICS = ("top_1", "top_3", "balanced_accuracy", "macro_auroc", "brier")


def comparison_tables(
    held_out: HeldOut, *, best: str, others: Sequence[str], by: Sequence[str] = ("fitzpatrick_estimated",)
) -> str:
    """Return Markdown: every contender beside the floor with intervals, then `best` less each of `others`, paired, and both by tone."""
    judged = {name: held_out.judged(name) for name in held_out.predictions}
    groups = held_out.groups
    weights = measures.draw_weights(groups, np.random.default_rng(0))
    rows = []
    for name, one in judged.items():
        figures = measures.figures(one, weights)
        rows.append([name, *(cell(with_interval(figures[metric], groups)) for metric in METRICS)])
    rows.append(_floor_row(next(iter(judged.values())).labels))
    parts = [
        f"n = {len(held_out.dataset)}, {len(set(groups))} groups; 95 % intervals by bootstrap over groups.",
        markdown_table(["", *METRICS], rows),
    ]
    for other in others:
        paired = differences(judged[best], judged[other], weights, groups)
        parts += [f"{best} less {other}, on the same cases:", _difference_table(paired)]
        parts += [
            _slice_table(held_out, {name: judged[name] for name in (best, other)}, weights, scale) for scale in by
        ]
    return "\n\n".join(parts)


def _floor_row(labels: Ints) -> list[str]:
    prior = np.bincount(labels) / len(labels)
    floors = [f"{measures.floor(labels, prior, top=top):.3f}" for top in (1, 3)]
    name = "floor: the best constant list"
    return [name, *floors, f"{1 / len(prior):.3f}", "0.500", f"{1 - (prior**2).sum():.3f}"]


def _difference_table(paired: Mapping[str, Difference]) -> str:
    rows = []
    for metric in METRICS:
        low, high = paired[metric].interval or (np.nan, np.nan)
        value = paired[metric].difference
        difference = "not stated" if value is None else f"{value:+.4f}"
        rows.append([metric, difference, f"{low:+.4f} to {high:+.4f}", "yes" if low > 0 or high < 0 else "no"])
    return markdown_table(["figure", "difference", "95 % interval", "excludes 0"], rows)


def _slice_table(held_out: HeldOut, judged: Mapping[str, Judged], weights: Floats, scale: str) -> str:
    values = np.array([sample.slices[scale] for sample in held_out.dataset.samples])
    rows = []
    for value in sorted(set(values.tolist())):
        here = values == value
        own = list(itertools.compress(held_out.groups, here))
        cells = [
            top_cell(one.at(here), weights[:, here], own, top)
            for one, top in itertools.product(judged.values(), (1, 3))
        ]
        rows.append([value, here.sum(), *cells])
    return markdown_table([scale, "n", *(title for name in judged for title in (f"{name}: top-1", "top-3"))], rows)


def top_cell(judged: Judged, weights: Floats, groups: Sequence[str], top: int) -> str:
    """Return top-k with its interval as a cell of a table."""
    hits = measures.hits(judged.probabilities, judged.labels, top=top)
    return cell(with_interval(measures.mean(hits, weights), groups))


def cell(figure: Figure) -> str:
    """Return a figure and its interval as a cell of a table."""
    if figure.value is None:
        return "not stated"
    return f"{figure.value:.3f}" + (f" ({figure.interval[0]:.3f}-{figure.interval[1]:.3f})" if figure.interval else "")
