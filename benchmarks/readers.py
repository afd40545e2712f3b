"""Simulated clinicians of stated error: what they say of a generated case whose condition is known."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from dermis.data.generated.cases import CONDITIONS, GeneratedCase
from dermis.shared.reviews import Adjudication, Review, ReviewedCondition, reader_id
from dermis.shared.vocabulary import FitzpatrickSkinType, Gradable, MonkSkinTone

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
MIMICRY = 0.7
"""Share of wrong first conditions that are the one which looks alike; the others are any."""
SECOND = 0.5
"""Share of readings with a second condition; of a wrong reading it is the right one."""
SURE, UNSURE = (0.0, 0.1, 0.2, 0.4, 0.3), (0.2, 0.3, 0.3, 0.15, 0.05)
"""How often a right and a wrong reader is 1 to 5 sure."""
NAMES = tuple(condition.name for condition in CONDITIONS)
MIMICS = {condition.name: condition.mimics for condition in CONDITIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedReader:
    """`right`: share of cases whose first condition is the true one; `ungradable`: share called not gradable.

    `tone_error`: standard deviation of the estimated Monk tone, in steps.
    """

    name: str
    right: float
    ungradable: float = 0.03
    tone_error: float = 0.8

    @property
    def id(self) -> str:
        return reader_id("https://simulated.example", self.name)


READERS = (SimulatedReader(name="first", right=0.85), SimulatedReader(name="second", right=0.75))
ADJUDICATOR = SimulatedReader(name="adjudicator", right=0.95, ungradable=0.0)


def review(reader: SimulatedReader, case: GeneratedCase, case_id: str, *, seed: int) -> Review:
    return Review(**_reading(reader, case, case_id, seed=seed), seconds=12.0)


def adjudication(case: GeneratedCase, case_id: str, *, seed: int) -> Adjudication:
    readers = tuple(reader.id for reader in READERS)
    return Adjudication(**_reading(ADJUDICATOR, case, case_id, seed=seed), readers=readers)


def disagree(reviews: tuple[Review, ...]) -> bool:
    """Return whether the readers differ in the first condition or in whether the case can be graded."""
    firsts = {max(each.conditions, key=lambda c: c.confidence).label if each.conditions else None for each in reviews}
    return len(firsts) > 1


def _reading(reader: SimulatedReader, case: GeneratedCase, case_id: str, *, seed: int) -> dict[str, Any]:
    """Return what a reader says, by (seed, reader, case) alone."""
    rng = np.random.default_rng([seed, case.index, *reader.name.encode()])
    number = tuple(MonkSkinTone).index(case.monk_skin_tone)
    tone = round(float(np.clip(number + rng.normal(0, reader.tone_error), 0, 9)))
    skin_type = round(float(np.clip(1 + 5 * number / 9 + rng.normal(0, 0.7), 1, 6)))
    conditions = () if rng.uniform() < reader.ungradable else _conditions(reader, case.condition, rng)
    yes, no = Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT, Gradable.NO_IMAGE_QUALITY_INSUFFICIENT
    return {
        "case_id": case_id,
        "reader": reader.id,
        "read_at": AT + timedelta(minutes=case.index),
        "gradable": yes if conditions else no,
        "conditions": conditions,
        "fitzpatrick_skin_type": tuple(FitzpatrickSkinType)[skin_type - 1],
        "monk_skin_tone": tuple(MonkSkinTone)[tone],
    }


def _conditions(reader: SimulatedReader, truth: str, rng: np.random.Generator) -> tuple[ReviewedCondition, ...]:
    """Return one or two conditions; the second is never surer than the first."""
    others = [name for name in NAMES if name != truth]
    right = rng.uniform() < reader.right
    first = truth if right else MIMICS[truth] if rng.uniform() < MIMICRY else str(rng.choice(others))
    sure = int(rng.choice(5, p=SURE if right else UNSURE)) + 1
    conditions = [ReviewedCondition(label=first, confidence=sure)]
    if rng.uniform() < SECOND and sure > 1:
        second = MIMICS[truth] if right else truth
        conditions.append(ReviewedCondition(label=second, confidence=int(rng.integers(1, sure))))
    return tuple(conditions)
