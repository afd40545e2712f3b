"""Generated cases: a condition, one to three scenes of it and answers that lean towards it; for demo and tests only.

Nothing here was counted on people: tendencies follow what textbooks say of each condition, roughly. Every case is fixed
by (seed, index). A person's Monk tone and Fitzpatrick type are two noisy readings of one hidden number, and
neither is computed from the other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from dermis.data.generated.skin import MONK_SWATCHES, Image, geometry, paint, scene
from dermis.shared.vocabulary import (
    BodyPart,
    ConditionSymptom,
    MonkSkinTone,
    OtherSymptom,
    SelfReport,
    ShotType,
    Texture,
)

__all__ = ["CONDITIONS", "MONK_SWATCHES", "GeneratedCase", "GeneratedCondition", "case", "cases", "scene"]

Weights = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedCondition:
    """A condition as drawn: its share of cases and, for each question, how often each value is given.

    Now and then it looks like another one, `mimics`, so that images alone can't decide every case.
    For a question with one answer the numbers are weights; for one with several, each value's own chance.
    """

    id: str
    name: str
    share: float
    mimics: str
    age_group: Weights
    related_category: Weights
    condition_duration: Weights
    textures: Weights
    body_parts: Weights
    condition_symptoms: Weights
    other_symptoms: Weights


_ONE_OF = ("age_group", "related_category", "condition_duration")
_ANY_OF: Mapping[str, tuple[type[StrEnum], str | None]] = {
    "textures": (Texture, None),
    "body_parts": (BodyPart, None),
    "condition_symptoms": (ConditionSymptom, "NO_RELEVANT_EXPERIENCE"),
    "other_symptoms": (OtherSymptom, "NO_RELEVANT_SYMPTOMS"),
}
MIMICRY = 0.1
_YOUNG = {"AGE_18_TO_29": 5, "AGE_30_TO_39": 3, "AGE_40_TO_49": 1, "AGE_UNKNOWN": 0.5}
_ANY_AGE = {
    "AGE_18_TO_29": 3,
    "AGE_30_TO_39": 3,
    "AGE_40_TO_49": 3,
    "AGE_50_TO_59": 2,
    "AGE_60_TO_69": 1,
    "AGE_UNKNOWN": 0.7,
}
_OLD = {
    "AGE_30_TO_39": 1,
    "AGE_40_TO_49": 1.5,
    "AGE_50_TO_59": 3,
    "AGE_60_TO_69": 3,
    "AGE_70_TO_79": 2,
    "AGE_UNKNOWN": 0.5,
}
_ACUTE = {"ONE_DAY": 5, "LESS_THAN_ONE_WEEK": 4, "ONE_TO_FOUR_WEEKS": 1, "UNKNOWN": 0.4}
_WEEKS = {"LESS_THAN_ONE_WEEK": 2, "ONE_TO_FOUR_WEEKS": 5, "ONE_TO_THREE_MONTHS": 2, "UNKNOWN": 0.5}
_LONG = {
    "ONE_TO_THREE_MONTHS": 1.5,
    "THREE_TO_TWELVE_MONTHS": 3,
    "MORE_THAN_ONE_YEAR": 3,
    "MORE_THAN_FIVE_YEARS": 2,
    "SINCE_CHILDHOOD": 1,
}
_LIMBS = {"ARM": 0.5, "LEG": 0.5, "BACK_OF_HAND": 0.15}
_RASH = {"RASH": 8, "OTHER_ISSUE_DESCRIPTION": 2, "PIGMENTARY_PROBLEM": 0.3, "ACNE": 0.3}

CONDITIONS = (
    GeneratedCondition(
        id="ACNE",
        name="Acne",
        share=0.12,
        mimics="Insect Bite",
        age_group=_YOUNG,
        related_category={"ACNE": 8, "RASH": 2, "OTHER_ISSUE_DESCRIPTION": 1},
        condition_duration=_LONG,
        textures={"RAISED_OR_BUMPY": 0.85, "FLUID_FILLED": 0.3},
        body_parts={"HEAD_OR_NECK": 0.75, "TORSO_BACK": 0.35, "TORSO_FRONT": 0.2},
        condition_symptoms={"BOTHERSOME_APPEARANCE": 0.7, "PAIN": 0.3, "DARKENING": 0.15},
        other_symptoms={"FATIGUE": 0.05},
    ),
    GeneratedCondition(
        id="ECZEMA",
        name="Eczema",
        share=0.2,
        mimics="Psoriasis",
        age_group=_ANY_AGE,
        related_category=_RASH,
        condition_duration={"ONE_TO_FOUR_WEEKS": 2, **_LONG},
        textures={"ROUGH_OR_FLAKY": 0.65, "RAISED_OR_BUMPY": 0.4, "FLAT": 0.2},
        body_parts={**_LIMBS, "HEAD_OR_NECK": 0.2, "PALM": 0.1},
        condition_symptoms={"ITCHING": 0.85, "BOTHERSOME_APPEARANCE": 0.4, "BURNING": 0.2, "DARKENING": 0.15},
        other_symptoms={"FATIGUE": 0.05},
    ),
    GeneratedCondition(
        id="HERPES_ZOSTER",
        name="Herpes Zoster",
        share=0.09,
        mimics="Acne",
        age_group=_OLD,
        related_category=_RASH,
        condition_duration=_ACUTE,
        textures={"FLUID_FILLED": 0.7, "RAISED_OR_BUMPY": 0.6},
        body_parts={"TORSO_FRONT": 0.5, "TORSO_BACK": 0.45, "HEAD_OR_NECK": 0.2},
        condition_symptoms={"PAIN": 0.8, "BURNING": 0.65, "ITCHING": 0.4},
        other_symptoms={"FATIGUE": 0.35, "FEVER": 0.2, "CHILLS": 0.15},
    ),
    GeneratedCondition(
        id="INSECT_BITE",
        name="Insect Bite",
        share=0.14,
        mimics="Urticaria",
        age_group=_ANY_AGE,
        related_category=_RASH,
        condition_duration=_ACUTE,
        textures={"RAISED_OR_BUMPY": 0.85, "FLUID_FILLED": 0.12},
        body_parts={**_LIMBS, "FOOT_TOP_OR_SIDE": 0.2},
        condition_symptoms={"ITCHING": 0.85, "PAIN": 0.2, "BURNING": 0.15, "INCREASING_SIZE": 0.15},
        other_symptoms={},
    ),
    GeneratedCondition(
        id="PSORIASIS",
        name="Psoriasis",
        share=0.13,
        mimics="Eczema",
        age_group=_OLD,
        related_category=_RASH,
        condition_duration=_LONG,
        textures={"ROUGH_OR_FLAKY": 0.85, "RAISED_OR_BUMPY": 0.5},
        body_parts={"ARM": 0.5, "LEG": 0.5, "HEAD_OR_NECK": 0.25, "TORSO_BACK": 0.2},
        condition_symptoms={"ITCHING": 0.5, "BOTHERSOME_APPEARANCE": 0.6, "BLEEDING": 0.2},
        other_symptoms={"JOINT_PAIN": 0.3},
    ),
    GeneratedCondition(
        id="TINEA",
        name="Tinea",
        share=0.12,
        mimics="Eczema",
        age_group=_ANY_AGE,
        related_category=_RASH,
        condition_duration=_WEEKS,
        textures={"ROUGH_OR_FLAKY": 0.6, "RAISED_OR_BUMPY": 0.35, "FLAT": 0.3},
        body_parts={"ARM": 0.3, "LEG": 0.35, "TORSO_FRONT": 0.25, "GENITALIA_OR_GROIN": 0.25},
        condition_symptoms={"ITCHING": 0.65, "INCREASING_SIZE": 0.5, "BOTHERSOME_APPEARANCE": 0.3},
        other_symptoms={},
    ),
    GeneratedCondition(
        id="URTICARIA",
        name="Urticaria",
        share=0.13,
        mimics="Insect Bite",
        age_group=_ANY_AGE,
        related_category=_RASH,
        condition_duration={"ONE_DAY": 6, "LESS_THAN_ONE_WEEK": 2, "ONE_TO_FOUR_WEEKS": 1, "UNKNOWN": 0.4},
        textures={"RAISED_OR_BUMPY": 0.85, "FLAT": 0.15},
        body_parts={"TORSO_FRONT": 0.45, "TORSO_BACK": 0.4, "ARM": 0.45, "LEG": 0.35},
        condition_symptoms={"ITCHING": 0.9, "BURNING": 0.25, "INCREASING_SIZE": 0.2},
        other_symptoms={"SHORTNESS_OF_BREATH": 0.05},
    ),
    GeneratedCondition(
        id="VITILIGO",
        name="Vitiligo",
        share=0.07,
        mimics="Tinea",
        age_group=_ANY_AGE,
        related_category={"PIGMENTARY_PROBLEM": 8, "OTHER_ISSUE_DESCRIPTION": 1, "RASH": 1},
        condition_duration=_LONG,
        textures={"FLAT": 0.9},
        body_parts={"BACK_OF_HAND": 0.4, "HEAD_OR_NECK": 0.4, "ARM": 0.3, "FOOT_TOP_OR_SIDE": 0.2},
        condition_symptoms={"BOTHERSOME_APPEARANCE": 0.6, "INCREASING_SIZE": 0.3},
        other_symptoms={},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedCase:
    """One to three images, uint8[H,W,3] RGB, one a shot type (none where not painted).

    `monk_skin_tone` is the tone painted, answered or not.
    """

    index: int
    condition: str
    images: tuple[Image, ...]
    shot_types: tuple[ShotType, ...]
    self_report: SelfReport
    monk_skin_tone: MonkSkinTone


def case(
    seed: int, index: int, *, longest: int = 112, painted: bool = True, repaint: MonkSkinTone | None = None
) -> GeneratedCase:
    """Return case `index` of `seed`; `longest` is the images' longer side in pixels and changes nothing else.

    `repaint`: the tone to paint the very same scene on, under the light that a camera would show it in; the answers
    stay.
    """
    rng = np.random.default_rng([seed, index])
    shares = np.array([condition.share for condition in CONDITIONS])
    condition = CONDITIONS[rng.choice(len(CONDITIONS), p=shares / shares.sum())]
    hidden = rng.uniform()
    tone = tuple(MonkSkinTone)[round(float(np.clip(9 * hidden + rng.normal(0, 0.7), 0, 9)))]
    report = _answers(rng, condition, tone=tone, hidden=hidden)
    tone = repaint or tone
    shots = (
        tuple(ShotType)[: rng.choice([1, 2, 3], p=[0.35, 0.25, 0.4])]
        if rng.uniform() < 0.8
        else (ShotType.AT_AN_ANGLE,)
    )
    short = round(longest * rng.choice([0.75, 0.75, 1.0]))
    size = (longest, short) if rng.uniform() < 0.7 else (short, longest)
    warmth, seed_of_look = rng.normal(0, 0.6), int(rng.integers(2**31))
    look = condition.mimics if rng.uniform() < MIMICRY else condition.name
    images = tuple(
        paint(
            geometry(look, seed=seed_of_look, size=size, shot_type=shot),
            tone=tone,
            light=_exposure(rng, tone),
            warmth=warmth,
        )
        for shot in (shots if painted else ())
    )
    return GeneratedCase(
        index=index, condition=condition.name, images=images, shot_types=shots, self_report=report, monk_skin_tone=tone
    )


def cases(seed: int, count: int, *, longest: int = 112, painted: bool = True) -> Iterator[GeneratedCase]:
    """Yield the first `count` cases of `seed`."""
    return (case(seed, index, longest=longest, painted=painted) for index in range(count))


def _exposure(rng: np.random.Generator, tone: MonkSkinTone) -> float:
    """A camera brightens dark skin, but not all the way."""
    grey = (sum(bytes.fromhex(MONK_SWATCHES[tone])) / 765) ** 2.2
    return float(rng.uniform(0.55, 1.0) * (0.8 / grey) ** 0.3)


def _answers(
    rng: np.random.Generator, condition: GeneratedCondition, *, tone: MonkSkinTone, hidden: float
) -> SelfReport:
    answers: dict[str, Any] = {
        "sex_at_birth": rng.choice(["FEMALE", "MALE", "OTHER_OR_UNSPECIFIED"], p=[0.55, 0.4, 0.05]),
        "fitzpatrick_skin_type": f"FST{round(float(np.clip(1 + 5 * hidden + rng.normal(0, 0.8), 1, 6)))}",
        "monk_skin_tone": tone,
    }
    if rng.uniform() < 0.08:
        answers["fitzpatrick_skin_type"] = "NONE_IDENTIFIED"
    for name in _ONE_OF:
        weights: Weights = getattr(condition, name)
        answers[name] = rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values()))
    for name, (values, none_of_these) in _ANY_OF.items():
        # People err: any other value is ticked now and then.
        chances = {value: getattr(condition, name).get(value, 0.04) for value in values if value != none_of_these}
        ticked = [value for value, chance in chances.items() if rng.uniform() < chance]
        answers[name] = ticked or (none_of_these and [none_of_these])
    silent = rng.uniform() < 0.1
    skipped = {name for name in answers if rng.uniform() < 0.3}
    return SelfReport.model_validate(
        {} if silent else {name: value for name, value in answers.items() if name not in skipped}
    )
