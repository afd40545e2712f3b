"""SCIN's two tables: the columns in their order and what each cell may hold (dataset_schema.md, release 1.0.0)."""

from dermis.data.scin import cells
from dermis.data.scin.cells import Parser
from dermis.shared.vocabulary import (
    AgeGroup,
    BodyPart,
    ConditionDuration,
    ConditionSymptom,
    FitzpatrickSkinType,
    Gradable,
    OtherSymptom,
    RaceEthnicity,
    RelatedCategory,
    SexAtBirth,
    ShotType,
    Texture,
)

CASES_FILE = "scin_cases.csv"
LABELS_FILE = "scin_labels.csv"
PERSONS_FILE = "persons.csv"
"""Beside the tables where it is known which cases are of one person: columns `case_id`, `person`."""
SLOTS = (1, 2, 3)

YES = Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT
NO_PATHOLOGY = Gradable.YES_IMAGE_QUALITY_SUFFICIENT_NO_DISCERNIBLE_PATHOLOGY
TWO_OR_MORE = "TWO_OR_MORE_AFTER_MITIGATION"

ONE_OF: dict[str, tuple[str, ...]] = {
    "age_group": tuple(AgeGroup),
    "sex_at_birth": tuple(SexAtBirth),
    "fitzpatrick_skin_type": tuple(FitzpatrickSkinType),
    "related_category": tuple(RelatedCategory),
    "condition_duration": tuple(ConditionDuration),
}
ANY_OF: dict[str, tuple[str, ...]] = {
    "race_ethnicity": (*RaceEthnicity, TWO_OR_MORE),
    "textures": ("TEXTURE_UNSPECIFIED", *Texture),
    "body_parts": tuple(BodyPart),
    "condition_symptoms": tuple(ConditionSymptom),
    "other_symptoms": tuple(OtherSymptom),
}
FITZPATRICK = tuple(value for value in FitzpatrickSkinType if value != FitzpatrickSkinType.NONE_IDENTIFIED)
MONK = tuple(range(1, 11))
POOLS = ("us", "india")
OPTIONAL_COLUMNS = frozenset({"textures_texture_unspecified"})
"""Documented by the publisher and never seen."""


def flag_column(question: str, value: str) -> str:
    return f"{question}_{value.lower()}"


def _flags(question: str) -> dict[str, Parser]:
    return {flag_column(question, value): cells.flag for value in ANY_OF[question]}


# SCIN's documentation says NONE_SELECTED where its data say NONE_IDENTIFIED.
_ALIASES = {"fitzpatrick_skin_type": {"NONE_SELECTED": "NONE_IDENTIFIED"}}

CASE_COLUMNS: dict[str, Parser] = {
    "case_id": cells.case_id,
    "source": cells.text,
    "release": cells.release,
    "year": cells.year,
    **{name: cells.one_of(values, _ALIASES.get(name)) for name, values in ONE_OF.items()},
    **{column: parser for question in ANY_OF for column, parser in _flags(question).items()},
    **{f"image_{n}_path": cells.image_path for n in SLOTS},
    **{f"image_{n}_shot_type": cells.one_of(tuple(ShotType)) for n in SLOTS},
    "combined_race": cells.some_of(ANY_OF["race_ethnicity"]),
}
LABEL_COLUMNS: dict[str, Parser] = {
    "case_id": cells.case_id,
    **{f"dermatologist_gradable_for_skin_condition_{n}": cells.one_of(tuple(Gradable)) for n in SLOTS},
    "dermatologist_skin_condition_on_label_name": cells.names,
    "dermatologist_skin_condition_confidence": cells.confidences,
    "weighted_skin_condition_label": cells.weights,
    **{f"dermatologist_gradable_for_fitzpatrick_skin_type_{n}": cells.one_of(("YES", "NO")) for n in SLOTS},
    **{f"dermatologist_fitzpatrick_skin_type_label_{n}": cells.one_of(FITZPATRICK) for n in SLOTS},
    **{f"gradable_for_monk_skin_tone_{pool}": cells.boolean for pool in POOLS},
    **{f"monk_skin_tone_label_{pool}": cells.monk for pool in POOLS},
}
