"""Two tables in, one typed frame out; every trap is an error that names file, row, column, value and remedy."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dermis.data.scin.columns import CASE_COLUMNS, LABEL_COLUMNS
from dermis.data.scin.tables import read_tables
from dermis.shared.errors import DermisError, Kind
from tests.unit.data.scin_rows import as_csv, case, files, labelled, tables

FIRST, SECOND = "-1262950000000000001", "1121589935053999062"


def refused(cases: bytes, labels: bytes) -> str:
    with pytest.raises(DermisError) as caught:
        read_tables(cases, labels)
    assert caught.value.kind is Kind.INVALID
    assert caught.value.reason == "SCIN_TABLE"
    return caught.value.detail


def test_a_case_is_typed() -> None:
    row = labelled(
        FIRST,
        {"Kaposi's sarcoma of skin": 0.67, "Acute dermatitis, NOS": 0.33},
        confidences=[4, 2],
        images=(7, 8),
        textures_flat="YES",
        textures_fluid_filled="YES",
        fitzpatrick_skin_type="NONE_SELECTED",
        dermatologist_fitzpatrick_skin_type_label_2="FST5",
        monk_skin_tone_label_india="10",
        gradable_for_monk_skin_tone_us="False",
    )
    read = tables([row]).cases.iloc[0]
    assert read["case_id"] == FIRST
    assert read["textures"] == ("FLAT", "FLUID_FILLED")
    assert read["body_parts"] is None  # no box ticked is no answer
    assert read["fitzpatrick_skin_type"] == "NONE_IDENTIFIED"  # the documentation's word for the same
    assert read["images"] == (("images/7.png", "CLOSE_UP"), ("images/8.png", "CLOSE_UP"))
    assert read["names"] == ("Kaposi's sarcoma of skin", "Acute dermatitis, NOS")
    assert read["confidences"] == (4, 2)
    assert read["weights"] == {"Kaposi's sarcoma of skin": 0.67, "Acute dermatitis, NOS": 0.33}
    assert read["efst"] == (None, "FST5", None)
    assert read["monk_india"] == 10
    assert pd.isna(read["monk_us"])
    assert not read["monk_gradable_us"]
    assert pd.isna(read["monk_gradable_india"])
    assert pd.isna(read["related_category"])


def test_the_tables_are_merged_by_case_whatever_their_order() -> None:
    rows = [labelled(FIRST, {"A": 1.0}), labelled(SECOND, {"B": 1.0})]
    cases, _ = files(rows)
    _, labels = files(rows[::-1])
    read = read_tables(cases, labels)
    assert list(read.cases["weights"]) == [{"A": 1.0}, {"B": 1.0}]
    assert list(read.original["weighted_skin_condition_label"]) == ["{'A': 1.0}", "{'B': 1.0}"]


def test_a_shot_type_without_a_path_is_counted_not_refused() -> None:
    read = tables([case(FIRST, images=(1,), image_2_shot_type="AT_DISTANCE"), case(SECOND, images=())]).cases
    assert list(read["loose_shot_types"]) == [1, 0]
    assert list(read["images"].map(len)) == [1, 0]


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        ({"age_group": "AGE_18_TO_30"}, ["scin_cases.csv, row 3, column age_group = 'AGE_18_TO_30'", "AGE_18_TO_29"]),
        ({"related_category": "HAIR"}, ["column related_category", "HAIR_LOSS"]),
        ({"textures_flat": "TRUE"}, ["column textures_flat = 'TRUE'", "YES"]),
        ({"combined_race": "MARTIAN"}, ["column combined_race", "WHITE"]),
        ({"image_1_path": "dataset/images/x.png"}, ["column image_1_path", "whole number"]),
        ({"release": "2.0.0"}, ["column release", "1.x.y"]),
        ({"gradable_for_monk_skin_tone_us": "YES"}, ["scin_labels.csv, row 3", "True or False"]),
        ({"monk_skin_tone_label_us": "11"}, ["column monk_skin_tone_label_us = '11'", "1 to 10"]),
        ({"dermatologist_gradable_for_skin_condition_2": "True"}, ["NO_IMAGE_QUALITY_INSUFFICIENT"]),
        ({"dermatologist_skin_condition_on_label_name": "['Kaposi's sarcoma']"}, ["row 3", "Grover's disease"]),
        ({"dermatologist_skin_condition_confidence": "[1, 2]"}, ["2 confidences for 0 names", "give one each"]),
        ({"weighted_skin_condition_label": "{'Eczema': 0.4}"}, ["add up to 0.40"]),
    ],
)
def test_a_wrong_cell_is_named(cells: dict[str, Any], parts: list[str]) -> None:
    detail = refused(*files([case(FIRST), case(SECOND, **cells)]))
    for part in parts:
        assert part in detail


def test_all_faults_come_together_and_are_bounded() -> None:
    detail = refused(*files([case(n, age_group="OLD", sex_at_birth="X") for n in range(1, 31)]))
    assert detail.startswith("60 faults:")
    assert detail.endswith("... and 40 more")
    assert len(detail.splitlines()) == 22


def test_a_table_saved_from_excel_is_refused_by_its_exponents() -> None:
    detail = refused(*files([case("-1.26295E+18"), case(SECOND)]))
    assert "scin_cases.csv, row 2, column case_id = '-1.26295E+18': a spreadsheet has rounded it" in detail
    assert "scin_labels.csv, row 2" in detail


def test_a_table_saved_from_excel_is_refused_by_its_zeros() -> None:
    detail = refused(*files([case(f"-1262951234567{n}0000") for n in range(10, 20)]))
    assert "scin_cases.csv, row 2, column case_id: has '-1262951234567100000', rounded like 9 others" in detail


def test_a_case_id_that_ends_in_zeros_by_chance_is_no_fault() -> None:
    assert (
        len(tables([case("1262951234567890000"), *(case(f"126295123456789{n}") for n in range(1000, 1200))]).cases)
        == 201
    )


def test_a_repeated_case_is_named_with_both_rows() -> None:
    detail = refused(*files([case(FIRST), case(SECOND), case(FIRST)]))
    assert f"scin_cases.csv, row 4, column case_id = '{FIRST}': stands in row 2 too" in detail


def test_a_case_in_one_table_only_is_named() -> None:
    cases, _ = files([case(FIRST), case(SECOND)])
    _, labels = files([case(FIRST)])
    assert f"scin_cases.csv, row 3, column case_id = '{SECOND}': has no row in scin_labels.csv" in refused(
        cases, labels
    )


def test_a_missing_and_an_unknown_column_are_named_with_the_likely_rename() -> None:
    columns = [name if name != "age_group" else "age_groups" for name in CASE_COLUMNS]
    detail = refused(as_csv([case(FIRST)], columns), files([case(FIRST)])[1])
    assert "column age_group: is missing: rename 'age_groups'" in detail
    assert "column age_groups: is not a column of SCIN 1.x" in detail


def test_a_column_that_is_documented_and_was_never_seen_may_be_missing() -> None:
    columns = [name for name in CASE_COLUMNS if name != "textures_texture_unspecified"]
    assert len(read_tables(as_csv([case(FIRST)], columns), as_csv([case(FIRST)], list(LABEL_COLUMNS))).cases) == 1


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "row 1: is blank: name the columns in it"),
        (b"\xff\xfe\x00", "row 1: is not UTF-8"),
        (b"case_id;source\n1;2\n", "row 1: has semicolons between the columns"),
        ((",".join(CASE_COLUMNS) + "\n" + "," * (len(CASE_COLUMNS) - 1)).encode(), "row 2: is blank: delete such rows"),
        ((",".join(CASE_COLUMNS) + "\na\0b").encode(), "row 2: holds a NUL character"),
        (b'case_id,"source\n1,2', "is no CSV"),
        (",".join(CASE_COLUMNS).encode(), "has no rows"),
        ((",".join(CASE_COLUMNS) + "\n1,2,3").encode(), "row 2: has 3 cells instead of 58"),
        ((",".join([*CASE_COLUMNS, "year"]) + "\n").encode(), "column year: stands 2 times"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, part: str) -> None:
    assert part in refused(data, files([case(FIRST)])[1])


def test_a_byte_order_mark_does_no_harm() -> None:
    cases, labels = files([case(FIRST)])
    assert len(read_tables(b"\xef\xbb\xbf" + cases, labels).cases) == 1


def test_the_real_tables_are_read_whole(real_data: Path) -> None:
    cases, labels = ((real_data / "scin" / name).read_bytes() for name in ("scin_cases.csv", "scin_labels.csv"))
    read = read_tables(cases, labels)
    assert len(read.cases) == len(read.original) == read.cases["case_id"].nunique()
    assert read.cases["case_id"].str.startswith("-").mean() == pytest.approx(0.5, abs=0.1)


def test_whose_cases_are_has_one_form() -> None:
    cases, labels = files([case(FIRST)])
    with pytest.raises(DermisError, match=r"persons.csv, row 1: its first row has to be case_id,person"):
        read_tables(cases, labels, b"image,group\nimages/1.png,3\n")
    assert list(read_tables(cases, labels).cases["person"]) == [None]
