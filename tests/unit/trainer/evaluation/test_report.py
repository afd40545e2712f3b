"""The evaluation report: what it counts, what it is measured against, and that its page stands alone."""

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from dermis.shared.errors import DermisError
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.manifest import Knowledge, MalignantRule, OutlierRule, PredictionSets, TextureRule
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer.calibration.fit import CalibrationTargets
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.evaluation import comparison as module
from dermis.trainer.evaluation.decisions import at, by_other_folds, decided
from dermis.trainer.evaluation.page import as_html
from dermis.trainer.evaluation.predictions import from_bytes, to_bytes
from dermis.trainer.evaluation.report import evaluate
from dermis.trainer.evaluation.slices import slices
from dermis.trainer.model.bundle import as_json
from dermis.worker.core.differential import decide
from tests.unit.trainer.made import CONDITIONS, manifest, predictions, worse

pytestmark = pytest.mark.trainer
PRIOR = np.array([0.4, 0.3, 0.2, 0.1])


def report_of(made: Any, **given: Any) -> Any:
    return evaluate(given.pop("of", manifest()), made, prior=PRIOR, calibrated_on=300, data="made", draws=200, **given)


def document_of(made: Any, **given: Any) -> Any:
    """Return the report as it is written."""
    return json.loads(as_json(report_of(made, **given)))


def compare(*given: Any) -> Any:
    return json.loads(as_json(module.compare(*given, draws=200)))


@pytest.fixture(scope="module")
def made() -> Any:
    return predictions()


@pytest.fixture(scope="module")
def report(made: Any) -> Any:
    graders = [({"Acne": 1.0}, {"Acne": 0.5, "Eczema": 0.5})] * len(made)
    return document_of(made, graders=graders)


def test_the_report_is_the_same_each_time_and_read_as_it_was_written(made: Any, report: Any) -> None:
    again = report_of(made, graders=[({"Acne": 1.0}, {"Acne": 0.5, "Eczema": 0.5})] * len(made))
    assert as_json(EvaluationReport.model_validate(report)) == as_json(again)
    assert json.loads(as_json(again)) == report


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 99),
    per_group=st.integers(1, 9),
    soft=st.booleans(),
    one=st.booleans(),
    calibrated_on=st.none() | st.integers(1, 99),
)
def test_whatever_is_measured_is_a_report_without_nan(
    n: Any, seed: Any, per_group: Any, soft: Any, one: Any, calibrated_on: Any
) -> None:
    made = predictions(n=n, seed=seed, soft=soft, per_group=per_group)
    if one:  # one condition alone: no ranking, and every share is 0 or 1
        made = dataclasses.replace(made, labels=np.zeros(n, np.int64), target=np.tile(np.eye(4)[0], (n, 1)))
    report = evaluate(manifest(), made, prior=PRIOR, calibrated_on=calibrated_on, data="made", draws=20)
    text = as_json(report)
    document = json.loads(text, parse_constant=pytest.fail)
    assert as_json(EvaluationReport.model_validate_json(text)) == text
    assert sum(row["n"] for row in document["slices"]["monk_bin"]) == n
    assert as_html(report)


def test_every_figure_has_n_and_interval_overall_and_by_slice(report: Any) -> None:
    assert report["n"] == report["groups"] == 400
    assert {
        "condition",
        "monk_bin",
        "fitzpatrick_group",
        "fitzpatrick_self",
        "sex_at_birth",
        "age_group",
        "answers",
    } <= set(report["slices"])
    for rows in report["slices"].values():
        assert sum(row["n"] for row in rows) == 400
    for figure in report["overall"].values():
        assert figure["interval"] is not None
    for row in report["slices"]["monk_bin"]:
        assert row["top_1_interval"][0] <= row["top_1"] <= row["top_1_interval"][1]
    assert [row["value"] for row in report["slices"]["fitzpatrick_group"]] == [
        "FST_I_II",
        "FST_III_IV",
        "FST_V_VI",
        "NOT_GIVEN",
    ]


def test_floors_stand_beside_every_top_k(made: Any, report: Any) -> None:
    for top in (1, 3, 5):
        for kind in ("", "_soft"):
            assert report["floors"][f"top_{top}{kind}"] <= report["floors"][f"top_{top}{kind}_best_constant"] + 1e-9
    assert report["floors"]["top_1"] == pytest.approx((made.labels == 0).mean(), abs=1e-4)
    for row in report["slices"]["monk_bin"]:
        here = np.array(made.slices["monk_bin"]) == row["value"]
        assert row["top_1_floor"] == pytest.approx((made.labels[here] == 0).mean(), abs=1e-4)
    assert report["metrics"]["top_1"] == report["overall"]["top_1"]["value"]


def test_cases_are_decided_as_the_worker_decides_them(made: Any) -> None:
    judged, strange = decided(manifest(), made)
    assert strange is None
    for row in range(0, 400, 37):
        value = made.slices["fitzpatrick_self"][row]
        expected = decide(
            made.raw["images and answers"][row],
            manifest(),
            None if value == "NOT_GIVEN" else FitzpatrickSkinType(value),
        )
        inside = {ranked.condition for ranked in expected.differential if ranked.in_prediction_set}
        assert {c.id for c, said in zip(CONDITIONS, judged.sets[row], strict=True) if said} == inside
        assert judged.answered[row] == (expected.kind == "DIFFERENTIAL")


def test_strangers_are_abstained_on_and_a_case_without_an_image_is_not_scored(made: Any) -> None:
    fitted, rule = fit_outliers(made.embedding[:200], made.embedding[200:], false_alarms=0.02)
    embedding = made.embedding.copy()
    embedding[:50], embedding[50:60] = 40, 0
    knowing = manifest(outliers=rule)
    judged, strange = decided(knowing, dataclasses.replace(made, embedding=embedding), fitted)
    assert strange[:50].all()
    assert not strange[50:60].any()
    assert not judged.answered[:50].any()
    found = document_of(dataclasses.replace(made, embedding=embedding), of=knowing, outliers=fitted)
    assert found["overall"]["out_of_distribution"]["value"] == pytest.approx(strange.mean(), abs=1e-4)
    assert isinstance(rule, OutlierRule)


def test_cases_of_strange_texture_are_abstained_on_and_counted_by_tone(made: Any) -> None:
    score = np.zeros(len(made))
    score[:40], score[40:50] = 9, np.nan
    knowing = manifest(textures=TextureRule(threshold=1, false_alarms=0.02, calibrated_on=100))
    scored = dataclasses.replace(made, texture_score=score)
    judged, strange = decided(knowing, scored)
    assert strange.tolist() == [True] * 40 + [False] * 360
    assert not judged.answered[:40].any()
    assert judged.answered[50:].any()
    report = document_of(scored, of=knowing)
    assert report["overall"]["out_of_distribution"]["value"] == pytest.approx(0.1)
    for scale in ("monk_bin", "fitzpatrick_self"):
        for row in report["slices"][scale]:
            here = np.array(made.slices[scale]) == row["value"]
            assert row["out_of_distribution"] == pytest.approx(strange[here].mean(), abs=1e-4)
    assert from_bytes(to_bytes(scored)).texture_score == pytest.approx(score, nan_ok=True)
    assert from_bytes(to_bytes(made)).texture_score is None


def test_the_share_answered_is_stated_with_and_without_a_type(made: Any) -> None:
    few = Knowledge(kind="drawings", measured_on={"FST_I_II": 100, "FST_III_IV": 100, "FST_V_VI": 4})
    shares = document_of(made, of=manifest(knowledge=few))["answered_by_type"]
    types = np.array(made.slices["fitzpatrick_self"])
    reported = types != "NOT_GIVEN"
    assert shares["n"] == reported.sum()
    dark = np.isin(types, ("FST5", "FST6"))
    without, _ = decided(manifest(), made, types=[None] * len(made))
    assert shares["without_type"]["value"] == pytest.approx(without.answered[reported].mean(), abs=1e-4)
    assert shares["with_type"]["value"] < shares["without_type"]["value"] - dark[reported].mean() / 2
    assert shares["with_type"]["interval"] is not None


def test_what_has_no_known_condition_is_counted_and_left_out(made: Any) -> None:
    labels = made.labels.copy()
    labels[:30] = -1
    found = document_of(dataclasses.replace(made, labels=labels))
    assert (found["n"], found["unlabelled"]) == (370, 30)
    cut = slices(manifest(), dataclasses.replace(made, labels=labels))["condition"]
    assert cut[:30] == ("NOT_GIVEN",) * 30
    assert "NOT_GIVEN" not in cut[30:]
    with pytest.raises(DermisError, match="none of 400 cases"):
        document_of(dataclasses.replace(made, labels=np.full(400, -1)))


def test_predictions_of_other_conditions_are_refused(made: Any) -> None:
    with pytest.raises(DermisError, match="other conditions"):
        document_of(dataclasses.replace(made, conditions=CONDITIONS[::-1]))


def test_a_calibrated_model_is_inside_its_bands_and_an_overconfident_one_is_not(report: Any) -> None:
    band = report["perfect_model_at_this_n"]
    assert report["overall"]["expected_calibration_error"]["value"] <= band["expected_calibration_error"][1]
    made = predictions(soft=False)
    raw = made.raw["images and answers"] ** 2.5
    bold = dataclasses.replace(made, raw={**made.raw, "images and answers": raw / raw.sum(1, keepdims=True)})
    found = document_of(bold)
    for name in ("expected_calibration_error", "expected_calibration_error_soft"):
        assert found["overall"][name]["value"] > found["perfect_model_at_this_n"][name][1]


def test_no_coverage_is_claimed_for_a_pooled_group(made: Any) -> None:
    sets = PredictionSets(
        coverage=0.9,
        thresholds={"FST_I_II": 0.1, "FST_III_IV": 0.1, "FST_V_VI": 0.1},
        calibrated_on={"FST_I_II": 200, "FST_III_IV": 150, "FST_V_VI": 9},
        pooled=("FST_V_VI",),
    )
    rows = {row["value"]: row for row in document_of(made, of=manifest(prediction_sets=sets))["coverage"]}
    assert (rows["FST_V_VI"]["claimed"], rows["FST_V_VI"]["perfect_model_at_this_n"]) == (None, None)
    assert rows["FST_I_II"]["claimed"] == 0.9
    low, high = rows["FST_I_II"]["perfect_model_at_this_n"]
    assert low < 0.9 < high
    page = as_html(report_of(made, of=manifest(prediction_sets=sets)))
    assert "no claim: too few, pooled with all" in page


def test_a_gap_is_the_difference_of_the_extremes_and_a_real_one_is_beyond_chance(made: Any, report: Any) -> None:
    by_monk = {row["value"]: row["top_1"] for row in report["slices"]["monk_bin"] if row["value"] != "NOT_GIVEN"}
    (gap,) = (gap for gap in report["gaps"] if (gap["slice"], gap["measure"]) == ("monk_bin", "top_1"))
    assert gap["difference"] == pytest.approx(max(by_monk.values()) - min(by_monk.values()), abs=2e-4)
    assert by_monk[gap["lowest"]] == min(by_monk.values())
    assert gap["difference"] <= gap["by_chance"][1]
    dark = np.array(made.slices["monk_bin"]) == "MST_7_10"
    (unfair,) = (
        gap
        for gap in document_of(worse(made, 0.8, among=dark))["gaps"]
        if (gap["slice"], gap["measure"]) == ("monk_bin", "top_1")
    )
    assert unfair["lowest"] == "MST_7_10"
    assert unfair["difference"] > unfair["by_chance"][1]


def test_gaps_are_those_of_fairlearn(made: Any) -> None:
    metrics = pytest.importorskip("fairlearn.metrics")
    judged, _ = decided(manifest(), made)
    right = judged.probabilities.argmax(1) == made.labels
    for scale in ("monk_bin", "sex_at_birth"):
        values = np.array(made.slices[scale])
        here = values != "NOT_GIVEN"
        frame = metrics.MetricFrame(
            metrics=lambda _true, answered: float(np.mean(answered)),
            y_true=right[here],
            y_pred=right[here].astype(float),
            sensitive_features=values[here],
        )
        (gap,) = (gap for gap in report_of(made).gaps if (gap.slice, gap.measure) == (scale, "top_1"))
        assert gap.difference == pytest.approx(frame.difference(method="between_groups"), abs=1e-4)
        assert (gap.lowest, gap.highest) == (frame.by_group.idxmin(), frame.by_group.idxmax())
        assert gap.lowest_value == pytest.approx(frame.group_min(), abs=1e-4)
        assert gap.highest_value == pytest.approx(frame.group_max(), abs=1e-4)


def test_a_slice_of_few_groups_has_no_interval_and_a_share_of_1_has_wilsons() -> None:
    made = predictions(n=60, per_group=10)
    assert document_of(made)["intervals"]["top_1"] is None
    sure = predictions(n=60)
    raw = np.eye(4, dtype=np.float32)[sure.labels]
    found = document_of(dataclasses.replace(sure, raw=dict.fromkeys(sure.raw, raw)))
    assert found["overall"]["top_1"]["value"] == 1
    assert found["overall"]["top_1"]["interval"] == [pytest.approx(60 / (60 + 1.96**2), abs=1e-3), 1.0]


@pytest.mark.parametrize(
    ("answered", "interval"), [(15, [pytest.approx(15 / (15 + 1.96**2), abs=1e-3), 1.0]), (5, None)]
)
def test_a_figure_of_the_answered_is_as_sure_as_these_are_many(answered: int, interval: Any) -> None:
    made = predictions(n=60)
    raw = np.eye(4, dtype=np.float32)[made.labels]
    raw[answered:] = np.where(raw[answered:] == 1, 0.37, 0.21)  # right, and too unsure to answer by
    found = document_of(dataclasses.replace(made, raw=dict.fromkeys(made.raw, raw)))
    assert found["overall"]["abstained"]["value"] == pytest.approx(1 - answered / 60, abs=1e-4)
    assert found["overall"]["top_1_answered"] == {"value": 1, "interval": interval}


def test_a_soft_share_that_rounding_keeps_from_1_has_wilsons_interval_too() -> None:
    made = predictions(n=60)
    target = np.tile([0.7, 0.2, 0.1, 0.0], (60, 1))
    assert target[0].sum() < 1
    same = dataclasses.replace(
        made, target=target, labels=np.zeros(60, np.int64), raw=dict.fromkeys(made.raw, target.astype(np.float32))
    )
    wide = manifest(
        prediction_sets=PredictionSets(
            coverage=0.9, thresholds=dict.fromkeys(("FST_I_II", "FST_III_IV", "FST_V_VI"), 0.05)
        )
    )
    found = document_of(same, of=wide)["overall"]["set_coverage_soft"]
    assert found == {"value": 1, "interval": [pytest.approx(60 / (60 + 1.96**2), abs=1e-3), 1.0]}


def test_what_is_answered_has_its_n_overall_and_by_tone(made: Any, report: Any) -> None:
    answered = decided(manifest(), made)[0].answered
    assert report["answered_n"] == answered.sum()
    assert [row["answered_n"] for row in report["slices"]["sex_at_birth"]] == [
        answered[np.array(made.slices["sex_at_birth"]) == row["value"]].sum()
        for row in report["slices"]["sex_at_birth"]
    ]
    curve = report["risk_coverage"]["overall"]
    assert [point["n"] for point in curve] == [20 * k for k in range(1, 21)]
    page = as_html(EvaluationReport.model_validate(report))
    for value in ("MST_1_3", "MST_4_6", "MST_7_10"):
        n = made.slices["monk_bin"].count(value)
        assert report["risk_coverage"][value][-1]["n"] == n
        assert f", n = {n}<" in page.split('id="risk_coverage"')[1].split("</article>")[0]


def test_cases_of_equal_confidence_are_answered_together_and_counted() -> None:
    made = predictions(n=40)
    same = np.tile(np.array([0.7, 0.1, 0.1, 0.1], np.float32), (40, 1))
    curve = document_of(dataclasses.replace(made, raw=dict.fromkeys(made.raw, same)))["risk_coverage"]["overall"]
    assert {point["n"] for point in curve} == {40}


def test_agreement_of_graders_is_reported(report: Any) -> None:
    assert report["human_agreement"]["n"] == 400
    assert report["human_agreement"]["top_1"] == 1


def test_paired_differences(made: Any) -> None:
    same = compare(manifest(), made, manifest(), made)
    assert all(row["difference"] == 0 for row in same["differences"].values())
    assert same["mcnemar"]["p"] == 1
    bad = worse(made, 0.4)
    found = compare(manifest(), bad, manifest(), made)
    loss = found["differences"]["top_1"]
    assert loss["difference"] == pytest.approx(loss["this"] - loss["other"], abs=2e-4)
    assert loss["interval"][1] < 0
    right = [
        made.raw["images and answers"].argmax(1) == made.labels,
        bad.raw["images and answers"].argmax(1) == made.labels,
    ]
    only_bad, only_good = (right[1] & ~right[0]).sum(), (right[0] & ~right[1]).sum()
    assert found["mcnemar"] | {"p": 0} == {"only_this_right": only_bad, "only_other_right": only_good, "p": 0}
    assert found["mcnemar"]["p"] == pytest.approx(binomtest(only_bad, only_bad + only_good).pvalue, rel=1e-9)
    back = compare(manifest(), made, manifest(), bad)["differences"]["top_1"]
    assert back["difference"] == -loss["difference"]


def test_pooled_folds_are_each_calibrated_on_the_others() -> None:
    made = predictions(n=1200, soft=False)
    raw, fold = made.raw["images and answers"].astype(float), np.arange(1200) % 3
    bold = raw**2 / (raw**2).sum(1, keepdims=True)
    pooled = dataclasses.replace(made, fold=fold, raw={**made.raw, "images and answers": bold.astype(np.float32)})
    by_fold = by_other_folds(manifest(), pooled, CalibrationTargets(coverage=0.9, abstention=manifest().abstention))
    for number in range(3):
        others = at(pooled, fold != number)
        alone = temperature(others.raw["images and answers"], others.target)
        assert by_fold[number].calibration.temperature == alone == pytest.approx(2, rel=0.15)
    found, plain = (document_of(pooled, by_fold=given) for given in (by_fold, None))
    assert found["folds"] == 3
    assert (
        found["overall"]["expected_calibration_error"]["value"]
        <= found["perfect_model_at_this_n"]["expected_calibration_error"][1]
    )
    assert (
        plain["overall"]["expected_calibration_error"]["value"]
        > plain["perfect_model_at_this_n"]["expected_calibration_error"][1]
    )
    assert found["overall"]["set_coverage"]["value"] == pytest.approx(0.9, abs=0.03)


def test_a_pairing_needs_the_same_cases(made: Any) -> None:
    with pytest.raises(DermisError, match="not measured on the same cases"):
        compare(manifest(), made, manifest(), at(made, np.arange(400) > 3))


def test_the_paired_interval_is_narrower_than_of_two_samples(made: Any) -> None:
    found = compare(manifest(), worse(made, 0.1), manifest(), made)["differences"]["top_1"]["interval"]
    alone = document_of(made)["overall"]["top_1"]["interval"]
    assert found[1] - found[0] < alone[1] - alone[0]


def test_the_page_stands_alone_and_shows_both_models_and_all_versions(made: Any) -> None:
    report, other = report_of(made), report_of(worse(made, 0.3))
    comparison = module.compare(manifest(), made, manifest(), worse(made, 0.3), draws=200)
    page = as_html(report, against=other, comparison=comparison, evaluated=[report, other])
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "<script" not in page
    for name in (
        "reliability",
        "risk_coverage",
        "confusion",
        "slice_monk_bin",
        "slice_fitzpatrick_self",
        "paired",
        "sides_monk_bin",
        "evaluated",
    ):
        assert f'<article id="{name}"' in page, name
    assert 'id="slice_age_group"' not in page  # nothing is known of it
    assert page.count("<svg") >= 8
    assert "McNemar" in page
    assert as_html(report, against=other, comparison=comparison, evaluated=[report, other]) == page


def test_a_probability_of_next_to_nothing_is_not_said_to_be_none(made: Any) -> None:
    bad = worse(made, 0.9)
    comparison = module.compare(manifest(), bad, manifest(), made, draws=200)
    assert 0 < comparison.mcnemar.p < 5e-5
    report = report_of(made)
    assert "p &lt; 0.0001." in as_html(report_of(bad), against=report, comparison=comparison)
    likely = comparison.model_copy(update={"mcnemar": comparison.mcnemar.model_copy(update={"p": 0.04126})})
    assert "p = 0.0413." in as_html(report_of(bad), against=report, comparison=likely)


def test_a_report_of_few_cases_still_makes_a_page() -> None:
    made = predictions(n=3)
    assert "Every measure" in as_html(report_of(made))


def test_cancers_missed_are_answered_cases_whose_set_holds_none(made: Any) -> None:
    rule = MalignantRule(conditions=("ACNE", "TINEA"), threshold=0.3, coverage=0.95, calibrated_on={})
    of = manifest(malignant=rule)
    report = report_of(made, of=of)
    judged, _ = decided(of, made)
    malignant = np.array([True, False, False, True])
    for name, label in (("Acne", 0), ("Tinea", 3)):
        row = next(row for row in report.malignant if row.condition == name)
        here = judged.labels == label
        missed = judged.answered[here] & ~judged.sets[here][:, malignant].any(1)
        assert row.n == here.sum()
        assert row.missed_per_100 == pytest.approx(100 * missed.mean(), abs=0.01)
        assert row.missed_per_100_interval[0] <= row.missed_per_100 <= row.missed_per_100_interval[1]
        assert row.held == pytest.approx(1 - missed.mean(), abs=1e-4)
    benign = ~malignant[judged.labels]
    share = judged.sets[benign][:, malignant].any(1).mean()
    assert report.benign_with_malignant.value == pytest.approx(share, abs=1e-4)
    assert report_of(made).malignant == ()
