"""Reads a bundle in a folder, checks that its files are whole, and tells how two builds differ."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from dermis.shared.evaluation import EvaluationReport
from dermis.shared.manifest import MANIFEST_FILE, Manifest

EVALUATION_FILE = "evaluation.json"
MODEL_CARD_FILE = "model_card.md"


def digests(folder: Path) -> dict[str, str]:
    """Return path -> SHA-256 of every file of a bundle, the manifest apart."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def as_json(value: Any) -> bytes:
    """Return JSON as it is written into files; of a model what was set.

    ValueError for NaN, for which JSON has no word.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=_what_was_set)
    return f"{text}\n".encode()


def _what_was_set(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_unset=True)


def write_json(path: Path, value: Any) -> None:
    path.write_bytes(as_json(value))


def read_manifest(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())


def write_manifest(manifest: Manifest, folder: Path) -> Manifest:
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def restated(folder: Path, *, version: int) -> Manifest:
    """Give a bundle another version number."""
    return write_manifest(read_manifest(folder).model_copy(update={"version": version}), folder)


def read_metrics(folder: Path) -> dict[str, float]:
    """Return the figures of a bundle's evaluation report by which two builds are compared."""
    report = EvaluationReport.model_validate_json((folder / EVALUATION_FILE).read_bytes())
    return {name: value for name, value in report.metrics.items() if value is not None}


_EXACT = (
    "name",
    "version",
    "purpose",
    "image_size",
    "max_images",
    "conditions",
    "feature_schema",
    "embedding_size",
    "cam_size",
)


def differences(folder: Path, other: Path, *, tolerance: float = 0.02) -> list[str]:
    """Return in what two builds differ: names and sizes must be equal, each metric within `tolerance`."""
    ours, theirs = read_manifest(folder), read_manifest(other)
    faults = [
        f"{field}: {getattr(ours, field)} against {getattr(theirs, field)}"
        for field in _EXACT
        if getattr(ours, field) != getattr(theirs, field)
    ]
    metrics, rebuilt = read_metrics(folder), read_metrics(other)
    faults += [
        f"{name}: {metrics.get(name)} against {rebuilt.get(name)}, more than {tolerance} apart"
        for name in sorted(metrics.keys() | rebuilt.keys())
        if name not in metrics or name not in rebuilt or abs(metrics[name] - rebuilt[name]) > tolerance
    ]
    return faults
