"""`dermis answers`: a row of scin_cases.csv as a self-report."""

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.standalone.cli import main
from dermis.standalone.core.scin import answers_of, case_id_fault, columns

ID = "-1002039107727665188"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["answers", *arguments])


def table(folder: Path, *rows: dict[str, str], without: str = "") -> Path:
    path = folder / "scin_cases.csv"
    header = ["case_id", "source", *(column for column in columns() if column != without)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows({"case_id": ID, **row} for row in rows)
    return path


def test_a_row_becomes_answers(tmp_path: Path) -> None:
    row = {
        "age_group": "AGE_30_TO_39",
        "fitzpatrick_skin_type": "FST3",
        "race_ethnicity_white": "YES",
        "textures_flat": "YES",
        "textures_fluid_filled": "YES",
        "other_symptoms_no_relevant_symptoms": "YES",
    }
    result = run("--scin-row", str(table(tmp_path, {"case_id": "7"}, row)), f"--case-id={ID}")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "age_group": "AGE_30_TO_39",
        "fitzpatrick_skin_type": "FST3",
        "race_ethnicity": ["WHITE"],
        "textures": ["FLAT", "FLUID_FILLED"],
        "other_symptoms": ["NO_RELEVANT_SYMPTOMS"],
    }


def test_empty_cells_are_answers_not_given(tmp_path: Path) -> None:
    assert json.loads(run("--scin-row", str(table(tmp_path, {})), f"--case-id={ID}").stdout) == {}


def test_the_documented_spelling_is_the_one_of_the_data() -> None:
    row = dict.fromkeys(columns(), "") | {"fitzpatrick_skin_type": "NONE_SELECTED"}
    assert answers_of(row) == ({"fitzpatrick_skin_type": "NONE_IDENTIFIED"}, [])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {"age_group": "AGE_18_TO_28"},
            "row 2: column 'age_group': 'AGE_18_TO_28' is no known value; did you mean AGE_18_TO_29?",
        ),
        ({"textures_flat": "yes"}, "column 'textures_flat': 'yes' is no known value; use YES, or leave it empty"),
        (
            {"case_id": "-1.26295E+18"},
            "row 2, column 'case_id': '-1.26295E+18' is a number that a spreadsheet (Excel) has rounded",
        ),
        ({"case_id": "1,2E+18"}, "spreadsheet"),
        ({"case_id": "99999999999999999999"}, "64 bits"),
        ({"case_id": "7"}, "no row with case_id"),
    ],
)
def test_a_wrong_cell_is_named_with_file_row_column_value_and_remedy(
    tmp_path: Path, row: dict[str, str], said: str
) -> None:
    result = run("--scin-row", str(table(tmp_path, row)), f"--case-id={ID}")
    assert result.exit_code == 2
    assert said in result.stderr
    assert "scin_cases.csv" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    result = run("--scin-row", str(table(tmp_path, {}, without="textures_flat")), f"--case-id={ID}")
    assert (result.exit_code, "column 'textures_flat' is missing" in result.stderr) == (2, True)


@pytest.mark.parametrize("content", [b"a;b\n1;2\n", b"", b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scin_cases.csv"
    path.write_bytes(content)
    result = run("--scin-row", str(path), f"--case-id={ID}")
    assert result.exit_code == 2
    assert result.stderr.startswith("dermis: ")


def test_a_damaged_id_on_the_command_line_is_refused(tmp_path: Path) -> None:
    result = run("--scin-row", str(table(tmp_path, {})), "--case-id=-1.26295E+18")
    assert (result.exit_code, "spreadsheet" in result.stderr) == (2, True)


@pytest.mark.parametrize("text", ["0", "-9223372036854775808", "9223372036854775807"])
def test_every_64_bit_number_is_an_id(text: str) -> None:
    assert case_id_fault(text) is None


@pytest.mark.parametrize("text", ["", "9223372036854775808", "1.5", "abc", "- 1", "\u0661"])
def test_nothing_else_is(text: str) -> None:
    assert case_id_fault(text)


def test_every_real_row_is_understood(real_data: Path) -> None:
    with (real_data / "scin" / "scin_cases.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 1000
    for row in rows:
        assert case_id_fault(row["case_id"]) is None
        answers, faults = answers_of(row)
        assert not faults
        assert len(answers.get("textures", ())) == sum(
            value == "YES" for column, value in row.items() if column.startswith("textures_")
        )
