"""Measures an image and gives its row in a profile of images."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields

import cv2
import numpy as np

from dermis.shared.errors import DermisError
from dermis.shared.images.color_profile import space_of
from dermis.shared.images.header import Format, ImageRefusal, is_refusal
from dermis.shared.ports import BlobNotFound
from dermis.shared.report import QualityMeasures, Verdict
from dermis.worker.core import decode, phash, quality
from dermis.worker.core.skin import Gate

Row = dict[str, str | int | float | None]
"""One image; the columns are `COLUMNS`, None where an image has no such value."""
MEASURES = tuple(QualityMeasures.model_fields)
"""An earlier project's eight, under its column names."""
SIGNALS = tuple(field.name for field in fields(quality.Signals))
"""What the verdict rests on: with these a row can be judged again under another policy."""
COLUMNS = (
    *("image", *MEASURES),
    *("width", "height", "bytes", "mode", "color_space", "format", "phash", "sha256", "verdict", "reasons", "fault"),
    *SIGNALS,
    "skin",
)
MISSING, NAMED_OTHERWISE, WORKER_LOST = "MISSING", "NAMED_OTHERWISE", "WORKER_LOST"
_DIGITS = 6
_SUFFIXES = {
    ".jpg": Format.JPEG,
    ".jpeg": Format.JPEG,
    ".png": Format.PNG,
    ".webp": Format.WEBP,
    ".heic": Format.HEIC,
    ".heif": Format.HEIC,
    ".hif": Format.HEIC,
    ".avif": Format.AVIF,
}
SUFFIXES = tuple(_SUFFIXES)
"""How the name of an image ends."""


def rows(
    keys: Iterable[str], read: Callable[[str], bytes], policy: quality.Policy, gate: Gate | None = None
) -> Iterator[Row]:
    """Yield a row per key in order; one image is held at a time. `read` raises `BlobNotFound` for what is not there."""
    for key in keys:
        try:
            data = read(key)
        except BlobNotFound:
            yield missing(key)
        else:
            yield measure(key, data, policy, gate)


def missing(key: str) -> Row:
    """Return the row of an image that is listed and not there: without a verdict, as nothing could be judged."""
    return _row(image=key, fault=MISSING)


def worker_lost(key: str) -> Row:
    """Return the row of an image that took its workers with it each time that it was read."""
    return _row(image=key, verdict=Verdict.UNUSABLE, reasons=quality.Reason.UNREADABLE, fault=WORKER_LOST)


def costly(key: str) -> Row:
    """Return the row of an image whose decoding took more time than its header let expect."""
    return _row(image=key, verdict=Verdict.UNUSABLE, reasons=quality.Reason.UNREADABLE, fault=ImageRefusal.COST)


def measure(key: str, data: bytes, policy: quality.Policy, gate: Gate | None = None) -> Row:
    """Return the row of an image, the same on every machine up to rounding.

    `fault` says what is wrong with the object: a reason of `decode` where it can't be decoded (then UNUSABLE), or
    NAMED_OTHERWISE where it is another format than its name says. `reasons` are the verdict's, separated by spaces.
    `skin`: the gate's log-odds, None without a gate.
    """
    row: Row = {"image": key, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        decoded = decode.decode(data)
    except DermisError as error:
        if not is_refusal(error):
            raise
        return _row(**row, verdict=Verdict.UNUSABLE, reasons=quality.Reason.UNREADABLE, fault=error.reason)
    working = decoded.image
    signals = quality.signals(working, policy.thresholds)
    verdict, reasons = quality.judge(signals, policy.thresholds)
    score = None if gate is None else gate.score(working)
    if gate is not None and score is not None and gate.refuses(verdict, score):
        verdict, reasons = Verdict.UNUSABLE, [quality.Reason.NOT_SKIN, *reasons]
    measured = quality.measures(np.asarray(cv2.cvtColor(working, cv2.COLOR_RGB2GRAY)))
    expected = _SUFFIXES.get(f".{key.rpartition('.')[2].lower()}", decoded.format)
    return _row(
        **row,
        width=decoded.width,
        height=decoded.height,
        mode=decoded.mode,
        color_space=space_of(decoded.color),
        format=decoded.format.removeprefix("image/").upper(),
        phash=phash.to_text(phash.phash(working)),
        verdict=verdict,
        reasons=" ".join(reasons),
        fault="" if decoded.format is expected else NAMED_OTHERWISE,
        skin=None if score is None else _rounded(score),
        **{name: _rounded(value) for name, value in (measured.model_dump() | asdict(signals)).items()},
    )


def as_lines(rows: Iterable[Row]) -> bytes:
    """Return rows as ndjson."""
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)


def from_lines(data: bytes) -> list[Row]:
    return [json.loads(line) for line in data.splitlines()]


def _row(**cells: str | float | None) -> Row:
    row: Row = dict.fromkeys(COLUMNS)
    row.update(reasons="", fault="")
    row.update(cells)
    return row


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
