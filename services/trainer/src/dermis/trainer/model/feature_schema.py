"""The feature schema of models that read every answer, those for audit only apart."""

from collections.abc import Iterable, Sequence

from dermis.shared import vocabulary as v
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import AUDIT_ONLY, FeatureField, FeatureSchema

_ENUMS = {
    "age_group": v.AgeGroup,
    "sex_at_birth": v.SexAtBirth,
    "fitzpatrick_skin_type": v.FitzpatrickSkinType,
    "monk_skin_tone": v.MonkSkinTone,
    "textures": v.Texture,
    "body_parts": v.BodyPart,
    "condition_symptoms": v.ConditionSymptom,
    "other_symptoms": v.OtherSymptom,
    "related_category": v.RelatedCategory,
    "condition_duration": v.ConditionDuration,
    "race_ethnicity": v.RaceEthnicity,
}
_ANY_OF = {"race_ethnicity", "textures", "body_parts", "condition_symptoms", "other_symptoms"}
_SAYS_NOTHING = {"age_group": ("AGE_UNKNOWN",), "fitzpatrick_skin_type": ("NONE_IDENTIFIED",)}


def _fields(names: Iterable[str]) -> FeatureSchema:
    return FeatureSchema(
        fields=tuple(
            FeatureField(
                name=name,
                kind="ANY_OF" if name in _ANY_OF else "ONE_OF",
                values=tuple(value for value in _ENUMS[name] if value not in _SAYS_NOTHING.get(name, ())),
                absent_values=_SAYS_NOTHING.get(name, ()),
            )
            for name in names
        )
    )


def every_answer() -> FeatureSchema:
    """Return the schema with a field for each answer of a self-report that a promotable model may read."""
    return _fields(name for name in _ENUMS if name not in AUDIT_ONLY)


FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    "baseline": ("age_group", "sex_at_birth", "related_category", "condition_duration"),
    "symptoms": ("condition_symptoms", "other_symptoms"),
    "Monk": ("monk_skin_tone",),
    "Fitzpatrick": ("fitzpatrick_skin_type",),
    "body location": ("body_parts",),
    "textures": ("textures",),
}
"""Answers that are left out together, to see what they are worth."""


def schema_of(groups: Sequence[str]) -> FeatureSchema:
    """Return the schema of some groups of answers; "race", for ablation only, makes a model that can't be promoted.

    INVALID for others.
    """
    by_name = {name.lower().replace(" ", "_"): fields for name, fields in FEATURE_GROUPS.items()} | {
        "race": tuple(AUDIT_ONLY)
    }
    unknown = [group for group in groups if group.lower() not in by_name]
    if unknown or not groups:
        detail = f"no group of answers {unknown[0]!r}" if unknown else "no group of answers is named"
        raise DermisError(Kind.INVALID, "FEATURES", f"{detail}: use {', '.join(by_name)}")
    return _fields(name for group in dict.fromkeys(groups) for name in by_name[group.lower()])
