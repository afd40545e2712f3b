"""Which cases: conditions in words, never code."""

import pytest

from dermis.data.scin.label_policy import apply_policy
from dermis.data.scin.select import fields, parse_where, select
from dermis.data.scin.source import load_policy
from dermis.shared.errors import DermisError
from tests.unit.data.scin_rows import case, labelled, tables

READ = tables(
    [
        labelled(
            1,
            {"Acute dermatitis, NOS": 0.67, "Tinea": 0.33},
            confidences=[4, 2],
            monk_skin_tone_label_us="8",
            textures_flat="YES",
        ),
        labelled(
            -2,
            {"Tinea": 1.0},
            monk_skin_tone_label_us="2",
            sex_at_birth="MALE",
            textures_flat="YES",
            textures_fluid_filled="YES",
        ),
        case(3, sex_at_birth="FEMALE"),
    ]
)
FIELDS = fields(READ, apply_policy(load_policy("scin-all"), READ.cases))


def chosen(*texts: str) -> list[str]:
    return list(READ.cases.loc[select([parse_where(text) for text in texts], FIELDS, 3), "case_id"])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ["1", "-2", "3"]),
        (["label=Acute dermatitis, NOS"], ["1"]),
        (["differential=Tinea"], ["1", "-2"]),
        (["label=Tinea|Acute dermatitis, NOS"], ["1", "-2"]),
        (["label="], ["3"]),
        (["label!="], ["1", "-2"]),
        (["sex_at_birth!=MALE"], ["1", "3"]),  # no response is not MALE
        (["monk_us>=7"], ["1"]),
        (["monk_us<=10"], ["1", "-2"]),  # no tone is no number
        (["textures=FLUID_FILLED"], ["-2"]),
        (["textures=FLAT", "monk_us<=5"], ["-2"]),
        (["case_id=-2"], ["-2"]),
        (["monk_bin=MST_7_10|MST_NONE"], ["1", "3"]),
        (["status=GRADABLE_BUT_UNLABELLED"], ["3"]),
        (["images=1"], ["1", "-2", "3"]),
    ],
)
def test_conditions_choose(texts: list[str], expected: list[str]) -> None:
    assert chosen(*texts) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("lable=Tinea", "did you mean label"),
        ("label=Tinae", "did you mean 'Tinea'"),
        ("monk_us>=dark", "no number"),
        ("sex_at_birth>=1", "is not a number"),
        ("label", "write field=value"),
        ("__import__('os')", "write field=value"),
        ("", "write field=value"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_hint(text: str, part: str) -> None:
    with pytest.raises(DermisError, match="WHERE") as caught:
        chosen(text)
    assert part in caught.value.detail
