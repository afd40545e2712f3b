"""The fault run's own eyes: each kind of loss is seen."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dermis.shared.case import Heatmap, ModelRef, Outcome, OutcomeKind
from dermis.shared.ports import BlobStore
from dermis.shared.stores.memory import MemoryStore
from tests.system.verify import wrong_cases

DONE, GONE = "case_done", "case_gone"
FOLDER = f"cases/public/{DONE}"
HEATMAP = "images/1/heatmaps/dermis-1-0.png"


def good_store() -> MemoryStore:
    store = MemoryStore()
    model = ModelRef(name="dermis", version=1, purpose="demo")
    seen = Heatmap(n=1, condition="Eczema", place=0)
    outcome = Outcome(
        case_id=DONE, finished_at=datetime.now(UTC), kind=OutcomeKind.DIFFERENTIAL, model=model, heatmaps=(seen,)
    )
    for name in (
        "received.json",
        "assessed.json",
        "idempotency.json",
        "images/1/original",
        "images/1/prepared",
        "redelivered/1-1",
        HEATMAP,
    ):
        store.put_once(f"{FOLDER}/{name}", b"{}")
    store.put_once(f"{FOLDER}/outcome.json", outcome.model_dump_json().encode())
    store.put_once(f"cases/public/{GONE}/erased.json", b"{}")
    store.put_once("idempotency/public/hash", b"{}")
    return store


def without_model(store: BlobStore) -> None:
    outcome = Outcome.model_validate_json(store.get(f"{FOLDER}/outcome.json"))
    store.delete(f"{FOLDER}/outcome.json")
    store.put_once(f"{FOLDER}/outcome.json", outcome.model_copy(update={"model": None}).model_dump_json().encode())


def test_nothing_is_wrong_with_a_good_store() -> None:
    assert wrong_cases(good_store(), [DONE], [GONE]) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda store: store.delete(f"{FOLDER}/outcome.json"),
        lambda store: store.put_once(f"{FOLDER}/failed/1.json", b"{}"),
        lambda store: store.put_once(f"{FOLDER}/images/1/heatmaps/dermis-1-2.png", b"{}"),
        lambda store: store.delete(f"{FOLDER}/{HEATMAP}"),
        lambda store: store.put_once(f"open/{DONE}", b"{}"),
        lambda store: store.put_once(f"cases/public/{GONE}/assessed.json", b"{}"),
        lambda store: store.delete(f"cases/public/{GONE}/erased.json"),
        lambda store: store.put_once("cases/public/case_twin/received.json", b"{}"),
        lambda store: store.put_once("idempotency/public/other", b"{}"),
        without_model,
    ],
    ids=[
        "no outcome",
        "failed",
        "a heatmap that no outcome names",
        "no heatmap",
        "open",
        "not erased",
        "no tombstone",
        "twice",
        "record left",
        "no model",
    ],
)
def test_each_harm_is_one_line(harm: Callable[[BlobStore], None]) -> None:
    store = good_store()
    harm(store)
    assert len(wrong_cases(store, [DONE], [GONE])) == 1
