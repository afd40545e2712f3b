"""What people read: the same photos in each run, rows of those who read alike, and a run that goes on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.page_answers import KeptReadings, PageReading, aims, tables
from benchmarks.page_cases import choose

LONG = "A photo can't rule out skin cancer, whatever comes first in this list or in any other."
GROWTH = PageReading(
    kind="a malignant growth, reported as a growth",
    alarm="",
    verdict="Good",
    heading="The result is here.",
    says=(),
    urgency="In the next few days",
    reasons=("It may be Melanoma (about 3 in 10).",),
    conditions=2,
    warnings=(LONG,),
)


def rows(count: int) -> list[dict[str, str]]:
    return [{"file": f"{n}.jpg", "patient_id": f"p{n // 2}", "label": "MEL" if n % 4 else "NEV"} for n in range(count)]


def test_the_same_photos_are_chosen_whatever_their_order_one_a_patient() -> None:
    photos = choose(rows(40), "label", ["MEL"], 8)
    assert photos == choose(rows(40)[::-1], "label", ["MEL"], 8)
    assert len({row["patient_id"] for row in photos}) == 8
    assert {row["label"] for row in photos} == {"MEL"}


def test_those_who_read_alike_share_a_row_and_long_texts_stand_below() -> None:
    other = replace(GROWTH, reasons=("It may be a Nevus (about 6 in 10).",), conditions=4)
    silent = replace(GROWTH, heading="We can't tell", urgency="", reasons=(), conditions=0)
    text = tables("lesions", [GROWTH, other, silent])
    assert "| 2 of 3 |" in text
    assert "2 to 4 conditions" in text
    assert "| 1 of 3 |" in text
    assert f"1. {LONG}" in text
    assert text.count(LONG) == 1


@pytest.mark.parametrize(
    ("bundle", "change"),
    [
        ("lesions", {"urgency": "Keep an eye on it"}),
        ("lesions", {"kind": "a cat", "reasons": ()}),
        ("lesions", {"kind": "a cat"}),
        ("demo", {}),
    ],
)
def test_what_may_not_be_is_missed(bundle: str, change: dict[str, Any]) -> None:
    assert "MISSED" not in aims("lesions", [GROWTH])[1]
    assert "MISSED" in aims(bundle, [replace(GROWTH, **change)])[1]


def test_a_run_goes_on_where_it_was_stopped_but_not_on_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "build/progress.ndjson"
    KeptReadings(path).add("lesions/a cat/0", GROWTH)
    assert KeptReadings(path).readings == {"lesions/a cat/0": GROWTH}
    monkeypatch.setattr("benchmarks.page_answers.commit", lambda: "another")
    assert KeptReadings(path).readings == {}
