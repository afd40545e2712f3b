import pytest
from pydantic import ValidationError

from dermis.shared.manifest import (
    AUDIT_ONLY,
    AbstentionRule,
    Condition,
    FeatureField,
    FeatureSchema,
    Manifest,
    PredictionSets,
)

SCHEMA = FeatureSchema(
    fields=(
        FeatureField(
            name="sex_at_birth", kind="ONE_OF", values=("FEMALE", "MALE"), absent_values=("OTHER_OR_UNSPECIFIED",)
        ),
        FeatureField(name="textures", kind="ANY_OF", values=("FLAT", "ROUGH_OR_FLAKY")),
    )
)
GOLDEN_ID = "sha256:5dba676a8e93f54c6d61f71272ea4da5bc05478617a3c8f036bea09663b67b91"


def test_the_content_id_is_golden() -> None:
    """Bundles carry this id: a change here orphans every bundle that is out."""
    assert SCHEMA.id == GOLDEN_ID
    assert FeatureSchema.model_validate_json(SCHEMA.model_dump_json(indent=3)).id == GOLDEN_ID


def test_the_content_id_depends_on_content_and_order_and_nothing_else() -> None:
    backwards = FeatureSchema(fields=SCHEMA.fields[::-1])
    fewer = FeatureSchema(fields=SCHEMA.fields[:1])
    other = FeatureSchema(fields=(SCHEMA.fields[0].model_copy(update={"absent_values": ()}), SCHEMA.fields[1]))
    assert len({SCHEMA.id, backwards.id, fewer.id, other.id}) == 4
    shuffled = {"fields": [dict(reversed(field.model_dump(mode="json").items())) for field in SCHEMA.fields]}
    assert FeatureSchema.model_validate(shuffled).id == SCHEMA.id


def test_a_column_a_value_and_one_for_absent() -> None:
    assert SCHEMA.columns == (
        *("sex_at_birth=FEMALE", "sex_at_birth=MALE", "sex_at_birth=ABSENT"),
        *("textures=FLAT", "textures=ROUGH_OR_FLAKY", "textures=ABSENT"),
    )


def test_a_schema_that_holds_race_is_not_promotable() -> None:
    race = FeatureField(name="race_ethnicity", kind="ANY_OF", values=("ASIAN", "WHITE"))
    assert AUDIT_ONLY == {"race_ethnicity"}
    assert SCHEMA.promotable
    assert not FeatureSchema(fields=(*SCHEMA.fields, race)).promotable
    assert not FeatureSchema(fields=(race,)).promotable


def test_a_field_that_no_self_report_has_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="'income' is no answer of a self-report"):
        FeatureField(name="income", kind="ONE_OF", values=("HIGH",))


def manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "version": 1,
        "purpose": "demo",
        "image_size": 96,
        "conditions": (Condition(id="eczema", name="Eczema"), Condition(id="psoriasis", name="Psoriasis")),
        "feature_schema": SCHEMA.id,
        "embedding_size": 8,
        "cam_size": (3, 3),
        "prediction_sets": PredictionSets(coverage=0.9, thresholds={"FST_I_II": 0.1}),
        "abstention": AbstentionRule(min_probability=0.2, max_set_size=3),
        "files": {},
    }
    return Manifest.model_validate(values | changes)


def test_a_bundle_has_its_place() -> None:
    assert manifest(version=7).key == "models/dermis/7"


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"version": 0},
            {"purpose": "test"},
            {"image_size": 31},
            {"image_size": 513},
            {"max_images": 4},
            {"signature": "x"},
        ),
        *(
            {"conditions": [{"id": "a", "name": "A"}]},
            {"format": "dermis.bundle/2"},
            {"calibration": {"temperature": 0}},
        ),
        {"prediction_sets": {"coverage": 0.9, "thresholds": {"FST_VII": 0.1}}},
    ],
    ids=str,
)
def test_a_manifest_of_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        manifest(**change)
