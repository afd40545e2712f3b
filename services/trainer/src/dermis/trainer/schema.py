"""The feature schema of models that read every answer, those for audit only apart."""

from dermis.shared import vocabulary as v
from dermis.shared.manifest import FeatureField, FeatureSchema

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
}
_ANY_OF = {"textures", "body_parts", "condition_symptoms", "other_symptoms"}
_SAYS_NOTHING = {"age_group": ("AGE_UNKNOWN",), "fitzpatrick_skin_type": ("NONE_IDENTIFIED",)}


def every_answer() -> FeatureSchema:
    """Return the schema with a field for each answer of a self-report that a promotable model may read."""
    return FeatureSchema(
        fields=tuple(
            FeatureField(
                name=name,
                kind="ANY_OF" if name in _ANY_OF else "ONE_OF",
                values=tuple(value for value in values if value not in _SAYS_NOTHING.get(name, ())),
                absent_values=_SAYS_NOTHING.get(name, ()),
            )
            for name, values in _ENUMS.items()
        )
    )


FEATURE_GROUPS: dict[str, tuple[str, ...]] = {
    "baseline": ("age_group", "sex_at_birth", "related_category", "condition_duration"),
    "symptoms": ("condition_symptoms", "other_symptoms"),
    "Monk": ("monk_skin_tone",),
    "Fitzpatrick": ("fitzpatrick_skin_type",),
    "body location": ("body_parts",),
    "textures": ("textures",),
}
"""Answers that are left out together, to see what they are worth."""
