"""Two data sets side by side, the second through a mapping file."""

from pathlib import Path

import pytest

from dermis.data.mapping import DataMapping, load_mapping, read_mapped, scin_side
from dermis.data.profile.compare import compare
from dermis.data.scin.label_policy import apply_policy
from dermis.data.scin.source import load_policy
from dermis.shared.errors import DermisError
from tests.unit.data.scin_rows import case, labelled, tables

MAPPING = DataMapping.model_validate(
    {
        "name": "Other",
        "licence": "CC0",
        "image": "file",
        "unit": "person",
        "attributes": {
            "fitzpatrick_estimated": {"column": "type", "values": {"1": "FST1", "6": "FST6"}, "absent": ["", "-1"]},
            "age_group": {"column": "age", "ranges": {"AGE_18_TO_29": [18, 29], "AGE_30_TO_39": [30, 39]}},
            "condition": {"column": "name"},
        },
    }
)
TABLE = b"file,person,type,age,name\na.jpg,p1,,18,Eczema\nb.jpg,p1,6,39,Tinea\nc.jpg,p2,-1,30,Tinea\n"


def test_a_person_counts_once_with_the_first_value_given() -> None:
    side = read_mapped(MAPPING, TABLE)
    assert len(side.units) == 2
    assert side.answers["fitzpatrick_estimated"] == [("FST6",), None]
    assert side.answers["age_group"] == [("AGE_18_TO_29",), ("AGE_30_TO_39",)]
    assert side.answers["condition"] == [("Eczema",), ("Tinea",)]


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (TABLE + b"d.jpg,p3,7,30,Tinea\n", "manifest.csv, row 5, column type = '7': is not foreseen by the mapping"),
        (TABLE + b"d.jpg,p3,6,17,Tinea\n", "column age = '17'"),
        (TABLE.replace(b"person", b"patient"), "no column 'person'"),
        (b"\xff", "line 1 is not UTF-8"),
    ],
)
def test_what_the_mapping_does_not_foresee_is_refused(table: bytes, part: str) -> None:
    with pytest.raises(DermisError, match="DATA_TABLE") as caught:
        read_mapped(MAPPING, table)
    assert part in caught.value.detail


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match="is no attribute; use one of monk_us"):
        DataMapping.model_validate({**MAPPING.model_dump(), "attributes": {"skin": {"column": "x"}}})


def test_shares_stand_side_by_side_and_only_where_both_tell() -> None:
    rows = [
        labelled(1, {"Eczema": 1.0}, dermatologist_fitzpatrick_skin_type_label_1="FST6", sex_at_birth="MALE"),
        case(2, dermatologist_fitzpatrick_skin_type_label_1="FST1"),
    ]
    read = tables(rows)
    found = {
        table.name: table
        for table in compare(
            scin_side(read, apply_policy(load_policy("scin-all"), read.cases)), read_mapped(MAPPING, TABLE)
        )
    }
    assert set(found) == {"extent", "fitzpatrick_estimated", "age_group", "condition"}
    types = found["fitzpatrick_estimated"].frame.set_index("value")
    assert types[["n_a", "of_a", "n_b", "of_b"]].loc["FST6"].tolist() == [1, 2, 1, 2]
    assert types.loc["FST1", "difference"] == -0.5
    assert types.loc["FST1", "low"] < -0.5 < types.loc["FST1", "high"]
    assert types.index[-1] == "No response"
    assert "by the first dermatologist" in found["fitzpatrick_estimated"].note
    conditions = found["condition"].frame
    assert conditions["value"].tolist() == ["Eczema", "Tinea", "No response"]
    extent = found["extent"].frame.set_index("what")
    assert extent.loc["Units"].tolist() == [2, 2]
    assert extent["Other"].isna()["Sex at birth"]


@pytest.mark.parametrize(("name", "units"), [("pad_ufes_20", 134), ("fitzpatrick17k", 593)])
def test_the_shipped_mappings_fit_their_tables(real_data: Path, name: str, units: int) -> None:
    side = read_mapped(load_mapping(name), (real_data / "photos" / name / "manifest.csv").read_bytes())
    assert len(side.units) == units
    with pytest.raises(DermisError, match="use fitzpatrick17k, pad_ufes_20 or a file"):
        load_mapping("nothing")
