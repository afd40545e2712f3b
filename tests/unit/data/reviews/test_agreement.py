"""How far readers agree with each other and with the model."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dermis.data.cli import data
from dermis.data.reviews.agreement import (
    EVERYONE,
    GRADABLE,
    IN_SET,
    TOP_1,
    TOP_LABEL,
    model_agreement,
    reader_agreement,
)
from dermis.data.reviews.cases import ReviewedCase, reviewed_cases
from dermis.data.scin.label_policy import CoarseGroup, LabelPolicy
from dermis.shared.case import Consent, ModelRef, Outcome, OutcomeKind, RankedCondition, fact_key
from dermis.shared.errors import DermisError
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import MonkSkinTone, SelfReport
from tests.support.reviewed import AT, OWNER, READERS, put_adjudication, put_case, put_review

POLICY = LabelPolicy(
    name="grouped", version=1, other="Other", groups=(CoarseGroup(name="Fungal infection", contains=("tinea",)),)
)
NAMES = ("Eczema", "Psoriasis", "Fungal infection")


def put_outcome(store: BlobStore, case_id: str, ranked: tuple[str, ...] = NAMES, *, in_set: int = 2) -> None:
    outcome = Outcome(
        case_id=case_id,
        finished_at=AT,
        kind=OutcomeKind.DIFFERENTIAL,
        model=ModelRef(name="dermis", version=3, purpose="research"),
        differential=tuple(
            RankedCondition(condition=name.upper(), name=name, probability=0.5 / (n + 1), in_prediction_set=n < in_set)
            for n, name in enumerate(ranked)
        ),
    )
    store.put_once(fact_key(OWNER, case_id, "outcome"), outcome.model_dump_json().encode())


def cases_of(store: BlobStore) -> tuple[ReviewedCase, ...]:
    return reviewed_cases(store).cases


def forty(store: BlobStore) -> None:
    """Put forty cases: the first thirty agreed on, ten not; every fourth one's person has dark skin."""
    for n in range(40):
        report = SelfReport(fitzpatrick_skin_type="FST6" if n % 4 == 0 else "FST1")
        case_id = put_case(store, report=report)
        tone = MonkSkinTone.MST9 if n % 4 == 0 else MonkSkinTone.MST2
        put_review(
            store, case_id, READERS[0], [("Eczema" if n % 2 else "Acne", 3), ("Rosacea", 2)], monk_skin_tone=tone
        )
        put_review(store, case_id, READERS[1], [("Eczema" if n % 2 or n >= 30 else "Acne", 5)])
        put_outcome(store, case_id)


def test_readers_are_letters_and_their_pairs_have_a_kappa() -> None:
    store = MemoryStore()
    forty(store)
    frame = reader_agreement(cases_of(store))
    rows = {(row.readers, row.on): row for row in frame.itertuples()}
    assert set(rows) == {(who, on) for who in (EVERYONE, "A and B") for on in (TOP_LABEL, GRADABLE)}
    condition = rows["A and B", TOP_LABEL]
    assert condition.n == 40
    assert condition.observed == pytest.approx(35 / 40)
    assert condition.estimate == pytest.approx(0.75)
    assert condition.low < condition.estimate < condition.high
    assert np.isnan(rows["A and B", GRADABLE].estimate)  # everything was gradable: nothing to agree on
    assert not any(reader in frame.to_csv() for reader in READERS)


def test_the_model_is_judged_by_scale_with_n_and_interval() -> None:
    store = MemoryStore()
    forty(store)
    frame = model_agreement(cases_of(store), POLICY)
    rows = {(row.scale, row.value, row.measure): row for row in frame.itertuples()}
    every = rows["All cases", "All cases", TOP_1]
    assert (every.n, every.readings) == (40, 80)
    assert every.estimate == pytest.approx((20 + 25) / 80)
    assert every.low < every.estimate < every.high
    assert every.set_size == 2
    groups = [row.value for row in frame[frame["measure"] == TOP_1].itertuples() if row.scale.startswith("Fitz")]
    assert groups == ["FST_I_II", "FST_V_VI", "NOT_GIVEN"]
    dark, light = (rows["Fitzpatrick, self-reported", value, TOP_1] for value in ("FST_V_VI", "FST_I_II"))
    assert (dark.n, light.n) == (10, 30)
    assert rows["Monk skin tone, estimated by readers", "MST_7_10", IN_SET].n == 10
    assert rows["Model version", "dermis/3", TOP_1].n == 40


def test_a_readers_condition_is_sought_among_the_models_groups() -> None:
    store = MemoryStore()
    for label in ("Tinea corporis", "eczema", "Measles"):
        case_id = put_case(store)
        put_review(store, case_id, READERS[0], [(label, 3)])
        put_outcome(store, case_id, in_set=3)
    frame = model_agreement(cases_of(store), POLICY)
    shares = {row.measure: row.estimate for row in frame[frame["scale"] == "All cases"].itertuples()}
    # Two of three stand in the model's list, one of them first; a condition that it has no name for is not there.
    assert shares == {TOP_1: pytest.approx(1 / 3), IN_SET: pytest.approx(2 / 3)}


def test_the_adjudicator_is_apart_and_a_rejected_case_does_not_count() -> None:
    store = MemoryStore()
    first, second = put_case(store), put_case(store)
    for case_id in (first, second):
        put_review(store, case_id, READERS[0], [("Psoriasis", 3)])
    put_adjudication(store, first, READERS[2], [("Eczema", 4)])
    put_outcome(store, first)
    put_outcome(store, second, ())
    frame = model_agreement(cases_of(store), POLICY)
    first_conditions = frame[(frame["scale"] == "All cases") & (frame["measure"] == TOP_1)]
    assert first_conditions[["by", "n", "estimate"]].values.tolist() == [["Readers", 1, 0.0], ["Adjudicator", 1, 1.0]]


def test_the_command_prints_tables_and_writes_a_report_with_plots(tmp_path: Path) -> None:
    forty(DiskStore(tmp_path / "store"))
    command = ["agreement", "--store", (tmp_path / "store").as_uri(), "--out", str(tmp_path / "report")]
    output = CliRunner().invoke(data, command, catch_exceptions=False).output
    assert "All readers" in output
    assert "FST V\N{EN DASH}VI" in output
    page = (tmp_path / "report/agreement.html").read_text()
    assert page.count("<svg") >= 4
    texts = [path.read_text() for path in (tmp_path / "report").rglob("*.*") if path.is_file()]
    assert not [name for name in (*READERS, OWNER, "case_") if any(name in text for text in texts)]


def test_without_a_review_that_may_be_used_it_says_why(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    put_review(store, put_case(store, consent=Consent.ASSESS_ONLY), READERS[0], [("Acne", 3)])
    result = CliRunner().invoke(data, ["agreement", "--store", (tmp_path / "store").as_uri()])
    assert isinstance(result.exception, DermisError)
    assert "1 NO_CONSENT" in result.exception.detail
