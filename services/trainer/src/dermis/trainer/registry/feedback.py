"""Judges a version on trial by what people say became of their cases, with the promotion gate's statistics.

A shadow and the current version answered the same cases; a canary answered a share of them that chance chose. The
reference is the condition that a doctor or a laboratory confirmed; the score of an answer is 1 where its first three
conditions hold that one: soft top-3 of a reference differential of one condition.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import numpy as np

from dermis.shared.ids import made_at
from dermis.shared.manifest import Canary, VersionRef
from dermis.shared.ports import BlobStore
from dermis.shared.promotions import GateVerdict
from dermis.shared.releases import Arm
from dermis.trainer.metrics import FEWEST_GROUPS
from dermis.trainer.registry.confirmed import ConfirmedCase, confirmed_cases
from dermis.trainer.registry.gate import MOST_LOSS, N_MIN, Compared, Paired, Randomised, compare, verdict
from dermis.worker.core.release import arm_of

FEEDBACK = "confirmed cases"
"""What a version on trial was judged on, as records state it."""


class FeedbackVerdict(StrEnum):
    PASSED = "PASSED"
    REFUSED = "REFUSED"
    NOT_ENOUGH_CASES = "NOT_ENOUGH_CASES"


_OF_THE_GATE = {
    FeedbackVerdict.PASSED: GateVerdict.PASSED,
    FeedbackVerdict.REFUSED: GateVerdict.REFUSED,
    FeedbackVerdict.NOT_ENOUGH_CASES: GateVerdict.INSUFFICIENT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedGroup:
    """`needed`: independent cases at which the gate would show in four of five comparisons that an equal version is."""

    compared: Compared
    needed: int
    verdict: FeedbackVerdict

    @property
    def judged(self) -> Compared:
        """Return the comparison with its verdict in the gate's words."""
        return replace(self.compared, verdict=_OF_THE_GATE[self.verdict])

    @property
    def loss_is_certain(self) -> bool:
        low_high = self.compared.interval
        return self.verdict is FeedbackVerdict.REFUSED and low_high is not None and -low_high[1] > MOST_LOSS


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackJudgement:
    verdict: FeedbackVerdict
    overall: JudgedGroup
    tones: tuple[JudgedGroup, ...]
    waived: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def loss_is_certain(self) -> bool:
        """Return whether a group surely loses more than it may, which no one may waive (the gate's rule)."""
        return any(each.loss_is_certain for each in (self.overall, *self.tones))


def rows(judgement: FeedbackJudgement) -> Iterator[dict[str, str]]:
    """Yield what a table shows, a row a group."""
    for each in (judgement.overall, *judgement.tones):
        part = each.compared
        low_high = "-" if part.interval is None else f"{part.interval[0]:+.3f} to {part.interval[1]:+.3f}"
        yield {
            "group": part.name,
            "cases": str(part.n),
            "independent": str(part.independent),
            "needed": str(each.needed),
            "gain": "-" if part.gain is None else f"{part.gain:+.3f}",
            "95 % interval": low_high,
            "detectable loss": "-" if part.detectable is None else f"{part.detectable:.3f}",
            "verdict": "waived" if part.name in judgement.waived else each.verdict.value,
        }


def judge_shadow(
    store: BlobStore, current: VersionRef, shadow: VersionRef, *, waived: Collection[str] = ()
) -> FeedbackJudgement:
    """Judge a shadow on the cases that both versions answered."""
    cases = [
        case
        for case in confirmed_cases(store, current, shadow)
        if case.current is not None and case.candidate is not None
    ]
    scores = np.array([(case.current, case.candidate) for case in cases], float).reshape(-1, 2)
    paired = Paired(current=scores[:, 0], candidate=scores[:, 1], groups=tuple(case.case_id for case in cases))
    return judge_feedback(paired, _slices(cases), waived=waived)


def judge_canary(
    store: BlobStore,
    current: VersionRef,
    canary: Canary,
    *,
    until: datetime | None = None,
    waived: Collection[str] = (),
) -> FeedbackJudgement:
    """Judge a canary on the cases since it began, each of which one of the two answered as its id chose.

    `until`: when it ended, of one that did; what the current version answered since is no part of the trial.
    """
    cases, scores, arms = [], [], []
    for case in confirmed_cases(store, current, canary.ref, since=made_at(canary.promotion), until=until):
        in_share = arm_of(case.case_id, canary.percent) is Arm.CANARY
        score = case.candidate if in_share else case.current
        if score is not None:
            cases.append(case)
            scores.append(score)
            arms.append(in_share)
    groups = tuple(case.case_id for case in cases)
    randomised = Randomised(score=np.array(scores, float), by_candidate=np.array(arms, bool), groups=groups)
    return judge_feedback(randomised, _slices(cases), waived=waived)


def judge_feedback(
    cases: Paired | Randomised, slices: Mapping[str, Sequence[str]], *, waived: Collection[str] = ()
) -> FeedbackJudgement:
    """Return the verdict. REFUSED: a loss that is certain at any n, or shown by the mean at the n that is needed, or
    that twice as many can't rule out.

    PASSED: every group has the cases that it needs, or is waived, and none may lose more than the gate lets it.
    """
    overall, tones = compare(cases, slices) if cases.groups else _nothing()
    judged = [_judged(each) for each in (overall, *tones)]
    few = [each for each in judged[1:] if each.verdict is FeedbackVerdict.NOT_ENOUGH_CASES]
    passed_over = tuple(
        each.compared.name for each in few if {each.compared.name, each.compared.name.partition("=")[0]} & set(waived)
    )
    refused = [each for each in judged if each.verdict is FeedbackVerdict.REFUSED]
    lacking = [
        each
        for each in judged
        if each.verdict is FeedbackVerdict.NOT_ENOUGH_CASES and each.compared.name not in passed_over
    ]
    worst = FeedbackVerdict.NOT_ENOUGH_CASES if lacking else FeedbackVerdict.PASSED
    return FeedbackJudgement(
        verdict=FeedbackVerdict.REFUSED if refused else worst,
        overall=judged[0],
        tones=tuple(judged[1:]),
        waived=passed_over,
        reasons=tuple(map(_why, refused or lacking)),
    )


def needed(compared: Compared) -> int:
    """Return the independent cases at which the detectable loss comes down to what the gate lets a group lose.

    It falls with the root of their number; what few cases show of their spread says little, so N_MIN at least.
    """
    if compared.detectable is None:
        return N_MIN
    return max(N_MIN, math.ceil(compared.independent * (compared.detectable / MOST_LOSS) ** 2))


def _judged(compared: Compared) -> JudgedGroup:
    """Judge a group. With the cases needed, a loss that is neither shown nor ruled out waits for as many again."""
    most = needed(compared)
    if compared.interval is None or compared.gain is None or compared.independent < FEWEST_GROUPS:
        return JudgedGroup(compared=compared, needed=most, verdict=FeedbackVerdict.NOT_ENOUGH_CASES)
    least_loss, enough = -compared.interval[1], compared.independent >= most
    worse = enough and (-compared.gain > MOST_LOSS or (compared.name == "overall" and least_loss > 0))
    if least_loss > MOST_LOSS or worse:
        result = FeedbackVerdict.REFUSED
    elif enough and verdict(compared) is GateVerdict.PASSED:
        result = FeedbackVerdict.PASSED
    else:
        result = FeedbackVerdict.REFUSED if compared.independent >= 2 * most else FeedbackVerdict.NOT_ENOUGH_CASES
    return JudgedGroup(compared=compared, needed=2 * most if enough else most, verdict=result)


def _nothing() -> tuple[Compared, list[Compared]]:
    """Return the comparison of no case: as of one that no scale knows, and which then is not there."""
    nobody = Randomised(score=np.zeros(1), by_candidate=np.zeros(1, bool), groups=("",))
    overall, tones = compare(nobody, {})
    return replace(overall, n=0), tones


def _why(judged: JudgedGroup) -> str:
    part = judged.compared
    if part.gain is None or part.interval is None:
        return f"{part.name}: no confirmed case to compare on, {judged.needed} are needed"
    low, high = part.interval
    seen = f"{part.name}: {part.gain:+.3f} ({low:+.3f} to {high:+.3f}) on {part.independent} confirmed cases"
    if judged.verdict is FeedbackVerdict.NOT_ENOUGH_CASES:
        return f"{seen} of {judged.needed} that are needed"
    return f"{seen}: worse than the current version" if part.name == "overall" else f"{seen}: may lose {-low:.3f}"


def _slices(cases: Sequence[ConfirmedCase]) -> dict[str, list[str]]:
    scales = ("monk_bin", "fitzpatrick_self")
    return {scale: [case.slices[scale] for case in cases] for scale in scales}
