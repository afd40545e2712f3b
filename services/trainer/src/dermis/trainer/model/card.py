"""Writes the model card: what a bundle is for, for whom it was measured, and how well."""

from collections.abc import Sequence

from dermis.shared.case import NOT_A_MEDICAL_DEVICE
from dermis.shared.evaluation import EvaluationReport, Figure, Interval, Slice
from dermis.shared.manifest import Manifest

_PURPOSE = {
    "demo": "**A demo on generated images, without any clinical meaning.** It was trained and tested on procedural "
    "drawings of skin and invented answers; what it says of a photo of a person means nothing. It exists so "
    "that the whole system can be run and tested.",
    "research": "For research. Not for use on people.",
    "release": "See the intended use in the documentation.",
}


def model_card(manifest: Manifest, report: EvaluationReport) -> str:
    """Return the card, Markdown, of a bundle and its evaluation report."""
    metrics, floors, perfect = report.metrics, report.floors, report.perfect_model_at_this_n
    rows = "\n".join(
        f"| {what} | {_number(row.figures['top_1'].value)} | {_number(row.figures['top_3'].value)} |"
        for what, row in report.shown.items()
    )
    return f"""# {manifest.name} {manifest.version} ({manifest.purpose})

{_PURPOSE[manifest.purpose]}

{NOT_A_MEDICAL_DEVICE}

- Input: up to {manifest.max_images} images ({manifest.image_size} px) and a self-report, every answer of which may be \
absent. No answer on
  race or ethnicity is read.
- Output: calibrated probabilities of {len(manifest.conditions)} conditions: \
{", ".join(c.name for c in manifest.conditions)}. It knows no other.
- Data: {report.data}
{_urgency(manifest)}
{_knowledge(manifest)}
## Measured on {report.n} test cases

| shown | top-1 | top-3 |
|---|---|---|
{rows}
| floor: {floors.meaning} | {floors.top_1:.3f} | {floors.top_3:.3f} |

Every image that can be read was shown to the model, as with the calibration cases. The service leaves \
unusable images out; `dermis evaluate`
measures that.

95 % intervals, by bootstrap over groups of connected cases: top-1 {_range(report.intervals["top_1"])}, \
top-3 {_range(report.intervals["top_3"])}.

| | measured | a perfect model at this n |
|---|---|---|
| expected calibration error | {_number(metrics["expected_calibration_error"])} \
| {_mean(perfect.expected_calibration_error)} |
| coverage of {manifest.prediction_sets.coverage:.0%} prediction sets | {_number(metrics["set_coverage"])} \
| {_range(perfect.set_coverage) if perfect.set_coverage else "not stated"} |

Mean size of a prediction set: {_number(report.mean_set_size, ".2f")}. \
Abstained: {_number(metrics["abstained"], ".1%")}.
{_promises(manifest)}
| | measured |
|---|---|
{_more(report.overall)}
{_answered(report)}{_malignant(manifest, report)}{_grouped_answers(report)}\
What each figure means: docs/explanation/evaluation.md.

{_slices("Monk skin tone (as painted or graded)", report.slices["monk_skin_tone"])}
{_slices("Fitzpatrick skin type (as answered)", report.slices["fitzpatrick_self"])}
{_slices("Condition", report.slices["condition"])}{_stored(report)}"""


_MORE = {
    "top_3_soft": "top-3, soft (weight of the reference differential)",
    "balanced_accuracy": "balanced accuracy",
    "macro_auroc": "macro AUROC",
    "brier_soft": "Brier score, soft",
    "aurc": "area under risk and coverage",
    "out_of_distribution": "called out of distribution",
}


def _more(overall: dict[str, Figure]) -> str:
    figures = ((title, overall[name]) for name, title in _MORE.items() if name in overall)
    return "".join(f"| {title} | {_figure(figure)} |\n" for title, figure in figures if figure.value is not None)


def _promises(manifest: Manifest) -> str:
    """Return in sentences for whom no coverage is claimed and what abstention was chosen for."""
    lines = []
    if pooled := manifest.prediction_sets.pooled:
        lines.append(
            f"Too few calibration cases to claim a coverage for {', '.join(pooled)}: they share the threshold of all."
        )
    if chosen := manifest.abstention.chosen_for:
        lines.append(
            f"Abstention was chosen so that of the cases answered at most {chosen.risk:.0%} lack their condition among "
            f"the first {chosen.top}, with {chosen.confidence:.0%} confidence on {chosen.calibrated_on} calibration "
            f"cases, {chosen.answered:.0%} of which were answered."
        )
    for what, rule in (("Cases", manifest.outliers), ("Images of a texture", manifest.textures)):
        if rule:
            cost = f"at a cost of {rule.false_alarms:.1%} of cases like them"
            lines.append(f"{what} unlike those of training are declined, {cost}.")
    return "\n".join(lines) + "\n" if lines else ""


def _urgency(manifest: Manifest) -> str:
    """Return from which probability a condition says how soon to have it looked at, and where that comes from."""
    n = manifest.urgency_calibrated_on
    chosen = f"chosen on {n} calibration cases" if n else "dermis' default, not chosen on cases of this model"
    return (
        f"- A condition says how soon to have it looked at from a probability of {manifest.urgency_threshold:g}: "
        f"{chosen}."
    )


def _knowledge(manifest: Manifest) -> str:
    """Return what the model knows and what not, and for whom it gives no answer."""
    if (knows := manifest.knowledge) is None:
        return ""
    measured = ", ".join(f"{group} {n}" for group, n in knows.measured_on.items())
    lines = [f"- Knows: {knows.kind}. Data: {knows.data}." if knows.data else f"- Knows: {knows.kind}."]
    lines += [f"- Does not know: {each}." for each in knows.unknown]
    lines.append(f"- Measured on people by Fitzpatrick group ({knows.scale.replace('_', '-')}): {measured}.")
    if knows.not_measured:
        groups = ", ".join(knows.not_measured)
        lines.append(f"- No answer for people who report a type of {groups}: fewer than {knows.needed} were measured.")
    if knows.licence:
        lines.append(f"- Licence: {knows.licence}.")
    if manifest.outliers or manifest.textures:
        lines.append("- Photos unlike those of training get no answer.")
    return "\n".join(lines) + "\n"


def _malignant(manifest: Manifest, report: EvaluationReport) -> str:
    """Return how many cancers are missed, by condition."""
    if manifest.malignant is None or not report.malignant:
        return ""
    rows = "".join(
        f"| {row.condition} | {row.n} | {row.missed_per_100:.1f} ({_range_of(row.missed_per_100_interval, '.1f')}) | "
        f"{row.in_set:.3f} ({_range(row.in_set_interval)}) | "
        f"{row.benign_first:.3f} ({_range(row.benign_first_interval)}) |\n"
        for row in report.malignant
    )
    return f"""## Cancers missed

It can't rule out skin cancer. A set gets the most probable malignant condition where all of them together reach
{manifest.malignant.threshold:.3f}, so that of each malignant condition {manifest.malignant.coverage:.0%} of the cases
get one. Missed is a case that was answered by a set without any.

| condition | n | missed per 100 | set holds a malignant condition | benign first |
|---|---|---|---|---|
{rows}
{_alarms(report)}
"""


def _answered(report: EvaluationReport) -> str:
    if (by_type := report.answered_by_type) is None:
        return ""
    return (
        f"Answered of the {by_type.n} cases whose Fitzpatrick type is known: {_figure(by_type.with_type)} where it is "
        f"told, {_figure(by_type.without_type)} where it is not.\n\n"
    )


def _grouped_answers(report: EvaluationReport) -> str:
    """Return how wide answers over condition groups are, beside flat sets and the prior's."""
    if not report.grouped_answers:
        return ""
    levels = list(report.grouped_answers[0].levels)
    rows = "".join(
        f"| {row.value or 'all'} | {row.answers} | {row.n} | {_figure(row.coverage)} | {_figure(row.answered)} | "
        f"{_number(row.leaves.value, '.1f')} | {' | '.join(f'{row.levels[level]:.3f}' for level in levels)} |\n"
        for row in report.grouped_answers
    )
    return f"""## Answers over condition groups

| of | answers | n | coverage | answered | conditions held | {" | ".join(levels)} |
|---|---|---|---|---|---|{"---|" * len(levels)}
{rows}
"""


def _stored(report: EvaluationReport) -> str:
    rows = report.slices.get("stored_size", ())
    return f"\n{_slices('How copies were stored', rows)}" if rows else ""


def _slices(title: str, rows: Sequence[Slice]) -> str:
    lines = (
        f"| {row.value} | {row.n} | "
        + " | ".join(_figure(row.figures[name]) for name in ("top_1", "top_3", "set_coverage", "abstained"))
        + " |\n"
        for row in rows
    )
    return (
        f"## {title}\n\n| | n | top-1 | top-3 | set coverage | no answer |\n|---|---|---|---|---|---|\n{''.join(lines)}"
    )


def _figure(figure: Figure) -> str:
    return f"{_number(figure.value)} ({_range(figure.interval)})"


def _number(value: float | None, spec: str = ".3f") -> str:
    return "not stated" if value is None else format(value, spec)


def _alarms(report: EvaluationReport) -> str:
    if report.benign_with_malignant is None:
        return ""
    price = _figure(report.benign_with_malignant)
    return f"The price: of the benign cases {price} get a set with a malignant condition too.\n"


def _range_of(pair: Interval, spec: str) -> str:
    return f"{pair[0]:{spec}}-{pair[1]:{spec}}" if pair else "too few for an interval"


def _range(pair: Interval) -> str:
    return f"{pair[0]:.3f}-{pair[1]:.3f}" if pair else "too few for an interval"


def _mean(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3f} on average, {pair[1]:.3f} at the 95th percentile"
