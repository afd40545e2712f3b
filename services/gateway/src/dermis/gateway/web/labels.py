"""The self-report's vocabulary in plain words."""

from dataclasses import dataclass
from enum import StrEnum

from dermis.shared.vocabulary import (
    AgeGroup,
    BodyPart,
    ConditionDuration,
    ConditionSymptom,
    FitzpatrickSkinType,
    OtherSymptom,
    RelatedCategory,
    SexAtBirth,
    ShotType,
    Texture,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question of the page; `several` if more than one answer may be ticked."""

    field: str
    text: str
    answers: dict[StrEnum, str]
    several: bool = False
    hint: str = ""


def _worded(kind: type[StrEnum], **words: str) -> dict[StrEnum, str]:
    return {value: words.get(value, value.replace("_", " ").capitalize()) for value in kind}


def _ages() -> dict[StrEnum, str]:
    words = {value.name: value.removeprefix("AGE_").replace("_TO_", " to ") for value in AgeGroup}
    return _worded(AgeGroup, **(words | {"AGE_UNKNOWN": "I don't know", "AGE_80_OR_ABOVE": "80 or older"}))


SHOT_TYPES = _worded(ShotType, CLOSE_UP="Close up", AT_AN_ANGLE="At an angle", AT_DISTANCE="From a distance")
QUESTIONS = (
    Question(
        field="related_category",
        text="What is it most like?",
        answers=_worded(
            RelatedCategory, GROWTH_OR_MOLE="A growth or mole", LOOKS_HEALTHY="It looks healthy", OTHER_ISSUE_DESCRIPTION="Something else"
        ),
    ),
    Question(
        field="condition_duration",
        text="How long has it been there?",
        answers=_worded(
            ConditionDuration,
            ONE_TO_FOUR_WEEKS="1 to 4 weeks",
            ONE_TO_THREE_MONTHS="1 to 3 months",
            THREE_TO_TWELVE_MONTHS="3 to 12 months",
            MORE_THAN_FIVE_YEARS="More than 5 years",
            UNKNOWN="I don't know",
        ),
    ),
    Question(field="body_parts", text="Where is it?", several=True, answers=_worded(BodyPart, OTHER="Somewhere else")),
    Question(
        field="textures", text="How does it feel to the touch?", several=True, answers=_worded(Texture, FLUID_FILLED="Filled with fluid")
    ),
    Question(
        field="condition_symptoms",
        text="What does it do?",
        several=True,
        answers=_worded(
            ConditionSymptom,
            BOTHERSOME_APPEARANCE="It looks bothersome",
            INCREASING_SIZE="It grows",
            DARKENING="It gets darker",
            NO_RELEVANT_EXPERIENCE="None of these",
        ),
    ),
    Question(
        field="other_symptoms",
        text="Do you have any of these as well?",
        several=True,
        answers=_worded(OtherSymptom, NO_RELEVANT_SYMPTOMS="None of these"),
    ),
    Question(field="age_group", text="How old are you?", answers=_ages()),
    Question(
        field="sex_at_birth",
        text="Which sex were you assigned at birth?",
        answers=_worded(SexAtBirth, OTHER_OR_UNSPECIFIED="Other, or I'd rather not say"),
    ),
    Question(
        field="fitzpatrick_skin_type",
        text="How does your skin react to the sun?",
        hint="Fitzpatrick skin type: think of skin that has not been in the sun for some months.",
        answers=_worded(
            FitzpatrickSkinType,
            FST1="Always burns, never tans (I)",
            FST2="Usually burns, tans a little (II)",
            FST3="Sometimes burns, tans evenly (III)",
            FST4="Rarely burns, tans well (IV)",
            FST5="Very rarely burns, tans deeply (V)",
            FST6="Never burns, deeply pigmented (VI)",
            NONE_IDENTIFIED="None of these",
        ),
    ),
)
