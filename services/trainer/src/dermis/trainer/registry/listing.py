"""What `dermis models` shows: every run and version of a store, and all that is known of one version."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from dermis.shared.bundles import read_manifest, versions
from dermis.shared.evaluation import Figure, read_report
from dermis.shared.manifest import EVALUATION_FILE, Current, Manifest, VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.promotions import promotions
from dermis.trainer.records.facts import RunState, RunStatus
from dermis.trainer.records.layout import evaluated_on, evaluation_key, read_version
from dermis.trainer.records.runs import read_run, run_ids
from dermis.trainer.registry import promote as registry

SILENT_AFTER = timedelta(hours=1)
"""A run that said nothing for so long was probably killed."""
_TONES = ("monk_bin", "fitzpatrick_self", "fitzpatrick_estimated")
_FIGURES = {"top_1": "top-1", "top_3_soft": "soft top-3"}


def list_all(store: BlobStore, *, now: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return a row for each run and each version, the oldest first."""
    current = registry.current_or_none(store)
    rows = []
    for ref in versions(store):
        manifest = read_manifest(store, ref)
        rows.append(
            {
                "version": f"{ref.name}/{ref.version}",
                "is": _role(ref, current),
                "purpose": manifest.purpose,
                "knows": manifest.knowledge.kind if manifest.knowledge else "",
                "conditions": len(manifest.conditions),
                "evaluated on": ", ".join(evaluated_on(store, ref)),
                "config": manifest.lineage.get("config", ""),
            }
        )
    return {"runs": [_run(run_id, read_run(store, run_id), now) for run_id in run_ids(store)], "versions": rows}


def _role(ref: VersionRef, pointer: Current | None) -> str:
    if pointer is None:
        return ""
    role = pointer.roles.get(ref, "")
    return f"canary, {pointer.canary.percent} %" if pointer.canary and role == "canary" else role


def _run(run_id: str, state: RunState, now: datetime) -> dict[str, Any]:
    epoch, sign = state.epoch, state.last_sign
    silent = state.status is RunStatus.RUNNING and sign is not None and now - sign > SILENT_AFTER
    version = state.finished.version if state.finished else None
    return {
        "run": run_id,
        "status": str(state.status) + (" (silent: killed?)" if silent else ""),
        "config": state.started.config.name if state.started else "",
        "attempt": state.attempt,
        "epoch": "" if epoch is None else f"{epoch.epoch}" + (f"/{epoch.of}" if epoch.of else ""),
        "last sign": "" if sign is None else f"{_ago(now - sign)} ago",
        "version": f"{version.name}/{version.version}" if version else "",
        "why": f"{state.ended.reason} {state.ended.detail}".strip()
        if state.ended and state.status != RunStatus.FINISHED
        else "",
    }


def _ago(passed: timedelta) -> str:
    seconds = max(0, int(passed.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def describe(store: BlobStore, ref: VersionRef) -> dict[str, Any]:
    """Return a version's lineage, what its evaluations say by tone, and the records that name it.

    NOT_FOUND if there is none.
    """
    manifest = read_version(store, ref)
    faults = registry.check_files(store, manifest)
    records = [record for record in promotions(store) if ref in (record.ref, record.over)]
    return {
        "about": {
            "version": f"{ref.name}/{ref.version}",
            "purpose": manifest.purpose,
            "conditions": ", ".join(condition.name for condition in manifest.conditions),
            **_knowledge(manifest),
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


def _knowledge(manifest: Manifest) -> dict[str, str]:
    """Return what a model knows and what not, for whom it was measured and on what it gives no answer."""
    rules = [name for name, rule in (("embedding", manifest.outliers), ("texture", manifest.textures)) if rule]
    declines = {"declines photos unlike those of training": f"by {' and '.join(rules)}" if rules else "no"}
    if (knows := manifest.knowledge) is None:
        return {"knows": "not said", **declines}
    measured = ", ".join(f"{group} {n}" for group, n in knows.measured_on.items())
    return {
        "knows": knows.kind,
        "does not know": "; ".join(knows.unknown),
        f"measured on (Fitzpatrick, {knows.scale.replace('_', '-')})": measured or "not said",
        "no answer for": ", ".join(knows.not_measured) or "nobody",
        **declines,
        "licence": knows.licence,
    }


def _evaluation(store: BlobStore, data: str, ref: VersionRef) -> dict[str, Any]:
    """Return top-1 and soft top-3 overall and by tone, each with n and interval, from its report.

    No rows where there is none.
    """
    try:
        report = read_report(store, f"{evaluation_key(data, ref)}/{EVALUATION_FILE}")
    except BlobNotFound:
        return {"data": data, "n": f"unknown, as there is no {EVALUATION_FILE}", "rows": []}
    rows = [_row("overall", report.n, [report.figure(name) for name in _FIGURES])]
    for scale in _TONES:
        rows += [
            _row(f"{scale}={row.value}", row.n, [row.figures.get(name) for name in _FIGURES])
            for row in report.slices.get(scale, ())
        ]
    return {"data": data, "n": report.n, "rows": rows}


def _row(group: str, n: int, figures: Iterable[Figure | None]) -> dict[str, str | int]:
    return {"group": group, "n": n, **dict(zip(_FIGURES.values(), map(_text, figures), strict=True))}


def _text(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "not stated"
    low_high = f" ({figure.interval[0]:.3f} to {figure.interval[1]:.3f})" if figure.interval else ""
    return f"{figure.value:.3f}{low_high}" + (f", floor {figure.floor:.3f}" if figure.floor is not None else "")
