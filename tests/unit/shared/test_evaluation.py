"""An evaluation report is read as it was written, by whatever version.

It holds no number that JSON has no word for.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dermis.shared.errors import DermisError
from dermis.shared.evaluation import EvaluationReport, Figure, read_report
from dermis.shared.manifest import EVALUATION_FILE
from dermis.shared.stores.memory import MemoryStore
from dermis.standalone import demo
from tests.support.evaluations import document, report

NUMBERS = st.none() | st.floats() | st.integers(-(10**9), 10**9)
INTERVALS = st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)).map(list)
WORDS = st.text("abcdefgh", min_size=1)
UNKNOWN = st.recursive(
    NUMBERS | WORDS | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner), max_leaves=5
)


def written(read: EvaluationReport) -> Any:
    return json.loads(read.model_dump_json(exclude_unset=True), parse_constant=pytest.fail)


def finite(value: Any) -> Any:
    """Return JSON as it comes back: null for what was NaN or infinite."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)


def test_the_demos_report_is_read_and_written_as_it_was() -> None:
    data = (demo.BUNDLE / EVALUATION_FILE).read_bytes()
    read = EvaluationReport.model_validate_json(data)
    assert written(read) == json.loads(data)
    as_file = json.dumps(read.model_dump(mode="json", exclude_unset=True), indent=1, ensure_ascii=False) + "\n"
    assert as_file.encode() == data
    for rows in read.slices.values():
        assert {len(row.figures) for row in rows} == {len(read.overall)}


@given(
    top_3=NUMBERS,
    interval=INTERVALS,
    figures=st.dictionaries(WORDS, st.tuples(NUMBERS, INTERVALS)),
    unknown=st.dictionaries(WORDS.map("x_{}".format), UNKNOWN),
)
def test_what_is_written_is_what_was_read_unknown_keys_and_all_and_never_nan(
    top_3: Any, interval: Any, figures: dict[str, Any], unknown: dict[str, Any]
) -> None:
    flat = {
        key: value
        for name, (n, low_high) in figures.items()
        for key, value in ((f"m_{name}", n), (f"m_{name}_interval", low_high))
    }
    row = {"value": "MST_1_3", "n": 3, **flat, **unknown}
    text = json.dumps(
        document(
            metrics={"top_1": 0.5, "top_3": top_3},
            intervals={"top_1": interval},
            overall={"top_3": {"value": top_3, "interval": interval, **unknown}},
            slices={"monk_bin": [row]},
            **unknown,
        )
    )
    read = EvaluationReport.model_validate_json(text)
    assert written(read) == finite(json.loads(text))
    assert {f"m_{name}" for name in figures} == read.slices["monk_bin"][0].figures.keys()
    assert EvaluationReport.model_validate(written(read)) == read


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_can_not_be_made_of_what_is_no_number(value: float) -> None:
    with pytest.raises(ValidationError):
        Figure(value=value, interval=None)


def test_an_overall_figure_stands_beside_its_floor_in_old_reports_too() -> None:
    assert report().figure("top_1") == Figure(value=0.5, interval=(0.25, 0.75), floor=0.125)
    newer = report(overall={"macro_auroc": {"value": 0.9, "interval": None}})
    assert newer.figure("macro_auroc") == Figure(value=0.9, interval=None)
    assert newer.figure("set_coverage") is None


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"{", "the file"),
        (b"[]", "the file"),
        (json.dumps(document(format="dermis.evaluation/2")).encode(), "format"),
        (json.dumps(document(metrics={"top_1": "half"})).encode(), "metrics/top_1"),
        (
            json.dumps(
                document(slices={"monk_bin": [{"value": "x", "n": 1, "top_1": "a", "top_1_interval": None}]})
            ).encode(),
            "monk_bin",
        ),
    ],
)
def test_what_is_no_report_is_refused_by_its_key_and_place(data: bytes, place: str) -> None:
    store = MemoryStore()
    store.put_once("models/dermis/1/evaluation.json", data)
    with pytest.raises(DermisError, match=rf"models/dermis/1/evaluation.json is no evaluation report.*{place}"):
        read_report(store, "models/dermis/1/evaluation.json")
