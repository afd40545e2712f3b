"""Judges whether a version may replace the current one: not worse overall, and no tone group loses more than it may.

Both versions are measured on the same cases, case by case, so that what the cases have in common falls out of the
difference. A group that is too small to rule a loss out is INSUFFICIENT: someone has to take that on themselves, by
name of the group and with a reason.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dermis.shared.promotions import GateVerdict
from dermis.trainer.evaluation.slices import TONE_GROUPS
from dermis.trainer.metrics import FEWEST_GROUPS, Floats, Hits, draw_weights, interval, mean

MOST_LOSS = 0.05
"""Of a tone group's soft top-3."""
TOP = 3
TAIL = 0.025
N_MIN = math.ceil(math.log(TAIL) / math.log1p(-MOST_LOSS))
"""72 independent cases: the fewest at which not one loss among them rules out, at 97.5 %, that 5 % lose."""
_POWER = 0.8416
"""Standard normal quantile of 80 % power, beside 1.96 of the interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """N cases: what each version scores on each, float64[N] in [0, 1], and which of them belong together."""

    current: Floats
    candidate: Floats
    groups: tuple[str, ...]

    def scores(self, here: Hits) -> tuple[Floats, Floats]:
        return self.current[here], self.candidate[here]

    def gains(self, weights: Floats, here: Hits) -> Floats:
        return mean((self.candidate - self.current)[here], weights[:, here])

    def independent(self, here: Hits) -> int:
        return _distinct(self.groups, here)


@dataclass(frozen=True, slots=True, kw_only=True)
class Randomised:
    """N cases that one of the versions answered, by chance: its score, float64[N] in [0, 1], and whether it was the
    candidate, bool[N].
    """

    score: Floats
    by_candidate: Hits
    groups: tuple[str, ...]

    def scores(self, here: Hits) -> tuple[Floats, Floats]:
        return self.score[here & ~self.by_candidate], self.score[here & self.by_candidate]

    def gains(self, weights: Floats, here: Hits) -> Floats:
        arms = (here & self.by_candidate, here & ~self.by_candidate)
        candidate, current = (mean(self.score[arm], weights[:, arm]) for arm in arms)
        return candidate - current

    def independent(self, here: Hits) -> int:
        """Of the smaller arm, which decides what can be seen."""
        return min(_distinct(self.groups, here & arm) for arm in (self.by_candidate, ~self.by_candidate))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The candidate against the current version on `n` cases, `independent` groups of them.

    `gain`: mean difference, with its 95 % interval by a group bootstrap; a loss is a negative gain. `detectable`: the
    smallest loss that this many cases would have shown in four of five such comparisons; None without cases.
    """

    name: str
    n: int
    independent: int
    current: float | None
    candidate: float | None
    gain: float | None
    interval: tuple[float, float] | None
    detectable: float | None
    verdict: GateVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`reasons` why the candidate may not be promoted; none if it may."""

    overall: Compared
    tones: tuple[Compared, ...]
    waived: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons


def best_constant(target: Floats) -> Floats:
    """Return float64[N,K]: the best single list, as everyone's probabilities.

    It is the one that gathers most of these very reference differentials.
    """
    return np.tile(target.mean(0), (len(target), 1))


def judge(
    paired: Paired, slices: Mapping[str, Sequence[str]], *, waived: frozenset[str] = frozenset(), seed: int = 0
) -> Judgement:
    """Return the judgement of a candidate; `slices`: scale -> N values.

    A group is called SCALE=GROUP, and `waived` may name a scale.
    """
    overall, compared = compare(paired, slices, seed=seed)
    if overall.gain is None or overall.gain < 0:
        overall = _with(overall, GateVerdict.REFUSED)
    tones = [_with(each, verdict(each)) for each in compared]
    used = tuple(
        tone.name
        for tone in tones
        if tone.verdict is GateVerdict.INSUFFICIENT and {tone.name, tone.name.split("=")[0]} & waived
    )
    reasons = [_why(part) for part in (overall, *tones) if part.verdict is GateVerdict.REFUSED]
    reasons += [_why(tone) for tone in tones if tone.verdict is GateVerdict.INSUFFICIENT and tone.name not in used]
    return Judgement(overall=overall, tones=tuple(tones), waived=used, reasons=tuple(reasons))


def compare(
    cases: Paired | Randomised, slices: Mapping[str, Sequence[str]], *, seed: int = 0
) -> tuple[Compared, list[Compared]]:
    """Return how the candidate did on all cases, and on those of each tone group; not judged yet."""
    weights, n = draw_weights(cases.groups, np.random.default_rng(seed)), len(cases.groups)
    tones = []
    for scale, groups in TONE_GROUPS.items():
        for group, values in groups.items():
            here = np.array([value in values for value in slices.get(scale, ("",) * n)], bool)
            tones.append(_compare(f"{scale}={group}", cases, here, weights))
    return _compare("overall", cases, np.ones(n, bool), weights), tones


def verdict(tone: Compared) -> GateVerdict:
    """A loss that is certain is refused even in a group too small to rule one out: no one may waive it."""
    if tone.interval is None:
        return GateVerdict.INSUFFICIENT
    least_loss, most_loss = -tone.interval[1], -tone.interval[0]
    if tone.independent < N_MIN:
        certain = tone.independent >= FEWEST_GROUPS and least_loss > MOST_LOSS
        return GateVerdict.REFUSED if certain else GateVerdict.INSUFFICIENT
    return GateVerdict.REFUSED if most_loss > MOST_LOSS else GateVerdict.PASSED


def _distinct(groups: tuple[str, ...], here: Hits) -> int:
    return len({group for group, kept in zip(groups, here, strict=True) if kept})


def _compare(name: str, cases: Paired | Randomised, here: Hits, weights: Floats) -> Compared:
    """Return the comparison on the cases that are `here`, not judged yet."""
    n, independent, (current, candidate) = int(here.sum()), cases.independent(here), cases.scores(here)
    if not len(current) or not len(candidate):
        nothing = dict.fromkeys(("current", "candidate", "gain", "interval", "detectable"))
        return Compared(name=name, n=n, independent=0, verdict=GateVerdict.PASSED, **nothing)
    low, high = interval(cases.gains(weights, here)) or (-1.0, 1.0)
    return Compared(
        name=name,
        n=n,
        independent=independent,
        current=float(current.mean()),
        candidate=float(candidate.mean()),
        gain=float(candidate.mean() - current.mean()),
        interval=(low, high),
        detectable=min(1.0, max((1.96 + _POWER) * (high - low) / (2 * 1.96), 1 - TAIL ** (1 / independent))),
        verdict=GateVerdict.PASSED,
    )


def _with(compared: Compared, verdict: GateVerdict) -> Compared:
    return Compared(**{name: getattr(compared, name) for name in Compared.__slots__} | {"verdict": verdict})


def _why(part: Compared) -> str:
    if part.gain is None or part.interval is None:
        return f"{part.name}: no case to compare on"
    low, high = part.interval
    seen = f"{part.name}: {part.gain:+.3f} ({low:+.3f} to {high:+.3f}) on {part.n} cases"
    if part.verdict is GateVerdict.INSUFFICIENT:
        return (
            f"{seen}, {part.independent} of {N_MIN} independent ones that are needed; a loss under "
            f"{part.detectable:.3f} would not show"
        )
    if part.name == "overall":
        return f"{seen}: worse than what it is compared with"
    return f"{seen}: it may lose up to {-low:.3f}, more than {MOST_LOSS:g}"
