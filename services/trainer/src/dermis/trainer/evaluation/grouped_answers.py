"""How wide answers over condition groups are, at which level they stand, and what they hold, beside flat sets."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dermis.shared.evaluation import GroupedAnswersRow
from dermis.shared.manifest import Condition, GroupedAnswers, Manifest
from dermis.trainer import metrics as measures
from dermis.trainer.calibration.grouped_answers import fit_grouped_answers
from dermis.trainer.evaluation.intervals import rounded, with_interval
from dermis.trainer.evaluation.slices import TONE_SCALES, cut_by
from dermis.trainer.metrics import Floats, Hits, Ints, Judged
from dermis.worker.core.condition_groups import grouped_answer

LEVELS = ("conditions", "groups", "broad groups", "abstained")
GROUPED, FLAT, OF_PRIOR = "answers over groups", "flat sets", "the prior's answers over groups"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """N answers: `inside` bool[N,K] (an abstention holds all), `level` [N] a place in `LEVELS`, `entries` [N]."""

    inside: Hits
    level: Ints
    entries: Ints

    @property
    def leaves(self) -> Floats:
        return np.asarray(self.inside.sum(1), float)

    @property
    def is_answer(self) -> Hits:
        return np.asarray(self.level < LEVELS.index("abstained"))

    def covered(self, target: Floats) -> Floats:
        """Return the weight [N] of the reference differentials [N,K] under the answers."""
        return np.asarray((self.inside * target).sum(1))

    def at(self, here: Hits) -> "Answered":
        return Answered(inside=self.inside[here], level=self.level[here], entries=self.entries[here])


def answer_each(
    probabilities: Floats, conditions: Sequence[Condition], rule_of: Callable[[int], GroupedAnswers | None]
) -> Answered:
    """Return the answer to each of N cases by its rule; of a case without one an abstention."""
    inside = np.ones(probabilities.shape, bool)
    level, entries = np.full(len(inside), LEVELS.index("abstained")), np.zeros(len(inside), int)
    for row, rule in enumerate(map(rule_of, range(len(inside)))):
        if rule and (answer := grouped_answer(probabilities[row], conditions, rule)):
            inside[row] = False
            inside[row, answer.places] = True
            level[row], entries[row] = max(each.height for each in answer.entries), len(answer.entries)
    return Answered(inside=inside, level=level, entries=entries)


def flat(sets: Hits) -> Answered:
    """Return prediction sets bool[N,K] as answers; they never abstain."""
    return Answered(inside=sets, level=np.zeros(len(sets), int), entries=sets.sum(1))


def grouped_rows(
    manifest: Manifest,
    judged: Judged,
    weights: Floats,
    groups: Sequence[str],
    cut: Mapping[str, Sequence[str]],
    *,
    prior: Floats,
    by_fold: Mapping[int, Manifest] | None = None,
) -> tuple[GroupedAnswersRow, ...]:
    """Return the rows of the report, of all cases and by tone; none of a bundle without answers over groups.

    The flat sets are the bundle's own. The prior's threshold holds the same coverage on these very cases, which no
    model knows.
    """
    if manifest.grouped_answers is None:
        return ()
    rule, conditions = manifest.grouped_answers, manifest.conditions
    constant = np.tile(prior / prior.sum(), (len(judged), 1))
    of_prior = fit_grouped_answers(constant, judged.target, conditions, rule.groups, coverage=rule.coverage)

    def own(row: int) -> GroupedAnswers | None:
        of = by_fold[int(judged.fold[row])] if by_fold else manifest
        return of.grouped_answers if judged.answered[row] else None

    answers = {
        GROUPED: answer_each(judged.probabilities, conditions, own),
        FLAT: flat(judged.sets),
        OF_PRIOR: answer_each(constant, conditions, lambda _row: of_prior),
    }
    cuts = [("", "", np.ones(len(judged), bool))]
    cuts += [(scale, value, here) for scale in TONE_SCALES if scale in cut for value, here in cut_by(cut[scale])]
    return tuple(
        _row(name, (scale, value), answered.at(here), judged.target[here], weights[:, here], own_groups)
        for scale, value, here in cuts
        for own_groups in [list(itertools.compress(groups, here))]
        for name, answered in answers.items()
    )


def _row(
    name: str, of: tuple[str, str], answered: Answered, target: Floats, weights: Floats, groups: Sequence[str]
) -> GroupedAnswersRow:
    return GroupedAnswersRow(
        answers=name,
        slice=of[0],
        value=of[1],
        n=len(target),
        groups=len(set(groups)),
        coverage=with_interval(measures.mean(answered.covered(target), weights), groups),
        answered=with_interval(measures.mean(answered.is_answer, weights), groups),
        leaves=with_interval(measures.mean(answered.leaves, weights), groups, share=False),
        levels={level: rounded((answered.level == place).mean()) for place, level in enumerate(LEVELS)},
    )
