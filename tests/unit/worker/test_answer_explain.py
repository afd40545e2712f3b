"""What is told beside a differential.

What counted in the answers, where in the image, how well it was measured, and notices.
"""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.metadata.core.encode import encode
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.manifest import (
    EVALUATION_FILE,
    FEATURE_SCHEMA_FILE,
    MANIFEST_FILE,
    FeatureSchema,
    Knowledge,
    MalignantRule,
    Manifest,
)
from dermis.shared.vocabulary import (
    BodyPart,
    ConditionSymptom,
    FitzpatrickSkinType,
    RelatedCategory,
    SelfReport,
    Texture,
)
from dermis.standalone import demo
from dermis.worker.core import heatmap
from dermis.worker.core.answer_shares import AnswerWeights, answer_shares, from_probes, probes
from dermis.worker.core.measured import measured_for
from dermis.worker.core.notices import notices, notices_of_model
from dermis.worker.core.prepare import fit
from tests.support import evaluations

SCHEMA = FeatureSchema.model_validate_json((demo.BUNDLE / FEATURE_SCHEMA_FILE).read_bytes())
EVALUATION = EvaluationReport.model_validate_json((demo.BUNDLE / EVALUATION_FILE).read_bytes())
K = 5
RNG = np.random.default_rng(0)
WEIGHTS = AnswerWeights(
    bias=RNG.normal(size=K).astype(np.float32), weights=RNG.normal(size=(len(SCHEMA.columns), K)).astype(np.float32)
)
SHOWN = [(3, "d"), (0, "a")]


def logits(features: np.ndarray) -> np.ndarray:
    return WEIGHTS.bias + features @ WEIGHTS.weights


def reports() -> st.SearchStrategy[SelfReport]:
    several = {
        name: st.one_of(st.none(), st.lists(st.sampled_from(list(kind))))
        for name, kind in (("textures", Texture), ("body_parts", BodyPart), ("condition_symptoms", ConditionSymptom))
    }
    one = {
        "related_category": st.sampled_from([None, *RelatedCategory]),
        "fitzpatrick_skin_type": st.sampled_from([None, *FitzpatrickSkinType]),
    }
    return st.fixed_dictionaries({**several, **one}).map(SelfReport.model_validate)


@given(reports())
def test_a_share_is_the_logit_with_the_answer_less_the_logit_without_it(report: SelfReport) -> None:
    features = encode(SCHEMA, report)
    found = {share.field: share for share in answer_shares(SCHEMA, features, WEIGHTS, SHOWN)}
    for field in SCHEMA.fields:
        without = encode(SCHEMA, report.model_copy(update={field.name: None}))
        differs = logits(features) - logits(without)
        if field.name in found:
            assert found[field.name].shares == pytest.approx({"d": differs[3], "a": differs[0]}, abs=1e-4)
        else:
            assert not differs.any()


def test_the_map_is_found_by_probing_and_a_model_that_is_not_linear_is_noticed() -> None:
    found = from_probes(logits(probes(len(SCHEMA.columns))))
    np.testing.assert_allclose(found.weights, WEIGHTS.weights, atol=1e-5)
    features = encode(SCHEMA, SelfReport.model_validate({"textures": ["FLAT"], "related_category": "RASH"}))
    assert found.explain(features, logits(features))
    assert not found.explain(features, logits(features) ** 2)


@pytest.mark.parametrize(("height", "width"), [(300, 200), (200, 300), (256, 256), (512, 9)])
def test_a_heatmap_lies_over_its_image(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    image[-height // 4 :, : max(1, width // 4)] = 255  # the lower left corner
    seen = fit(image, 96)[..., 0].astype(np.float32) / 255
    cam = cv2.resize(seen, (12, 12), interpolation=cv2.INTER_AREA)
    drawn = cv2.imdecode(
        np.frombuffer(heatmap.overlay(cam, height=height, width=width, most=float(cam.max())), np.uint8),  # type: ignore[arg-type]
        cv2.IMREAD_UNCHANGED,
    )
    assert max(drawn.shape[:2]) == 256
    assert abs(drawn.shape[0] / drawn.shape[1] - height / width) < 0.01 * height / width or width == 9
    opacity = drawn[..., 3]
    rows, columns = opacity.shape[0] // 2, max(1, opacity.shape[1] // 2)
    assert opacity[rows:, :columns].mean() > 4 * opacity[:rows].mean()


def test_what_speaks_against_a_condition_is_left_clear() -> None:
    cam = np.full((3, 4, 4, 2), -1, np.float32)
    assert heatmap.peak(cam, 1) == 0
    drawn = cv2.imdecode(
        np.frombuffer(heatmap.overlay(cam[0, ..., 1], height=10, width=20, most=0), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert not drawn[..., 3].any()


def report(cut: str, value: str, **floors: float) -> EvaluationReport:
    row = {
        "value": value,
        "n": 40,
        "top_1": 0.5,
        "top_1_interval": [0.25, 0.75],
        "top_3": 0.75,
        "top_3_interval": None,
        **floors,
    }
    return evaluations.report(
        n=1400,
        metrics={"top_1": 0.625, "top_3": 0.875},
        intervals={"top_1": [0.5, 0.75], "top_3": [0.75, 1]},
        floors={"top_1": 0.125, "top_3": 0.375, "meaning": ""},
        slices={cut: [{"value": "OTHER", "n": 1}, row]},
    )


@pytest.mark.parametrize(("cut", "value"), [("fitzpatrick_group", "FST_V_VI"), ("fitzpatrick_skin_type", "FST6")])
def test_the_figures_are_those_of_the_persons_own_group(cut: str, value: str) -> None:
    found = measured_for(report(cut, value), FitzpatrickSkinType.FST6)
    assert found is not None
    assert (found.group, found.n, found.top_1, found.top_1_interval, found.top_3_interval) == (
        value,
        40,
        0.5,
        (0.25, 0.75),
        None,
    )
    assert (found.floor_top_1, found.floor_top_3, found.data) == (0.125, 0.375, "drawn")


def test_where_only_clinicians_said_which_type_the_people_are_of_the_figures_say_so() -> None:
    estimated = measured_for(report("fitzpatrick_estimated_group", "FST_V_VI", groups=31), FitzpatrickSkinType.FST6)
    assert estimated is not None
    assert (estimated.group, estimated.n, estimated.people, estimated.scale) == ("FST_V_VI", 40, 31, "estimated")
    own = measured_for(report("fitzpatrick_group", "FST_V_VI"), FitzpatrickSkinType.FST6)
    assert own is not None
    assert (own.people, own.scale) == (None, "self_reported")


def test_a_groups_own_floor_stands_beside_its_figures() -> None:
    own = report("fitzpatrick_group", "FST_V_VI", top_1_floor=0.25, top_3_floor=0.5)
    found = measured_for(own, FitzpatrickSkinType.FST5)
    assert found is not None
    assert (found.floor_top_1, found.floor_top_3) == (0.25, 0.5)


@pytest.mark.parametrize("fitzpatrick", [None, FitzpatrickSkinType.NONE_IDENTIFIED, FitzpatrickSkinType.FST1])
def test_without_a_group_that_was_measured_the_figures_are_those_of_all(
    fitzpatrick: FitzpatrickSkinType | None,
) -> None:
    found = measured_for(report("fitzpatrick_group", "FST_V_VI"), fitzpatrick)
    assert found is not None
    assert (found.group, found.n, found.top_1_interval) == ("ALL", 1400, (0.5, 0.75))


def test_the_demo_bundles_report_has_such_figures() -> None:
    for fitzpatrick in FitzpatrickSkinType:
        found = measured_for(EVALUATION, fitzpatrick)
        assert found is not None
        assert found.group != "ALL" or fitzpatrick is FitzpatrickSkinType.NONE_IDENTIFIED


@pytest.mark.parametrize(
    "report",
    [
        None,
        evaluations.report(metrics={}),
        evaluations.report(metrics={"top_1": 0.5, "top_3": float("nan")}),
        evaluations.report(slices={"fitzpatrick_group": [{"value": "FST_I_II", "n": 3}]}),
    ],
)
def test_a_report_without_such_figures_tells_nothing(report: EvaluationReport | None) -> None:
    assert measured_for(report, FitzpatrickSkinType.FST1) is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, ["UNDER_18"]),
        ({"age_group": "AGE_UNKNOWN"}, ["UNDER_18"]),
        ({"age_group": "AGE_18_TO_29"}, []),
        ({"under_18": False}, []),
        ({"under_18": True}, []),
        ({"age_group": "AGE_40_TO_49", "body_parts": ["GENITALIA_OR_GROIN"]}, ["INTIMATE_AREA"]),
        ({"age_group": "AGE_40_TO_49", "body_parts": ["BUTTOCKS", "HEAD_OR_NECK"]}, ["INTIMATE_AREA", "FACE"]),
        ({"body_parts": ["HEAD_OR_NECK"]}, ["UNDER_18", "FACE"]),
    ],
)
def test_answers_call_for_these_notices(answers: dict[str, Any], expected: list[str]) -> None:
    assert [notice.notice for notice in notices(SelfReport.model_validate(answers))] == expected


def test_what_the_model_does_not_know_is_told_before_its_list() -> None:
    knows = Knowledge(kind="growths", measured_on={"FST_I_II": 280, "FST_III_IV": 130, "FST_V_VI": 3})
    rule = MalignantRule(conditions=("a",), threshold=0.1, coverage=0.95, calibrated_on={})
    drawings = Manifest.model_validate_json((demo.BUNDLE / MANIFEST_FILE).read_bytes()).model_copy(
        update={"knowledge": None, "malignant": None}
    )
    of_growths = drawings.model_copy(update={"knowledge": knows, "malignant": rule})

    def told(manifest: Manifest, **answers: Any) -> list[str]:
        return [notice.notice for notice in notices_of_model(manifest, SelfReport.model_validate(answers))]

    assert told(of_growths) == ["CANNOT_RULE_OUT_SKIN_CANCER", "TESTED_ON_LIGHT_SKIN"]
    assert told(of_growths, fitzpatrick_skin_type="FST2") == ["CANNOT_RULE_OUT_SKIN_CANCER"]
    assert told(of_growths, fitzpatrick_skin_type="FST6") == ["CANNOT_RULE_OUT_SKIN_CANCER", "NOT_MEASURED_FOR_GROUP"]
    rash = told(of_growths, fitzpatrick_skin_type="FST2", related_category="RASH")
    assert rash == ["NOT_A_GROWTH", "CANNOT_RULE_OUT_SKIN_CANCER"]
    for growth in ("GROWTH_OR_MOLE", "PIGMENTARY_PROBLEM", "OTHER_ISSUE_DESCRIPTION"):
        assert "NOT_A_GROWTH" not in told(of_growths, related_category=growth)
    assert told(drawings, related_category="RASH") == []
