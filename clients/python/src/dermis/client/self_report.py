"""What a caller sends: the answers that a person gave, in the words of the SCIN data set, and a few codes."""

from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict  # pydantic's own; typing's is refused before Python 3.12

AgeGroup = Literal[
    "AGE_UNKNOWN",
    "AGE_18_TO_29",
    "AGE_30_TO_39",
    "AGE_40_TO_49",
    "AGE_50_TO_59",
    "AGE_60_TO_69",
    "AGE_70_TO_79",
    "AGE_80_OR_ABOVE",
]
SexAtBirth = Literal["FEMALE", "MALE", "OTHER_OR_UNSPECIFIED"]
FitzpatrickSkinType = Literal["FST1", "FST2", "FST3", "FST4", "FST5", "FST6", "NONE_IDENTIFIED"]
MonkSkinTone = Literal["MST1", "MST2", "MST3", "MST4", "MST5", "MST6", "MST7", "MST8", "MST9", "MST10"]
RaceEthnicity = Literal[
    "AMERICAN_INDIAN_OR_ALASKA_NATIVE",
    "ASIAN",
    "BLACK_OR_AFRICAN_AMERICAN",
    "HISPANIC_LATINO_OR_SPANISH_ORIGIN",
    "MIDDLE_EASTERN_OR_NORTH_AFRICAN",
    "NATIVE_HAWAIIAN_OR_PACIFIC_ISLANDER",
    "WHITE",
    "OTHER_RACE",
    "PREFER_NOT_TO_ANSWER",
]
Texture = Literal["RAISED_OR_BUMPY", "FLAT", "ROUGH_OR_FLAKY", "FLUID_FILLED"]
BodyPart = Literal[
    "HEAD_OR_NECK",
    "ARM",
    "PALM",
    "BACK_OF_HAND",
    "TORSO_FRONT",
    "TORSO_BACK",
    "GENITALIA_OR_GROIN",
    "BUTTOCKS",
    "LEG",
    "FOOT_TOP_OR_SIDE",
    "FOOT_SOLE",
    "OTHER",
]
ConditionSymptom = Literal[
    "BOTHERSOME_APPEARANCE",
    "BLEEDING",
    "INCREASING_SIZE",
    "DARKENING",
    "ITCHING",
    "BURNING",
    "PAIN",
    "NO_RELEVANT_EXPERIENCE",
]
OtherSymptom = Literal[
    "FEVER", "CHILLS", "FATIGUE", "JOINT_PAIN", "MOUTH_SORES", "SHORTNESS_OF_BREATH", "NO_RELEVANT_SYMPTOMS"
]
WarningSign = Literal[
    "SHORTNESS_OF_BREATH",
    "SWOLLEN_FACE_OR_TONGUE",
    "FEVER_WITH_RASH",
    "MOUTH_SORES",
    "FAST_SPREADING",
    "VERY_ILL",
    "NO_WARNING_SIGNS",
]
RelatedCategory = Literal[
    "RASH",
    "ACNE",
    "GROWTH_OR_MOLE",
    "PIGMENTARY_PROBLEM",
    "NAIL_PROBLEM",
    "HAIR_LOSS",
    "OTHER_HAIR_PROBLEM",
    "LOOKS_HEALTHY",
    "OTHER_ISSUE_DESCRIPTION",
]
ConditionDuration = Literal[
    "ONE_DAY",
    "LESS_THAN_ONE_WEEK",
    "ONE_TO_FOUR_WEEKS",
    "ONE_TO_THREE_MONTHS",
    "THREE_TO_TWELVE_MONTHS",
    "MORE_THAN_ONE_YEAR",
    "MORE_THAN_FIVE_YEARS",
    "SINCE_CHILDHOOD",
    "UNKNOWN",
]
ShotType = Literal["CLOSE_UP", "AT_AN_ANGLE", "AT_DISTANCE"]
Consent = Literal["ASSESS_ONLY", "KEEP_FOR_IMPROVEMENT"]
ConfirmedBy = Literal["SELF", "DOCTOR", "DERMATOLOGIST", "LABORATORY"]


class SelfReport(TypedDict, total=False):
    """One person's answers, none needed; leaving one out is a value of its own, never "no"."""

    age_group: AgeGroup | None
    sex_at_birth: SexAtBirth | None
    fitzpatrick_skin_type: FitzpatrickSkinType | None
    monk_skin_tone: MonkSkinTone | None
    race_ethnicity: Sequence[RaceEthnicity] | None
    textures: Sequence[Texture] | None
    body_parts: Sequence[BodyPart] | None
    condition_symptoms: Sequence[ConditionSymptom] | None
    other_symptoms: Sequence[OtherSymptom] | None
    related_category: RelatedCategory | None
    condition_duration: ConditionDuration | None
    warning_signs: Sequence[WarningSign] | None
    under_18: bool | None
