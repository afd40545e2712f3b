"""What `dermis models` shows: every run and version of a store, and all that is known of one version."""

import json
from datetime import datetime, timedelta
from typing import Any

from dermis.shared.bundles import read_manifest, versions
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.trainer.records.layout import evaluated_on, evaluation_key
from dermis.trainer.records.runs import RunState, RunStatus, read_run, run_ids
from dermis.trainer.registry import promote as registry

SILENT_AFTER = timedelta(hours=1)
"""A run that said nothing for so long was probably killed."""
_TONES = ("monk_bin", "fitzpatrick_self", "fitzpatrick_estimated")
_FIGURES = {"top_1": "top-1", "top_3_soft": "soft top-3"}


def list_all(store: BlobStore, *, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return a row for each run and each version, the oldest first."""
    held = registry.current_or_none(store)
    place = {held.current: "current", **({held.previous: "previous"} if held.previous else {})} if held else {}
    rows = []
    for ref in versions(store):
        manifest = read_manifest(store, ref)
        rows.append(
            {
                "version": f"{ref.name}/{ref.version}",
                "is": place.get(ref, ""),
                "purpose": manifest.purpose,
                "conditions": len(manifest.conditions),
                "evaluated on": ", ".join(evaluated_on(store, ref)),
                "config": manifest.lineage.get("config", ""),
            }
        )
    return {"runs": [_run(run_id, read_run(store, run_id), now) for run_id in run_ids(store)], "versions": rows}


def _run(run_id: str, state: RunState, now: datetime) -> dict[str, Any]:
    epoch, sign = state.epoch, state.last_sign
    silent = state.status is RunStatus.RUNNING and sign is not None and now - sign > SILENT_AFTER
    made = state.finished.version if state.finished else None
    return {
        "run": run_id,
        "status": str(state.status) + (" (silent: killed?)" if silent else ""),
        "config": state.started.config.name if state.started else "",
        "attempt": state.attempt,
        "epoch": "" if epoch is None else f"{epoch.epoch}" + (f"/{epoch.of}" if epoch.of else ""),
        "last sign": "" if sign is None else f"{_ago(now - sign)} ago",
        "version": f"{made.name}/{made.version}" if made else "",
        "why": f"{state.ended.reason} {state.ended.detail}".strip() if state.ended and state.status != RunStatus.FINISHED else "",
    }


def _ago(passed: timedelta) -> str:
    seconds = max(0, int(passed.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def describe(store: BlobStore, ref: VersionRef) -> dict[str, Any]:
    """Return a version's lineage, what its evaluations say by tone, and the records that name it; `BlobNotFound` if there is none."""
    manifest = read_manifest(store, ref)
    faults = registry.check_files(store, manifest)
    records = [record for record in registry.promotions(store) if ref in (record.ref, record.over)]
    return {
        "about": {
            "version": f"{ref.name}/{ref.version}",
            "purpose": manifest.purpose,
            "conditions": ", ".join(condition.name for condition in manifest.conditions),
            "image size": manifest.image_size,
            "feature schema": manifest.feature_schema,
            "files": "; ".join(faults) or f"{len(manifest.files)}, all with the digests of the manifest",
        },
        "lineage": dict(manifest.lineage),
        "evaluations": [_evaluation(store, data, ref) for data in evaluated_on(store, ref)],
        "promotions": [
            {
                "at": f"{record.at:%Y-%m-%d %H:%M}",
                "action": record.action.value,
                "version": f"{record.ref.name}/{record.ref.version}",
                "over": f"{record.over.name}/{record.over.version}" if record.over else "",
                "waived": "; ".join(f"{waiver.group}: {waiver.reason}" for waiver in record.waivers),
                "because": "; ".join(record.reasons),
            }
            for record in records
        ],
    }


def _evaluation(store: BlobStore, data: str, ref: VersionRef) -> dict[str, Any]:
    """Return top-1 and soft top-3 overall and by tone, each with n and interval, from evaluation.json; no rows where there is none."""
    try:
        report = json.loads(store.get(f"{evaluation_key(data, ref)}/evaluation.json"))
    except BlobNotFound:
        return {"data": data, "n": "unknown, as there is no evaluation.json", "rows": []}
    overall = {"n": report["n"]} | {
        key: value for name in _FIGURES for key, value in _flat(name, report["overall"][name], report["floors"].get(name)).items()
    }
    rows = [_row("overall", overall)]
    rows += [_row(f"{scale}={row['value']}", row) for scale in _TONES for row in report["slices"].get(scale, ())]
    return {"data": data, "n": report["n"], "rows": rows}


def _flat(name: str, figure: dict[str, Any], floor: float | None) -> dict[str, Any]:
    return {name: figure["value"], f"{name}_interval": figure["interval"], f"{name}_floor": floor}


def _row(group: str, row: dict[str, Any]) -> dict[str, Any]:
    found = {"group": group, "n": row["n"]}
    for name, title in _FIGURES.items():
        low_high, floor = row.get(f"{name}_interval"), row.get(f"{name}_floor")
        shown = f"{row[name]:.3f}" + (f" ({low_high[0]:.3f} to {low_high[1]:.3f})" if low_high else "")
        found[title] = shown + (f", floor {floor:.3f}" if floor is not None else "")
    return found
