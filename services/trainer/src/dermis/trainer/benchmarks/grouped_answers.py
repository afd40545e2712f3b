"""`dermis benchmark grouped-answers`: answers over condition groups beside flat prediction sets and the prior."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.data.scin.taxonomy import Taxonomy, load_taxonomy
from dermis.shared.manifest import Condition
from dermis.trainer.benchmarks.contenders import Conditions
from dermis.trainer.benchmarks.cross_validation import FOLDS, SEED, Contender, HeldOut, cross_validate
from dermis.trainer.benchmarks.scin import ANSWERS, POLICY, answers_model, ten_conditions
from dermis.trainer.calibration.calibrate import set_threshold
from dermis.trainer.calibration.grouped_answers import fit_grouped_answers
from dermis.trainer.evaluation.grouped_answers import FLAT, GROUPED, LEVELS, Answered, answer_each, flat
from dermis.trainer.evaluation.slices import TONE_GROUPS
from dermis.trainer.metrics import FEWEST_GROUPS, Floats, Hits, draw_weights, interval, mean
from dermis.trainer.model.inputs import targets
from dermis.trainer.records.runs import code_version, this_machine
from dermis.worker.core.differential import prediction_set

PRIOR = "constant prior"
TONES = {
    f"{scale}={group}": (scale, values) for scale, groups in TONE_GROUPS.items() for group, values in groups.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedAnswersResult:
    """What each contender answered to the cases that were held out, by both kinds of sets."""

    held_out: HeldOut
    taxonomy: Taxonomy
    coverage: float
    answers: Mapping[tuple[str, str], Answered]
    data: str

    @property
    def target(self) -> Floats:
        return targets(self.held_out.dataset.samples, self.held_out.conditions)[0]


def over_groups(held_out: HeldOut, name: str, taxonomy: Taxonomy, *, coverage: float) -> Answered:
    """Return answers over groups, each fold's by a threshold that the other folds' cases were calibrated on."""
    probabilities, conditions = held_out.predictions[name], held_out.conditions
    target = targets(held_out.dataset.samples, conditions)[0]
    groups = taxonomy.groups_of(conditions)
    rules = {
        fold: fit_grouped_answers(probabilities[others], target[others], conditions, groups, coverage=coverage)
        for fold in np.unique(held_out.fold)
        for others in [held_out.fold != fold]
    }
    return answer_each(probabilities, conditions, lambda row: rules[held_out.fold[row]])


def as_flat_sets(held_out: HeldOut, name: str, *, coverage: float) -> Answered:
    """Return the prediction sets of conditions alone, likewise calibrated on the other folds; they never abstain."""
    probabilities = held_out.predictions[name]
    target = targets(held_out.dataset.samples, held_out.conditions)[0]
    inside = np.zeros(probabilities.shape, bool)
    for fold in np.unique(held_out.fold):
        others = held_out.fold != fold
        limit = set_threshold(probabilities[others], target[others], coverage=coverage)
        inside[~others] = [prediction_set(row, limit) for row in probabilities[~others]]
    return flat(inside)


def constant_prior(conditions: Conditions) -> Contender:
    """Return the floor: the mean of the training cases' reference differentials, the same for everybody."""

    def fit(_: None, training: Dataset, tested: Dataset) -> Floats:
        return np.tile(targets(training.samples, conditions)[0].mean(0), (len(tested), 1))

    return Contender(name=PRIOR, fit=fit, sees=())


def over_leaves(contender: Contender, leaves: Dataset, conditions: Conditions) -> Contender:
    """Return the contender as it learns from `leaves`: the cases that it is called with, under every condition."""
    target_of = {sample.id: sample for sample in leaves.samples}

    def under(part: Dataset) -> Dataset:
        own = [(sample, target_of[sample.id]) for sample in part.samples]
        return replace(part, samples=tuple(replace(leaf, images=s.images, report=s.report) for s, leaf in own))

    def fit(choice: object, training: Dataset, tested: Dataset) -> Floats:
        return contender.fit(choice, under(training), under(tested))

    def loss(choice: object, fitting: Dataset, checked: Dataset) -> float:
        target, _ = targets(under(checked).samples, conditions)
        return -float((target * np.log(np.maximum(fit(choice, fitting, checked), 1e-12))).sum(1).mean())

    return replace(contender, fit=fit, loss=loss)


def run_grouped_answers(
    source: str, *, cache: Path, coverage: float = 0.9, say: Callable[[str], None] = print
) -> GroupedAnswersResult:
    """Cross-validate the answers branch and the prior over every condition, and answer by both kinds of sets.

    The folds are those of the ten most frequent conditions: no case is kept in training because its condition is rare.
    """
    leaves, taxonomy = open_dataset(source, policy=POLICY), load_taxonomy()
    merged, _ = ten_conditions(leaves)
    conditions = conditions_of(leaves.samples)
    branch = answers_model(conditions, cache)
    contenders = [over_leaves(each, leaves, conditions) for each in (constant_prior(conditions), branch)]
    split = merged.split(seed=SEED, folds=FOLDS)
    held_out = cross_validate(merged, contenders, cache / "folds", split=split, conditions=conditions, say=say)
    held_out = replace(held_out, dataset=leaves.take(sample.id for sample in held_out.dataset.samples))
    answers = {}
    for name in held_out.predictions:
        answers[name, GROUPED] = over_groups(held_out, name, taxonomy, coverage=coverage)
        answers[name, FLAT] = as_flat_sets(held_out, name, coverage=coverage)
    about = f"{len(leaves):,} cases, {len(held_out.groups):,} labelled; samples sha256:{leaves.digest}"
    return GroupedAnswersResult(held_out=held_out, taxonomy=taxonomy, coverage=coverage, answers=answers, data=about)


# ----------------------------------------------------------------------------------------------------------------------
# Tables


def overall_table(result: GroupedAnswersResult, weights: Floats) -> str:
    """Return coverage, share answered, size, and the share answered at each level, for each contender and kind."""
    rows = []
    for (name, kind), answered in result.answers.items():
        covered = answered.covered(result.target)
        rows.append(
            [
                f"{name}, {kind}",
                _cell(covered, weights),
                _cell(covered, weights, among=answered.is_answer),
                _cell(answered.is_answer, weights),
                _cell(answered.leaves, weights, form=".1f"),
                f"{answered.entries[answered.is_answer].mean():.2f}" if answered.is_answer.any() else "-",
                *(f"{(answered.level == place).mean():.3f}" for place in range(len(LEVELS))),
            ]
        )
    title = ["", "coverage", "coverage where answered", "answered", "mean leaves", "entries", *LEVELS]
    return markdown_table(title, rows)


def difference_table(result: GroupedAnswersResult, weights: Floats) -> str:
    """Return by how many leaves, and how much coverage, the model's answers differ from the others, paired."""
    model, rows = result.answers[ANSWERS, GROUPED], []
    for (name, kind), other in result.answers.items():
        if other is model:
            continue
        covered = ((model.inside.astype(int) - other.inside) * result.target).sum(1)
        rows.append(
            [
                f"less {name}, {kind}",
                _cell(model.leaves - other.leaves, weights, form="+.1f"),
                _cell(covered, weights, form="+.3f"),
            ]
        )
    return markdown_table([f"{ANSWERS}, {GROUPED}", "mean leaves", "coverage"], rows)


def tone_table(result: GroupedAnswersResult, weights: Floats) -> str:
    """Return coverage, share answered and size of the model's answers, and the prior's size, in each tone group."""
    samples, rows = result.held_out.dataset.samples, []
    model, prior = result.answers[ANSWERS, GROUPED], result.answers[PRIOR, GROUPED]
    covered = model.covered(result.target)
    for name, (scale, values) in TONES.items():
        here = np.array([sample.slices[scale] in values for sample in samples])
        cells = [
            _cell(covered, weights, among=here),
            _cell(model.is_answer, weights, among=here),
            _cell(model.leaves, weights, among=here, form=".1f"),
            _cell(prior.leaves, weights, among=here, form=".1f"),
        ]
        enough = len({sample.group for sample, kept in zip(samples, here, strict=True) if kept}) >= FEWEST_GROUPS
        rows.append([name, here.sum(), *(cells if enough else ["too few"] * len(cells))])
    return markdown_table(["group", "n", "coverage", "answered", "mean leaves", "mean leaves, prior"], rows)


def _cell(values: Floats | Hits, weights: Floats, *, among: Hits | None = None, form: str = ".3f") -> str:
    samples = mean(values, weights, among=among)
    low_high = interval(samples)
    if not np.isfinite(samples[0]):
        return "-"
    return f"{samples[0]:{form}}" + (f" ({low_high[0]:{form}} to {low_high[1]:{form}})" if low_high else "")


def groups_table(taxonomy: Taxonomy, conditions: Sequence[Condition]) -> str:
    """Return the groups with how many of the conditions each holds, and which parents are too wide to be an answer."""
    groups = taxonomy.groups_of(conditions)
    parents = {group.id: group for group in groups if group.parent is None}
    size = {name: sum(len(group.conditions) for group in groups if group.parent == name) for name in parents}
    rows = [
        [parents[group.parent].name, size[group.parent], group.name, len(group.conditions)]
        for group in groups
        if group.parent
    ]
    return markdown_table(["parent", "conditions", "group", "conditions"], rows)


# ----------------------------------------------------------------------------------------------------------------------
# Page


def as_page(result: GroupedAnswersResult, *, command: str, plot: str) -> str:
    """Return docs/reference/grouped-answers.md: Markdown, from one run of the command."""
    held_out = result.held_out
    weights = draw_weights(held_out.groups, np.random.default_rng(0))
    return f"""# Benchmark: answers over condition groups

Written by the command, from one run of it; [how such answers are made](../decisions/0038-grouped-answers.md).

    {command}

- Data: {result.data}
- Taxonomy: {result.taxonomy.reference}, clinical review: {result.taxonomy.clinical_review}
- Leaves: {len(held_out.conditions)} conditions, each as the dermatologists named it
- Coverage aimed at: {result.coverage:.0%} of the reference differential
- Folds: {len(set(held_out.fold.tolist()))}; each case answered by a model and a threshold that did not see it
- n: {len(held_out.groups):,} cases in {len(set(held_out.groups)):,} groups of connected cases
- Code: {code_version()}
- Hardware: {this_machine()}

95 % intervals by a bootstrap over groups of connected cases. *Coverage*: the weight of the reference differential under
the answer. An abstention counts as all leaves, a group as its leaves; one over a quarter of all leaves is no answer.
An answer has at most three entries. The constant prior is the floor: it knows nothing of the case.

## All cases

{overall_table(result, weights)}

![Share of cases answered at each level, and mean leaves, by contender]({plot})

Paired, on the same cases and the same draws:

{difference_table(result, weights)}

## By skin tone

Each scale stands for itself.

{tone_table(result, weights)}

## The groups

{groups_table(result.taxonomy, held_out.conditions)}
"""


def draw_levels(result: GroupedAnswersResult) -> Figure:
    """Return bars of the share of cases answered at each level, the mean number of leaves beside each."""
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.subplots()
    names = [f"{name}, {kind}" for name, kind in result.answers]
    left = np.zeros(len(names))
    for place, level in enumerate(LEVELS):
        shares = np.array([(answered.level == place).mean() for answered in result.answers.values()])
        axes.barh(names, shares, left=left, label=level, color=("#1b6ca8", "#5fa8d3", "#b5d6e8", "#dddddd")[place])
        left += shares
    for row, answered in enumerate(result.answers.values()):
        axes.text(1.01, row, f"{answered.leaves.mean():.0f} leaves", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2)
    axes.set_xlabel("share of cases")
    axes.legend(ncols=len(LEVELS), loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
