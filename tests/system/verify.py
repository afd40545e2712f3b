"""What the store must hold in the end, read from the store itself."""

import os
import time
from collections.abc import Collection
from pathlib import Path

from dermis.shared.case import PUBLIC_OWNER, Outcome, case_key, heatmap_key
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import LEFTOVER_AGE_S, DiskStore

_EACH_CASE = {
    "received.json",
    "assessed.json",
    "outcome.json",
    "idempotency.json",
    "images/1/original",
    "images/1/prepared",
}


def files_by_case(store: BlobStore) -> dict[str, set[str]]:
    """Return what lies in each case's folder, by case id."""
    found: dict[str, set[str]] = {}
    for key in store.list("cases/"):
        _, _, case_id, name = key.split("/", 3)
        found.setdefault(case_id, set()).add(name)
    return found


def wrong_cases(
    store: BlobStore, accepted: Collection[str], erased: Collection[str], *, owner: str = PUBLIC_OWNER
) -> list[str]:
    """Return one line per case that is not as it must be.

    It must be an outcome with its model, or a tombstone and nothing else. `owner` is whose cases all are.
    """
    found = files_by_case(store)
    bad = [f"{case_id}: in the store, but no client knows it" for case_id in found.keys() - set(accepted) - set(erased)]
    for case_id in accepted:
        files = {name for name in found.get(case_id, set()) if not name.startswith("redelivered/")}
        folder = case_key(owner, case_id)
        outcome = Outcome.model_validate_json(store.get(f"{folder}/outcome.json")) if "outcome.json" in files else None
        wanted = _EACH_CASE | (_heatmaps(outcome, owner) if outcome else set())
        if files != wanted or outcome is None:
            bad.append(f"{case_id}: missing {sorted(wanted - files)}, too many {sorted(files - wanted)}")
            continue
        if outcome.case_id != case_id or outcome.model is None or outcome.model.version < 1:
            bad.append(f"{case_id}: outcome {outcome.kind} of {outcome.case_id} with model {outcome.model}")
    bad += [
        f"{case_id}: erased, but there is {sorted(found.get(case_id, set()))}" for case_id in left_of(erased, found)
    ]
    bad += [f"{key}: still open" for key in store.list("open/")]
    records = len(list(store.list("idempotency/")))
    if records != len(accepted):
        bad.append(f"{records} idempotency records for {len(accepted)} cases")
    return bad


def without_mark(store: BlobStore, accepted: Collection[str]) -> list[str]:
    """Return one line per case that nothing would ever end."""
    marks = {key.rpartition("/")[2] for key in store.list("retention/")}
    return [f"{case_id}: kept without a retention mark" for case_id in accepted if case_id not in marks]


def _heatmaps(outcome: Outcome, owner: str) -> set[str]:
    """Return the heatmaps that an outcome names, as they lie in its case's folder."""
    if outcome.model is None:
        return set()
    keys = (heatmap_key(owner, outcome.case_id, heatmap, outcome.model) for heatmap in outcome.heatmaps)
    return {key.removeprefix(f"{case_key(owner, outcome.case_id)}/") for key in keys}


def left_of(erased: Collection[str], found: dict[str, set[str]]) -> list[str]:
    """Return the erased cases of which there is not just the tombstone."""
    return [case_id for case_id in erased if found.get(case_id) != {"erased.json"}]


def temporary_files(root: Path) -> tuple[int, int]:
    """Return how many temporary files there are, and how many once they have aged and another put came."""
    left = list(root.glob("**/.tmp/*"))
    for file in left:
        aged = time.time() - 2 * LEFTOVER_AGE_S
        os.utime(file, (aged, aged))
    store = DiskStore(root)
    store.put_once("scratch/last", b"")
    store.delete("scratch/last")
    return len(left), len(list(root.glob("**/.tmp/*")))
