"""How a running system does: its parts, model, work, store, and what is to be erased."""

import http.client
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from urllib.error import URLError
from urllib.request import urlopen

import redis
from pydantic import BaseModel, ValidationError
from typeid.errors import TypeIDException

from dermis.shared.audit import last_checkpoint
from dermis.shared.batches import OPEN_BATCHES
from dermis.shared.bundles import read_current, read_manifest
from dermis.shared.case import Consent, OpenCase, fact_key
from dermis.shared.erasing import first_put, retention_prefix
from dermis.shared.errors import DermisError
from dermis.shared.ids import made_at
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.presence import Present, read_presence
from dermis.shared.queue import Queue
from dermis.shared.settings import RetentionSettings
from dermis.shared.webhooks import DEAD_PREFIX
from dermis.standalone.backup.index import last_backup
from dermis.standalone.peers import PeerAnswer, ask_health, ask_serving

LONGEST_OPEN = timedelta(minutes=15)
OVERDUE = timedelta(hours=1)
"""So long after its time a case is erased at the latest."""
LEAST_ROOM = 200 * 10**6
_MOST_COUNTED = 10_000
_MOST_READ = 1_000
_TIMEOUT_S = 3.0


class PartStatus(BaseModel):
    """`ok`: None where it can't be asked from here."""

    name: str
    ok: bool | None
    version: str | None = None
    detail: str = ""


class SystemStatus(BaseModel):
    """Ages and times in seconds, room in bytes. `faults`: what an operator should look at, in words."""

    parts: list[PartStatus]
    current_model: str | None = None
    previous_model: str | None = None
    shadow_model: str | None = None
    canary_model: str | None = None
    canary_percent: int | None = None
    open_cases: int = 0
    oldest_open_s: float | None = None
    open_batches: int = 0
    waiting_jobs: int | None = None
    room_bytes: int | None = None
    room_inodes: int | None = None
    overdue_cases: int = 0
    unfinished_erasures: int = 0
    clock_in_doubt: bool = False
    dead_letters: int = 0
    last_backup_at: datetime | None = None
    last_backup_head: str | None = None
    last_checkpoint_at: datetime | None = None
    faults: list[str] = []


def look(
    open_it: Callable[[], BlobStore],
    queue: Queue,
    parts: Iterable[PartStatus],
    *,
    settings: RetentionSettings,
    now: datetime,
) -> SystemStatus:
    """Read store and queue; a part that didn't answer is a fault, one that can't be asked is none.

    A store that can't be opened or read is a fault, and the rest is shown.
    """
    status = SystemStatus(parts=list(parts))
    status.faults += [f"{part.name} does not answer: {part.detail}" for part in status.parts if part.ok is False]
    _read_queue(queue, status)
    try:
        store = open_it()
        _read_model(store, status)
        _read_work(store, status, now)
        _read_keeping(store, status, settings, now)
    except DermisError as error:
        if error.detail not in status.faults:
            status.faults.append(error.detail)
    return status


def ask_parts(url: str, settings: RetentionSettings, open_it: Callable[[], BlobStore]) -> Iterator[PartStatus]:
    """Ask each part whether it is there, and for its version, which TensorFlow Serving does not tell."""
    yield _gateway(url)
    present = _presence(settings.broker_url)
    for name in ("worker", "webhooks", "sweep"):
        processes = [each for each in present or () if each.part == name]
        versions = ", ".join(sorted({each.version for each in processes}))
        if name == "webhooks" and not processes:  # none is needed where nobody has a webhook; `dermis doctor` looks
            continue
        ok = None if present is None else bool(processes)
        yield PartStatus(
            name=name, ok=ok, version=versions or None, detail=f"{len(processes)} processes show themselves"
        )
    yield _peer("metadata", ask_health(settings.metadata_address))
    yield _peer("serving", _ask_serving(settings.serving_address, open_it))


def _ask_serving(address: str, open_it: Callable[[], BlobStore]) -> PeerAnswer:
    try:
        return ask_serving(address, read_current(open_it()).current)
    except DermisError:  # which version it should have is not known: whether it is there is
        return ask_health(address)


def _peer(name: str, answer: PeerAnswer) -> PartStatus:
    return PartStatus(name=name, ok=answer.ok, version=answer.version, detail=answer.detail)


def _presence(broker_url: str) -> list[Present] | None:
    """Return the processes that show themselves in Redis, None if it can't be asked."""
    try:
        with redis.Redis.from_url(broker_url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S) as client:
            return read_presence(client)
    except redis.RedisError:
        return None


def _gateway(url: str) -> PartStatus:
    try:
        with urlopen(f"{url}/readyz", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - an operator's own URL
            broker = json.load(answer)["broker"]
        with urlopen(f"{url}/openapi.json", timeout=_TIMEOUT_S) as answer:  # noqa: S310
            version = json.load(answer)["info"]["version"]
    except (OSError, URLError, ValueError, KeyError, http.client.HTTPException) as fault:
        return PartStatus(name="gateway", ok=False, detail=f"{url} ({fault})")
    return PartStatus(name="gateway", ok=True, version=version, detail=f"{url}, Redis {broker}")


def _read_model(store: BlobStore, status: SystemStatus) -> None:
    try:
        pointer = read_current(store)
        manifest = read_manifest(store, pointer.current)
    except DermisError as error:
        status.faults.append(error.detail)
        return
    status.current_model = f"{_name(pointer.current)}, purpose {manifest.purpose}"
    status.previous_model = _name(pointer.previous) if pointer.previous else None
    status.shadow_model = _name(pointer.shadow) if pointer.shadow else None
    if pointer.canary:
        status.canary_model, status.canary_percent = _name(pointer.canary.ref), pointer.canary.percent


def _read_queue(queue: Queue, status: SystemStatus) -> None:
    try:
        status.waiting_jobs = queue.waiting() + queue.waiting_steps()
    except DermisError:
        status.faults.append("Redis does not answer: cases are taken in, and worked off once it does")


def _read_work(store: BlobStore, status: SystemStatus, now: datetime) -> None:
    opened = list(store.list("open/"))
    status.open_cases, status.open_batches = len(opened), len(list(store.list(OPEN_BATCHES)))
    status.unfinished_erasures = sum(_is_erased(store, key) for key in opened[:_MOST_READ])
    for key in islice(opened, 1):
        with suppress(BlobNotFound):  # closed just now
            status.oldest_open_s = max((now - store.written_at(key)).total_seconds(), 0.0)
    status.dead_letters = sum(1 for _ in islice(store.list(DEAD_PREFIX), _MOST_COUNTED))
    if status.dead_letters:
        status.faults.append(
            f"{status.dead_letters} events for webhooks were given up; `dermis doctor` says of which, and what to do"
        )
    if (status.oldest_open_s or 0) > LONGEST_OPEN.total_seconds():
        status.faults.append(f"a case is open for {status.oldest_open_s or 0:.0f} s; see the logs of worker and sweep")


def _read_keeping(store: BlobStore, status: SystemStatus, settings: RetentionSettings, now: datetime) -> None:
    room = store.room()
    if room:
        status.room_bytes, status.room_inodes = room.bytes, room.inodes
        if room.bytes < LEAST_ROOM:
            status.faults.append(f"the store has {room.bytes:,} bytes left; make room, or erase cases")
    for consent, days in (
        (Consent.ASSESS_ONLY, settings.retention_days),
        (Consent.KEEP_FOR_IMPROVEMENT, settings.improvement_retention_days),
    ):
        status.overdue_cases += _overdue(store, consent, days, now)
    if status.overdue_cases:
        status.faults.append(
            f"{status.overdue_cases} cases should have been erased over an hour ago; see `dermis sweep due`"
        )
    status.clock_in_doubt = has(store, "sweep/doubt.json")
    if status.clock_in_doubt:
        status.faults.append("the sweep doubts its clock and erases nothing by time; see `dermis sweep due`")
    if backup := last_backup(store):
        status.last_backup_at, status.last_backup_head = backup.finished_at, backup.audit_head
    with suppress(DermisError):
        if last := last_checkpoint(store):
            status.last_checkpoint_at = last[0].made_at


def _is_erased(store: BlobStore, key: str) -> bool:
    """Return whether an open marker is of an erased case, at which the sweep looks once more."""
    with suppress(BlobNotFound, ValidationError):
        marker = OpenCase.model_validate_json(store.get(key))
        return has(store, fact_key(marker.owner, marker.case_id, "erased"))
    return False


def _overdue(store: BlobStore, consent: Consent, days: float, now: datetime) -> int:
    """Return how many cases are over for longer than `OVERDUE`, 10,000 at most; 0 days have no end."""
    if not days:
        return 0
    limit, overdue = now - timedelta(days=days) - OVERDUE, 0
    for key in islice(store.list(retention_prefix(consent)), _MOST_COUNTED):
        with suppress(BlobNotFound, TypeIDException):
            if made_at(key.rpartition("/")[2]) > limit:
                break
            overdue += first_put(store, key) <= limit
    return overdue


def _name(ref: VersionRef) -> str:
    return f"{ref.name}/{ref.version}"
