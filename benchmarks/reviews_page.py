"""The page and the plot of `benchmarks.reviews`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from benchmarks.readers import ADJUDICATOR, MIMICRY, READERS, SECOND
from dermis.data.report.markdown import markdown_table
from dermis.data.report.words import words
from dermis.trainer.evaluation.comparison import Comparison, Difference
from dermis.trainer.registry.gate import Judgement

GAIN, CEILING = "reviews against base", "truth against reviews"
MAIN = "top_1"
MEASURES = {
    "top_1": "top-1",
    "top_3": "top-3",
    "balanced_accuracy": "mean sensitivity",
    "macro_auroc": "macro AUROC",
    "brier": "Brier score (less is better)",
}
SCALES = {
    "monk_bin": "Monk skin tone",
    "fitzpatrick_group": "Fitzpatrick, self-reported",
    "fitzpatrick_estimated_group": "Fitzpatrick, estimated",
}
HEAD = """# Learning from reviews

Written by the command, from one run of it; [how a model learns from reviews](../how-to/learn-from-reviews.md).
Cases are generated and readers are simulated: this shows that the way from a reading to a model works and what errors
of this size cost, and nothing about clinicians or skin.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one run showed. `taken`, `agreement`: what the commands printed; `rates`: who was right how often."""

    base: int
    read: int
    adjudicated: int
    taken: str
    agreement: str
    compared: Mapping[str, Comparison]
    judgement: Judgement
    rates: Mapping[str, float]
    command: str


def verdict(comparison: Comparison) -> str:
    """Return in a sentence whether the retrained model is better by the paired interval of top-1."""
    gain = comparison.differences[MAIN]
    numbers = f"{_signed(gain)} on {comparison.n:,} held-out cases"
    if gain.interval and gain.interval[0] > 0:
        return f"The model that learned from reviews too is better: top-1 {numbers}."
    if gain.interval and gain.interval[1] < 0:
        return f"The model that learned from reviews too is worse: top-1 {numbers}."
    return f"No difference is shown: top-1 {numbers}; the interval holds 0."


def as_page(result: Measurement, about: str) -> str:
    gain, ceiling = result.compared[GAIN], result.compared[CEILING]
    learned = (
        f"The same config on {result.base} generated cases whose condition is known, and on these and the "
        f"{result.read} cases that were read; both on {gain.n:,} cases that neither saw. Differences are paired, "
        "95 % intervals by a bootstrap over cases."
    )
    cost = (
        "The same again, with the true condition of the cases that were read in place of the readings: what is left "
        "to gain by better readers."
    )
    sections = {
        "The set-up": _set_up(result),
        "What the readings taught": f"{learned}\n\n{_differences(gain, ('base', 'with reviews'))}",
        "By tone": _by_tone(gain),
        "What the readers' errors cost": f"{cost}\n\n{_differences(ceiling, ('with reviews', 'with the truth'))}",
        "What the gate says": _gate(result.judgement),
        "How far readers and the base model agree": (
            f"As `dermis data agreement` printed it.\n\n{_tables_of(result.agreement)}"
        ),
    }
    plot = "![Difference of top-1 with its 95 % interval, over all cases and by tone](reviews.svg)"
    parts = [HEAD, about, f"    {result.command}   # not run here: takes minutes", f"**{verdict(gain)}**", plot]
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _set_up(result: Measurement) -> str:
    stated = {reader.name: reader.right for reader in (*READERS, ADJUDICATOR)}
    rows = [
        (f"{name} reader" if name != ADJUDICATOR.name else name, f"{right:.2f}", f"{result.rates[name]:.3f}")
        for name, right in stated.items()
    ]
    table = markdown_table(("who", "stated share of right first conditions", "in this run"), rows)
    return (
        f"{table}\n\nA wrong first condition is the one that looks alike in {MIMICRY:.0%} of cases, else any. "
        f"Confidence follows being right; {SECOND:.0%} of readings name a second condition, which is the right one "
        f"where the first is wrong. Whether a case can be graded is drawn for each reader apart, so that kappa is "
        f"about 0 there. The adjudicator read the {result.adjudicated} cases on which they disagreed.\n\n"
        f"`dermis data from-reviews` printed:\n\n```\n{_last_lines(result.taken)}\n```"
    )


def _last_lines(words_printed: str) -> str:
    """Return what a command printed, without its progress and the place that it wrote to."""
    lines = [line.partition("; written to")[0] for line in words_printed.splitlines()]
    return "\n".join(line for line in lines if "%" not in line and any(map(str.isdigit, line)))


def _differences(comparison: Comparison, names: tuple[str, str]) -> str:
    rows = [
        (title, *(f"{value:.3f}" for value in (d.other, d.this) if value is not None), _signed(d))
        for name, title in MEASURES.items()
        for d in (comparison.differences[name],)
    ]
    return markdown_table(("", *names, "difference (95 % interval)"), rows)


def _by_tone(comparison: Comparison) -> str:
    rows = [
        (SCALES[scale], words(value), f"{n:,}", f"{d.other:.3f}", f"{d.this:.3f}", _signed(d))
        for scale, value, n, d in _groups(comparison)
    ]
    return markdown_table(("scale", "group", "n", "base", "with reviews", "difference in top-1 (95 % interval)"), rows)


def _groups(comparison: Comparison) -> Iterator[tuple[str, str, int, Difference]]:
    for scale, several in comparison.slices.items():
        for each in several:
            yield scale, each.value, each.n, each.differences[MAIN]


def _signed(difference: Difference) -> str:
    if difference.difference is None:
        return "not stated"
    low_high = difference.interval
    return f"{difference.difference:+.3f}" + (f" ({low_high[0]:+.3f} to {low_high[1]:+.3f})" if low_high else "")


def _gate(judgement: Judgement) -> str:
    rows = [
        (
            part.name,
            str(part.n),
            "-" if part.gain is None else f"{part.gain:+.3f}",
            "-" if part.interval is None else f"{part.interval[0]:+.3f} to {part.interval[1]:+.3f}",
            "waived" if part.name in judgement.waived else str(part.verdict),
        )
        for part in (judgement.overall, *judgement.tones)
    ]
    table = markdown_table(("group", "n", "gain in soft top-3", "95 % interval", "verdict"), rows)
    says = "It lets the version pass." if judgement.passed else "It refuses: " + "; ".join(judgement.reasons) + "."
    waived = "The estimated type is waived: nobody estimated that of a drawing." if judgement.waived else ""
    return f"{says} {waived}\n\n{table}"


def _tables_of(printed: str) -> str:
    return "\n".join(line for line in printed.splitlines() if line.startswith("|") or not line.strip())


def draw_gains(result: Measurement) -> Figure:
    """Return the paired difference of top-1 with its interval, of all cases and of each tone group."""
    gain = result.compared[GAIN]
    rows = [("All cases", gain.n, gain.differences[MAIN])]
    rows += [(f"{SCALES[scale]}: {words(value)}", n, d) for scale, value, n, d in _groups(gain)]
    drawn = [(name, n, d.difference, d.interval) for name, n, d in rows if d.difference is not None]
    figure = Figure(figsize=(8, 0.5 + 0.32 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    for place, (_, _, difference, low_high) in enumerate(drawn):
        low, high = low_high or (difference, difference)
        axes.plot([low, high], [place, place], color="#1b6ca8", linewidth=1.4)
        axes.plot([difference], [place], "o", color="#1b6ca8", markersize=5)
    axes.axvline(0, color="#888888", linewidth=0.9)
    axes.set_yticks(range(len(drawn)), [f"{name}, n = {n:,}" for name, n, *_ in drawn])
    axes.invert_yaxis()
    axes.set_xlabel("top-1 with reviews minus top-1 of the base model (95 % interval)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
