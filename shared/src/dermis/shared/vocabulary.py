"""SCIN's self-report vocabulary (scin dataset_schema.md, release 1.0.0), and what a person is asked beside it.

It has every answer a person may give, none needed.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class AgeGroup(StrEnum):
    AGE_UNKNOWN = "AGE_UNKNOWN"
    AGE_18_TO_29 = "AGE_18_TO_29"
    AGE_30_TO_39 = "AGE_30_TO_39"
    AGE_40_TO_49 = "AGE_40_TO_49"
    AGE_50_TO_59 = "AGE_50_TO_59"
    AGE_60_TO_69 = "AGE_60_TO_69"
    AGE_70_TO_79 = "AGE_70_TO_79"
    AGE_80_OR_ABOVE = "AGE_80_OR_ABOVE"


class SexAtBirth(StrEnum):
    FEMALE = "FEMALE"
    MALE = "MALE"
    OTHER_OR_UNSPECIFIED = "OTHER_OR_UNSPECIFIED"


class FitzpatrickSkinType(StrEnum):
    """Fitzpatrick skin type (FST) I-VI. The data say NONE_IDENTIFIED where SCIN's documentation says NONE_SELECTED."""

    FST1 = "FST1"
    FST2 = "FST2"
    FST3 = "FST3"
    FST4 = "FST4"
    FST5 = "FST5"
    FST6 = "FST6"
    NONE_IDENTIFIED = "NONE_IDENTIFIED"


class MonkSkinTone(StrEnum):
    """Monk skin tone (MST) 1-10; never converted from or to Fitzpatrick."""

    MST1 = "MST1"
    MST2 = "MST2"
    MST3 = "MST3"
    MST4 = "MST4"
    MST5 = "MST5"
    MST6 = "MST6"
    MST7 = "MST7"
    MST8 = "MST8"
    MST9 = "MST9"
    MST10 = "MST10"


def monk_bin(tone: MonkSkinTone | None) -> str:
    """Return the group of a stated Monk tone, by which versions are compared; empty where none was stated."""
    if tone is None:
        return ""
    number = tuple(MonkSkinTone).index(tone) + 1
    return "MST_1_3" if number <= 3 else "MST_4_6" if number <= 6 else "MST_7_10"


class RaceEthnicity(StrEnum):
    """For audit only: no feature schema of a promotable model holds it."""

    AMERICAN_INDIAN_OR_ALASKA_NATIVE = "AMERICAN_INDIAN_OR_ALASKA_NATIVE"
    ASIAN = "ASIAN"
    BLACK_OR_AFRICAN_AMERICAN = "BLACK_OR_AFRICAN_AMERICAN"
    HISPANIC_LATINO_OR_SPANISH_ORIGIN = "HISPANIC_LATINO_OR_SPANISH_ORIGIN"
    MIDDLE_EASTERN_OR_NORTH_AFRICAN = "MIDDLE_EASTERN_OR_NORTH_AFRICAN"
    NATIVE_HAWAIIAN_OR_PACIFIC_ISLANDER = "NATIVE_HAWAIIAN_OR_PACIFIC_ISLANDER"
    WHITE = "WHITE"
    OTHER_RACE = "OTHER_RACE"
    PREFER_NOT_TO_ANSWER = "PREFER_NOT_TO_ANSWER"


class Texture(StrEnum):
    RAISED_OR_BUMPY = "RAISED_OR_BUMPY"
    FLAT = "FLAT"
    ROUGH_OR_FLAKY = "ROUGH_OR_FLAKY"
    FLUID_FILLED = "FLUID_FILLED"


class BodyPart(StrEnum):
    HEAD_OR_NECK = "HEAD_OR_NECK"
    ARM = "ARM"
    PALM = "PALM"
    BACK_OF_HAND = "BACK_OF_HAND"
    TORSO_FRONT = "TORSO_FRONT"
    TORSO_BACK = "TORSO_BACK"
    GENITALIA_OR_GROIN = "GENITALIA_OR_GROIN"
    BUTTOCKS = "BUTTOCKS"
    LEG = "LEG"
    FOOT_TOP_OR_SIDE = "FOOT_TOP_OR_SIDE"
    FOOT_SOLE = "FOOT_SOLE"
    OTHER = "OTHER"


class ConditionSymptom(StrEnum):
    BOTHERSOME_APPEARANCE = "BOTHERSOME_APPEARANCE"
    BLEEDING = "BLEEDING"
    INCREASING_SIZE = "INCREASING_SIZE"
    DARKENING = "DARKENING"
    ITCHING = "ITCHING"
    BURNING = "BURNING"
    PAIN = "PAIN"
    NO_RELEVANT_EXPERIENCE = "NO_RELEVANT_EXPERIENCE"


class OtherSymptom(StrEnum):
    FEVER = "FEVER"
    CHILLS = "CHILLS"
    FATIGUE = "FATIGUE"
    JOINT_PAIN = "JOINT_PAIN"
    MOUTH_SORES = "MOUTH_SORES"
    SHORTNESS_OF_BREATH = "SHORTNESS_OF_BREATH"
    NO_RELEVANT_SYMPTOMS = "NO_RELEVANT_SYMPTOMS"


class WarningSign(StrEnum):
    """What is asked before anything else. SCIN has no word for most of them: they enter no feature vector."""

    SHORTNESS_OF_BREATH = "SHORTNESS_OF_BREATH"
    SWOLLEN_FACE_OR_TONGUE = "SWOLLEN_FACE_OR_TONGUE"
    FEVER_WITH_RASH = "FEVER_WITH_RASH"
    MOUTH_SORES = "MOUTH_SORES"
    FAST_SPREADING = "FAST_SPREADING"
    VERY_ILL = "VERY_ILL"
    NO_WARNING_SIGNS = "NO_WARNING_SIGNS"


class RelatedCategory(StrEnum):
    RASH = "RASH"
    ACNE = "ACNE"
    GROWTH_OR_MOLE = "GROWTH_OR_MOLE"
    PIGMENTARY_PROBLEM = "PIGMENTARY_PROBLEM"
    NAIL_PROBLEM = "NAIL_PROBLEM"
    HAIR_LOSS = "HAIR_LOSS"
    OTHER_HAIR_PROBLEM = "OTHER_HAIR_PROBLEM"
    LOOKS_HEALTHY = "LOOKS_HEALTHY"
    OTHER_ISSUE_DESCRIPTION = "OTHER_ISSUE_DESCRIPTION"


class ConditionDuration(StrEnum):
    ONE_DAY = "ONE_DAY"
    LESS_THAN_ONE_WEEK = "LESS_THAN_ONE_WEEK"
    ONE_TO_FOUR_WEEKS = "ONE_TO_FOUR_WEEKS"
    ONE_TO_THREE_MONTHS = "ONE_TO_THREE_MONTHS"
    THREE_TO_TWELVE_MONTHS = "THREE_TO_TWELVE_MONTHS"
    MORE_THAN_ONE_YEAR = "MORE_THAN_ONE_YEAR"
    MORE_THAN_FIVE_YEARS = "MORE_THAN_FIVE_YEARS"
    SINCE_CHILDHOOD = "SINCE_CHILDHOOD"
    UNKNOWN = "UNKNOWN"


class Gradable(StrEnum):
    """A dermatologist's answer to "is the quality sufficient for a diagnosis?": three values, not a bool."""

    DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT = "DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT"
    NO_IMAGE_QUALITY_INSUFFICIENT = "NO_IMAGE_QUALITY_INSUFFICIENT"
    YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY = "YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY"


class ShotType(StrEnum):
    CLOSE_UP = "CLOSE_UP"
    AT_AN_ANGLE = "AT_AN_ANGLE"
    AT_DISTANCE = "AT_DISTANCE"


def _nothing_ticked(value: Any) -> Any:
    """Treats no box ticked as not answered, as SCIN does; an explicit "none of these" has a value of its own."""
    return None if value in ([], ()) else value


def _without_repeats(values: tuple[StrEnum, ...] | None) -> tuple[StrEnum, ...] | None:
    return None if values is None else tuple(dict.fromkeys(values))


def _a_sign_counts(values: tuple[WarningSign, ...] | None) -> tuple[WarningSign, ...] | None:
    """Drops "none of these" next to a sign: of two answers that exclude each other the warning is heard."""
    signs = tuple(value for value in values or () if value is not WarningSign.NO_WARNING_SIGNS)
    return signs or values


def _bool_of_word(value: Any) -> Any:
    """Takes TRUE and FALSE as forms and tables write them; every other text is refused."""
    return {"TRUE": True, "FALSE": False}.get(value, value) if isinstance(value, str) else value


_several = (BeforeValidator(_nothing_ticked), AfterValidator(_without_repeats))


class ScinAnswers(BaseModel):
    """The answers that SCIN has words for: what a feature schema may encode."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    age_group: AgeGroup | None = None
    sex_at_birth: SexAtBirth | None = None
    fitzpatrick_skin_type: FitzpatrickSkinType | None = None
    monk_skin_tone: MonkSkinTone | None = None
    race_ethnicity: Annotated[tuple[RaceEthnicity, ...] | None, *_several] = None
    textures: Annotated[tuple[Texture, ...] | None, *_several] = None
    body_parts: Annotated[tuple[BodyPart, ...] | None, *_several] = None
    condition_symptoms: Annotated[tuple[ConditionSymptom, ...] | None, *_several] = None
    other_symptoms: Annotated[tuple[OtherSymptom, ...] | None, *_several] = None
    related_category: RelatedCategory | None = None
    condition_duration: ConditionDuration | None = None


class SelfReport(ScinAnswers):
    """One person's answers; None is an answer that was not given: a value of its own, never zero and never "no"."""

    warning_signs: Annotated[tuple[WarningSign, ...] | None, *_several, AfterValidator(_a_sign_counts)] = None
    under_18: Annotated[bool | None, Field(strict=True), BeforeValidator(_bool_of_word)] = None

    @property
    def is_empty(self) -> bool:
        """Whether no question was answered."""
        return all(getattr(self, name) is None for name in type(self).model_fields)
