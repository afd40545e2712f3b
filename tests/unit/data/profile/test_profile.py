"""The profile's numbers, by hand and against counts that know only the csv module."""

import ast
import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dermis.data.profile.profile import PUBLISHED, profile
from dermis.data.report.report import Report, as_json
from dermis.data.report.table import ReportTable
from dermis.data.scin.columns import NO_PATHOLOGY
from dermis.data.scin.label_policy import Labels, apply_policy
from dermis.data.scin.source import load_policy, open_scin
from dermis.shared.vocabulary import Gradable
from tests.unit.data.scin_rows import case, labelled, tables

NO = "No response"


def profiled(rows: list[Any]) -> dict[str, ReportTable]:
    read = tables(rows)
    return {table.name: table for table in profile(read, apply_policy(load_policy("scin-all"), read.cases))}


def numbers(table: ReportTable, column: str = "n") -> dict[str, int]:
    return dict(zip(table.frame.iloc[:, 0], table.frame[column].tolist(), strict=True))


def test_by_hand() -> None:
    report = profiled(
        [
            labelled(
                1,
                {"Eczema": 1.0},
                images=(1, 2),
                monk_skin_tone_label_us="2",
                monk_skin_tone_label_india="3",
                textures_flat="YES",
            ),
            case(2, images=(2, 2), monk_skin_tone_label_us="2", textures_flat="YES", textures_fluid_filled="YES"),
            case(3, images=(), image_1_shot_type="CLOSE_UP", dermatologist_gradable_for_skin_condition_1=NO_PATHOLOGY),
        ]
    )
    overview = numbers(report["overview"])
    assert overview["Cases"] == 3
    assert overview["Cases with a label under the policy"] == 1
    assert overview["Cases gradable but unlabelled"] == 1
    assert overview["Cases without an image"] == 1
    assert overview["Images listed"] == 4
    assert overview["Distinct images"] == 2
    assert overview["Distinct images listed more than once"] == 1
    assert overview["Listings of those"] == 3
    assert overview["Cases that share an image"] == 2
    assert overview["Shot types without an image"] == 1
    assert numbers(report["textures"]) | {} == {
        "TEXTURE_UNSPECIFIED": 0,
        "RAISED_OR_BUMPY": 0,
        "FLAT": 2,
        "ROUGH_OR_FLAKY": 0,
        "FLUID_FILLED": 1,
        NO: 1,
    }
    assert numbers(report["monk_us"])["2"] == 2
    assert numbers(report["monk_us"])[NO] == 1
    assert numbers(report["labelled_by_monk_us"], "lost") == {**{str(tone): 0 for tone in range(1, 11)}, "2": 1, NO: 1}
    assert numbers(report["status"]) == {
        "LABELLED": 1,
        "HEALTHY": 0,
        "NO_PATHOLOGY": 1,
        "GRADABLE_BUT_UNLABELLED": 1,
        "NOT_GRADABLE": 0,
        "DROPPED": 0,
    }
    flow = report["cohort"].frame
    assert flow["cases"].tolist() == [3, 1, 1, 1]
    assert flow["photos"].tolist() == [4, 2, 0, 2]
    assert flow["left out because"].tolist()[0] == flow["left out because"].tolist()[-1] == ""
    pools = report["monk_pools"].frame
    assert pools.loc[pools["n"] > 0, ["US", "India", "n"]].to_numpy().tolist() == [[2, 3, 1]]


@pytest.mark.parametrize(("source", "stated"), [("SCIN", True), ("GENERATED", False)])
def test_the_whole_release_stands_beside_scins_own_cases_alone(source: str, stated: bool) -> None:
    overview = profiled([case(1, source=source)])["overview"]
    assert ("whole release 1.0.0" in overview.frame) == stated


def test_agreement_between_three_dermatologists() -> None:
    second, third = (f"dermatologist_gradable_for_skin_condition_{n}" for n in (2, 3))
    row = labelled(
        1,
        {"Eczema": 0.67, "Tinea": 0.33},
        **{  # type: ignore[arg-type]
            second: Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT,
            third: Gradable.NO_IMAGE_QUALITY_INSUFFICIENT,
            "dermatologist_skin_condition_on_label_name": "['Eczema', 'Eczema', 'Tinea']",
            "dermatologist_skin_condition_confidence": "[5, 3, 3]",
            "weighted_skin_condition_label": "{'Eczema': 0.7, 'Tinea': 0.3}",
            **{f"dermatologist_fitzpatrick_skin_type_label_{n}": f"FST{n}" for n in (1, 2, 3)},
        },
    )
    frame = profiled([row])["agreement"].frame.set_index(["between", "measure"])["estimate"]
    assert frame["Gradable or not, between dermatologists", "exact"] == pytest.approx(1 / 3)
    assert frame["Fitzpatrick, between dermatologists", "exact"] == 0
    assert frame["Fitzpatrick, between dermatologists", "within one"] == pytest.approx(2 / 3)
    # 1 of 2.5 weights from the first; 0.75 each from the second, whose conditions tie.
    assert frame["Conditions, between dermatologists", "any condition in common"] == 1


def test_the_smallest_data_set_has_a_profile() -> None:
    assert numbers(profiled([case(1, images=())])["overview"])["Images listed"] == 0


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def report_of(real_data: Path) -> tuple[dict[str, dict[str, dict[str, Any]]], Labels]:
    """Return table -> first column's value -> row, as the JSON file tells it."""
    scin = open_scin(f"file://{real_data}/scin")
    labels = scin.labels("scin-all")
    document = json.loads(as_json(Report(name="p", title="t", facts={}, tables=profile(scin.tables, labels))))
    report = {
        table["name"]: {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["rows"]}
        for table in document["tables"]
    }
    return report, labels


def test_the_real_numbers_equal_independent_counts(real_data: Path) -> None:
    cases = read_csv(real_data / "scin" / "scin_cases.csv")
    labels = {row["case_id"]: row for row in read_csv(real_data / "scin" / "scin_labels.csv")}
    report, _ = report_of(real_data)

    def check(name: str, expected: Counter[str], column: str = "n") -> None:
        counted = {value: row[column] for value, row in report[name].items() if row[column]}
        assert counted == {value: n for value, n in expected.items() if n}, name

    for table, column in {
        "age_group": "age_group",
        "sex_at_birth": "sex_at_birth",
        "fitzpatrick_self": "fitzpatrick_skin_type",
        "combined_race": "combined_race",
        "related_category": "related_category",
        "condition_duration": "condition_duration",
    }.items():
        check(table, Counter(row[column] or NO for row in cases))
    for pool in ("us", "india"):
        check(f"monk_{pool}", Counter(labels[row["case_id"]][f"monk_skin_tone_label_{pool}"] or NO for row in cases))
        labelled = Counter(
            row[f"monk_skin_tone_label_{pool}"] or NO
            for row in labels.values()
            if row["weighted_skin_condition_label"] not in ("", "{}")
        )
        check(f"labelled_by_monk_{pool}", labelled)
    for question in ("race_ethnicity", "textures", "body_parts", "condition_symptoms", "other_symptoms"):
        expected: Counter[str] = Counter()
        for row in cases:
            ticked = [
                column.removeprefix(f"{question}_").upper()
                for column in row
                if column.startswith(question) and row[column]
            ]
            expected.update(ticked or [NO])
        check(question, expected)
    check(
        "fitzpatrick_estimated",
        Counter(row["dermatologist_fitzpatrick_skin_type_label_1"] or NO for row in labels.values()),
    )
    for table, stem in {
        "fitzpatrick_estimates": "dermatologist_fitzpatrick_skin_type_label",
        "gradable": "dermatologist_gradable_for_skin_condition",
    }.items():
        check(table, Counter(row[f"{stem}_{n}"] for row in labels.values() for n in (1, 2, 3) if row[f"{stem}_{n}"]))

    images = [row[f"image_{n}_path"] for row in cases for n in (1, 2, 3) if row[f"image_{n}_path"]]
    differentials = [ast.literal_eval(row["weighted_skin_condition_label"] or "{}") for row in labels.values()]
    repeated = [n for n in Counter(images).values() if n > 1]
    unlabelled = [
        row
        for row, differential in zip(labels.values(), differentials, strict=True)
        if not differential
        and any(row[f"dermatologist_gradable_for_skin_condition_{n}"].startswith("DEFAULT_YES") for n in (1, 2, 3))
    ]
    overview = {measure: row["n"] for measure, row in report["overview"].items()}
    assert overview["Cases"] == len(cases)
    assert overview["Images listed"] == len(images)
    assert overview["Distinct images"] == len(set(images))
    assert (overview["Distinct images listed more than once"], overview["Listings of those"]) == (
        len(repeated),
        sum(repeated),
    )
    assert overview["Cases with a reference differential"] == sum(map(bool, differentials))
    assert overview["Cases gradable but unlabelled"] == len(unlabelled)
    check("images_per_case", Counter(str(sum(bool(row[f"image_{n}_path"]) for n in (1, 2, 3))) for row in cases))
    check(
        "shot_types", Counter(row[f"image_{n}_shot_type"] for row in cases for n in (1, 2, 3) if row[f"image_{n}_path"])
    )
    check("conditions_per_case", Counter(str(len(d)) for d in differentials if d))
    confidences = [
        c for row in labels.values() for c in ast.literal_eval(row["dermatologist_skin_condition_confidence"] or "[]")
    ]
    check("confidences", Counter(map(str, confidences)))
    named = Counter(name for differential in differentials for name in {name.casefold() for name in differential})
    counted = {name.casefold(): row["n"] for name, row in report["conditions"].items()}
    assert counted == {name: n for name, n in named.items() if name != "remove from labeling tool"}
    if len(cases) == PUBLISHED["Cases"]:
        assert {measure: overview[measure] for measure in PUBLISHED} == PUBLISHED
