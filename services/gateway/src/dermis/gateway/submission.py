"""How a case is stored, once or once for each key of a client."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from starlette.concurrency import run_in_threadpool

from dermis.gateway.convert import NewCase
from dermis.gateway.facts import as_json, erased_problem, get_fact, put_fact
from dermis.shared.case import Erased, OpenCase, Received, ReceivedImage, fact_key, image_key, open_key
from dermis.shared.erasing import (
    IdempotencyLink,
    IdempotencyRecord,
    RetentionMark,
    clear,
    erase,
    link_key,
    retention_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_secret_id
from dermis.shared.ports import BlobConflict, BlobStore, has
from dermis.shared.references import reference_key
from dermis.shared.reviews import second_read_key
from dermis.shared.telemetry import log
from dermis.shared.tracing import span
from dermis.shared.webhook_store import Outbox

_FORMS_RECEIVED: tuple[Literal["original", "profile"], ...] = ("original", "profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A client's Idempotency-Key, and the digest of what it sent with it."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submissions:
    """Stores cases, each in the order that the sweep relies on."""

    store: BlobStore
    outbox: Outbox
    clock: Callable[[], datetime]

    async def submit(self, case: NewCase, *, owner: str, line: str, livemode: bool = True) -> Received:
        """Store a case and return its first fact.

        On an error nothing of it stays, or the sweep finds its marker and removes it.
        """
        received = await run_in_threadpool(self._received, case, new_secret_id("case"), owner, livemode)
        try:
            await self._store(
                case, received, self._opened(received.case_id, owner, line, reference=case.client_reference)
            )
            if await run_in_threadpool(has, self.store, fact_key(owner, received.case_id, "erased")):
                raise _taken_back()
        except Exception:
            await run_in_threadpool(self._undo, received)
            raise
        return received

    async def submit_once(
        self, case: NewCase, retry: Retry, *, owner: str, line: str, livemode: bool = True
    ) -> tuple[Received, bool]:
        """Store a case unless `retry` did so before; return its first fact and whether it is new.

        The record comes before the case, so of several equal requests each stores the same objects of the same case,
        and one that broke off is brought to its end by the next. What is never taken up again falls to the sweep, by a
        marker that comes before the record and names it.
        """
        record_key = _record_key(owner, retry)
        record = await run_in_threadpool(self._claim, record_key, case, retry.digest, owner=owner, line=line)
        _check_digest(record, retry)
        received_key = fact_key(owner, record.case_id, "received")
        if standing := await run_in_threadpool(get_fact, self.store, received_key, Received):
            return standing, False
        received = await run_in_threadpool(self._received, case, record.case_id, owner, livemode)
        try:
            await self._store(
                case, received, self._opened(record.case_id, owner, line, record_key, case.client_reference)
            )
        except BlobConflict:
            await run_in_threadpool(self._clear_if_erased, case_id=received.case_id, owner=owner)
            if standing := await run_in_threadpool(get_fact, self.store, received_key, Received):
                return standing, False  # an equal request was faster
            raise
        await run_in_threadpool(self._clear_if_erased, case_id=received.case_id, owner=owner)
        return await run_in_threadpool(self._confirm, record_key, record, received)

    async def submitted(self, retry: Retry, *, owner: str) -> Received | None:
        """Return the case that `retry` has stored before, if it stands; nothing is stored."""
        record = await run_in_threadpool(get_fact, self.store, _record_key(owner, retry), IdempotencyRecord)
        if record is None:
            return None
        _check_digest(record, retry)
        return await run_in_threadpool(get_fact, self.store, fact_key(owner, record.case_id, "received"), Received)

    def _claim(self, key: str, case: NewCase, digest: str, *, owner: str, line: str) -> IdempotencyRecord:
        """Return the record of a client's key: the standing one, else a new one whose case has a marker already."""
        if standing := get_fact(self.store, key, IdempotencyRecord):
            return standing
        fresh = IdempotencyRecord(case_id=new_secret_id("case"), digest=digest)
        opened = self._opened(fresh.case_id, owner, line, key, case.client_reference)
        put_fact(self.store, open_key(fresh.case_id), opened)
        record = self._put_record(key, fresh)
        if record != fresh:
            self.store.delete(open_key(fresh.case_id))
        return record

    def _put_record(self, key: str, record: IdempotencyRecord) -> IdempotencyRecord:
        while not put_fact(self.store, key, record):
            if standing := get_fact(self.store, key, IdempotencyRecord):
                return standing  # else it went meanwhile, with the case that it was of
        return record

    def _confirm(self, key: str, record: IdempotencyRecord, received: Received) -> tuple[Received, bool]:
        """Return the stored case, once its record stands.

        Of a gateway that was stopped on the way the sweep may have taken the record back. It is put again; where the
        client's next request has made another case meanwhile, that one counts and this one goes.
        """
        standing = get_fact(self.store, key, IdempotencyRecord) or self._put_record(key, record)
        if standing.case_id == received.case_id:
            return received, True
        log.warning("taken back: an equal request made another case while this one was being stored")
        erase(self.store, owner=received.owner, case_id=received.case_id, at=self.clock())
        if other := get_fact(self.store, fact_key(received.owner, standing.case_id, "received"), Received):
            return other, False
        raise _taken_back()

    def _opened(
        self, case_id: str, owner: str, line: str, record: str | None = None, reference: str | None = None
    ) -> OpenCase:
        return OpenCase(
            case_id=case_id,
            owner=owner,
            opened_at=self.clock(),
            record=record,
            reference=reference_key(owner, reference, case_id) if reference else None,
            line="" if line == owner else line,
        )

    def _clear_if_erased(self, *, case_id: str, owner: str) -> None:
        """Remove what was put into a case that was erased meanwhile, and raise NOT_FOUND.

        An equal request had stored the case, and someone erased it.
        """
        if get_fact(self.store, fact_key(owner, case_id, "erased"), Erased):
            clear(self.store, owner=owner, case_id=case_id)
            raise erased_problem(case_id)

    def _received(self, case: NewCase, case_id: str, owner: str, livemode: bool) -> Received:
        return Received(
            case_id=case_id,
            owner=owner,
            received_at=self.clock(),
            images=tuple(
                ReceivedImage(
                    n=n,
                    content_type=image.header.format,
                    bytes=len(image.data),
                    sha256=hashlib.sha256(image.data).hexdigest(),
                    width=image.header.width,
                    height=image.header.height,
                    orientation=image.header.orientation,
                    shot_type=shot_type,
                    color=None if isinstance(image.header.color, bytes) else image.header.color,
                    keep_original=not isinstance(image.header.color, bytes),
                )
                for n, (image, shot_type) in enumerate(zip(case.images, case.shot_types, strict=True), start=1)
            ),
            self_report=case.self_report,
            consent=case.consent,
            second_read=case.second_read,
            client_reference=case.client_reference,
            livemode=livemode,
        )

    async def _store(self, case: NewCase, received: Received, opened: OpenCase) -> None:
        """Put a case in the order that the sweep relies on; `BlobConflict` if its `received.json` stands already."""
        with span("store case", case_id=received.case_id):
            try:
                await self._put_all(case, received, opened)
            finally:
                if not all(image.keep_original for image in received.images):
                    await run_in_threadpool(self._remove_prepared, received)

    async def _put_all(self, case: NewCase, received: Received, opened: OpenCase) -> None:
        owner, case_id = received.owner, received.case_id
        await run_in_threadpool(put_fact, self.store, open_key(case_id), opened)
        parts = {
            image_key(owner, case_id, described.n, "original"): image.data
            for image, described in zip(case.images, received.images, strict=True)
        }
        parts |= {
            image_key(owner, case_id, described.n, "profile"): image.header.color
            for image, described in zip(case.images, received.images, strict=True)
            if isinstance(image.header.color, bytes)
        }
        parts[retention_key(received.consent, case_id)] = as_json(RetentionMark(owner=owner))
        if received.second_read and received.livemode:  # what a test key sends is nobody's to read
            parts[second_read_key(case_id)] = as_json(RetentionMark(owner=owner))
        if opened.record:
            parts[link_key(owner, case_id)] = as_json(IdempotencyLink(key=opened.record))
        if opened.reference:
            parts[opened.reference] = b"{}"
        await self._all(partial(self.store.put_once, key, data) for key, data in parts.items())
        fact = fact_key(owner, case_id, "received")
        # The webhooks' event comes before the fact, so that no crash loses it; who delivers looks for the fact first.
        await run_in_threadpool(partial(self.outbox.put, received, owner=owner))
        await run_in_threadpool(self.store.put_once, fact, as_json(received))
        # Of a gateway that was stopped on the way the sweep may have taken all this for lost. Its tombstone is looked
        # for first: as long as none is there, what is there stays.
        if not await run_in_threadpool(has, self.store, fact_key(owner, case_id, "erased")):
            again = {open_key(case_id): as_json(opened), **parts, fact: as_json(received)}
            await self._all(partial(self._put_if_gone, key, data) for key, data in again.items())

    async def _all(self, calls: Iterable[Callable[[], object]]) -> None:
        """Make calls of the store at once and wait for all, so that none is made after an undo.

        Raise the first fault.
        """
        for result in await asyncio.gather(*map(run_in_threadpool, calls), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    def _put_if_gone(self, key: str, data: bytes) -> None:
        if not has(self.store, key):
            log.warning("put again: it was gone before the case was whole")
            with contextlib.suppress(BlobConflict):  # an equal request's, which says the same but for the time
                self.store.put_once(key, data)

    def _remove_prepared(self, received: Received) -> None:
        """Remove the originals that may not stay, if a worker did so already: they came after it.

        The worker removes them after it has put `assessed.json`, which is looked for here after they were put: one of
        the two is last.
        """
        if has(self.store, fact_key(received.owner, received.case_id, "assessed")):
            for image in received.images:
                if not image.keep_original:
                    for form in _FORMS_RECEIVED:
                        self.store.delete(image_key(received.owner, received.case_id, image.n, form))

    def _undo(self, received: Received) -> None:
        owner, case_id = received.owner, received.case_id
        images = [image_key(owner, case_id, image.n, form) for image in received.images for form in _FORMS_RECEIVED]
        reference = received.client_reference
        index = [reference_key(owner, reference, case_id)] if reference else []
        with contextlib.suppress(Exception):
            for key in (
                fact_key(owner, case_id, "received"),
                *images,
                *index,
                retention_key(received.consent, case_id),
                second_read_key(case_id),
                open_key(case_id),
            ):
                self.store.delete(key)


def _record_key(owner: str, retry: Retry) -> str:
    return f"idempotency/{owner}/{hashlib.sha256(retry.key.encode()).hexdigest()}"


def _check_digest(record: IdempotencyRecord, retry: Retry) -> None:
    if record.digest != retry.digest:
        detail = "this Idempotency-Key came with another case before; send the same case again or take a new key"
        raise DermisError(Kind.INVALID, "IDEMPOTENCY_KEY_REUSED", detail, pointer="/header/Idempotency-Key")


def _taken_back() -> DermisError:
    return DermisError(
        Kind.UNAVAILABLE, "TAKEN_BACK", "storing the case took so long that it was taken back; send it again"
    )
