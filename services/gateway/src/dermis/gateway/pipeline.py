"""What can be done with cases, over the object store."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from dermis.gateway.convert import NewCase
from dermis.gateway.core.listing import Listed, fold_keys
from dermis.gateway.http import OTHER_CONDITION, Feedback, FeedbackKept
from dermis.gateway.hub import Hub
from dermis.gateway.problems import fault
from dermis.shared.case import (
    Assessed,
    CaseState,
    Erased,
    Failed,
    GivenFeedback,
    OpenCase,
    Outcome,
    Received,
    ReceivedImage,
    fact_key,
    failed_key,
    feedback_key,
    fold,
    heatmap_key,
    image_key,
    open_key,
)
from dermis.shared.erasing import IdempotencyLink, RetentionMark, clear, erase, link_key, retention_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_id
from dermis.shared.jobs import scratch_key
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.shared.telemetry import log
from dermis.shared.tracing import span

M = TypeVar("M", bound=BaseModel)
MOST_FEEDBACK = 10
_FORMS_RECEIVED: tuple[Literal["original", "profile"], ...] = ("original", "profile")


def now() -> datetime:
    return datetime.now(UTC)


class IdempotencyRecord(BaseModel):
    """`idempotency/<owner>/<hash>`: the case that a key made, and of what."""

    case_id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A client's Idempotency-Key, and the digest of what it sent with it."""

    key: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePipeline:
    """The use-cases of the gateway over the store."""

    store: BlobStore
    hub: Hub = field(default_factory=Hub)
    clock: Callable[[], datetime] = now

    async def submit(self, case: NewCase, *, owner: str) -> Received:
        """Store a case and return its first fact.

        On an error nothing of it stays, or the sweep finds its marker and removes it.
        """
        received = await run_in_threadpool(self._received, case, new_id("case"), owner)
        try:
            await self._store(case, received)
            if await run_in_threadpool(has, self.store, fact_key(owner, received.case_id, "erased")):
                detail = "storing the case took so long that it was taken back; send it again"
                raise DermisError(Kind.UNAVAILABLE, "TAKEN_BACK", detail)
        except Exception:
            await run_in_threadpool(self._undo, received)
            raise
        return received

    async def submit_once(self, case: NewCase, retry: Retry, *, owner: str) -> tuple[Received, bool]:
        """Store a case unless `retry` did so before; return its first fact and whether it is new.

        The record comes first, so of several equal requests each stores the same objects of the same case, and one that
        broke off is brought to its end by the next; what is never taken up again falls to the sweep.
        """
        record_key = f"idempotency/{owner}/{hashlib.sha256(retry.key.encode()).hexdigest()}"
        record = await run_in_threadpool(
            self._claim, record_key, IdempotencyRecord(case_id=new_id("case"), digest=retry.digest)
        )
        if record.digest != retry.digest:
            detail = "this Idempotency-Key came with another case before; send the same case again or take a new key"
            raise DermisError(Kind.INVALID, "IDEMPOTENCY_KEY_REUSED", detail, pointer="/header/Idempotency-Key")
        received_key = fact_key(owner, record.case_id, "received")
        if standing := await run_in_threadpool(self._get, received_key, Received):
            return standing, False
        received = await run_in_threadpool(self._received, case, record.case_id, owner)
        try:
            await self._store(case, received, IdempotencyLink(key=record_key))
        except BlobConflict:
            await run_in_threadpool(self._clear_if_erased, case_id=received.case_id, owner=owner)
            if standing := await run_in_threadpool(self._get, received_key, Received):
                return standing, False  # an equal request was faster
            raise
        await run_in_threadpool(self._clear_if_erased, case_id=received.case_id, owner=owner)
        return received, True

    async def read(self, case_id: str, *, owner: str) -> CaseState:
        """Return what is known of a case; NOT_FOUND if there is none or it was erased."""
        _check_id(case_id)
        received, assessed, outcome, erased = await asyncio.gather(
            run_in_threadpool(self._get, fact_key(owner, case_id, "received"), Received),
            run_in_threadpool(self._get, fact_key(owner, case_id, "assessed"), Assessed),
            run_in_threadpool(self._get, fact_key(owner, case_id, "outcome"), Outcome),
            run_in_threadpool(self._get, fact_key(owner, case_id, "erased"), Erased),
        )
        if erased:
            raise _erased(case_id)
        if received is None:
            raise _no_case(case_id)
        failed = None if outcome else await run_in_threadpool(self._failure, case_id, owner)
        return fold((received, assessed, outcome, failed))

    async def follow(self, case_id: str, *, owner: str, seconds: float) -> AsyncGenerator[CaseState, None]:
        """Yield what is known of a case, again at each look, until it is closed or the time is over."""
        ends = asyncio.get_running_loop().time() + seconds
        with self.hub.listen(case_id) as event:
            while True:
                state = await self.read(case_id, owner=owner)
                yield state
                left = ends - asyncio.get_running_loop().time()
                if state.closed or left <= 0 or self.hub.stopped:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.hub.wait(event), left)

    def erase(self, case_id: str, *, owner: str) -> None:
        """Leave nothing of a case but its tombstone; NOT_FOUND if there never was such a case.

        The marker is put anew and left: what a running worker adds later, or what a crash leaves here, the sweep
        removes.
        """
        _check_id(case_id)
        if not any(has(self.store, fact_key(owner, case_id, name)) for name in ("erased", "received")):
            raise _no_case(case_id)
        erase(self.store, owner=owner, case_id=case_id, at=self.clock())

    async def heatmap(self, case_id: str, *, owner: str, n: int, condition: str | None) -> bytes:
        """Return the overlay of image `n` for a condition, else for the most probable that has one.

        NOT_FOUND if there is none.
        """
        outcome = (await self.read(case_id, owner=owner)).outcome
        matching = (
            [each for each in outcome.heatmaps if each.n == n and condition in (None, each.condition)]
            if outcome
            else []
        )
        if not matching or outcome is None or outcome.model is None:
            available = sorted({f"{each.n} ({each.condition})" for each in outcome.heatmaps}) if outcome else []
            detail = f"case {case_id} has no such heatmap; " + (
                f"it has {', '.join(available)}" if available else "its outcome names none"
            )
            raise DermisError(Kind.NOT_FOUND, "NO_HEATMAP", detail)
        try:
            return await run_in_threadpool(self.store.get, heatmap_key(owner, case_id, matching[0], outcome.model))
        except BlobNotFound:
            raise DermisError(
                Kind.NOT_FOUND, "NO_HEATMAP", f"case {case_id} has lost this heatmap, or was erased meanwhile"
            ) from None

    async def give_feedback(self, case_id: str, feedback: Feedback, *, owner: str) -> FeedbackKept:
        """Keep what became of an outcome; CONFLICT if there is none yet, or feedback was given too often.

        The same feedback given twice is kept once.
        """
        state = await self.read(case_id, owner=owner)
        if state.outcome is None or state.received is None:
            raise DermisError(
                Kind.CONFLICT, "NOT_FINISHED", f"case {case_id} has no outcome yet; give feedback once it is FINISHED"
            )
        conditions = {ranked.condition for ranked in state.outcome.differential} | {OTHER_CONDITION}
        if feedback.condition is not None and feedback.condition not in conditions:
            detail = (
                f"condition: {feedback.condition!r} is none of this outcome's; use one of "
                f"{', '.join(sorted(conditions))}"
            )
            raise fault("CONDITION", detail, pointer="/condition")
        fact = GivenFeedback(case_id=case_id, given_at=self.clock(), model=state.outcome.model, **feedback.model_dump())
        kept = await run_in_threadpool(self._keep_feedback, fact, owner)
        return FeedbackKept(
            **feedback.model_dump(), case_id=case_id, given_at=kept.given_at, consent=state.received.consent
        )

    def _keep_feedback(self, fact: GivenFeedback, owner: str) -> GivenFeedback:
        for k in range(1, MOST_FEEDBACK + 1):
            key = feedback_key(owner, fact.case_id, k)
            standing = self._get(key, GivenFeedback)
            if standing is None and self._put(key, fact):
                if self._get(fact_key(owner, fact.case_id, "erased"), Erased):  # erased meanwhile: nothing may stay
                    self.store.delete(key)
                    raise _erased(fact.case_id)
                return fact
            standing = standing or self._get(key, GivenFeedback)
            if standing and standing.model_copy(update={"given_at": fact.given_at}) == fact:
                return standing
        detail = f"feedback on case {fact.case_id} was given {MOST_FEEDBACK} times; no more is taken"
        raise DermisError(Kind.CONFLICT, "FEEDBACK_FULL", detail)

    def page(self, *, owner: str, after: str, size: int) -> Sequence[Listed]:
        """Return up to `size` cases with ids above `after`, in order; told by the names of their facts alone."""
        prefix = f"cases/{owner}/"
        return fold_keys(self.store.list(prefix, after=f"{prefix}{after}/~" if after else ""), prefix=prefix, size=size)

    @contextlib.asynccontextmanager
    async def scratch(self, data: bytes) -> AsyncIterator[str]:
        """Keep an object for as long as the context lasts, and give its id; what a crash leaves goes after an hour."""
        scratch_id = new_id("scratch")
        await run_in_threadpool(self.store.put_once, scratch_key(scratch_id), data)
        try:
            yield scratch_id
        finally:
            await run_in_threadpool(self.store.delete, scratch_key(scratch_id))

    def _clear_if_erased(self, *, case_id: str, owner: str) -> None:
        """Remove what was put into a case that was erased meanwhile, and raise NOT_FOUND.

        An equal request had stored the case, and someone erased it.
        """
        if self._get(fact_key(owner, case_id, "erased"), Erased):
            clear(self.store, owner=owner, case_id=case_id)
            raise _erased(case_id)

    def _received(self, case: NewCase, case_id: str, owner: str) -> Received:
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
        )

    async def _store(self, case: NewCase, received: Received, link: IdempotencyLink | None = None) -> None:
        """Put a case in the order that the sweep relies on; `BlobConflict` if its `received.json` stands already."""
        with span("store case", case_id=received.case_id):
            try:
                await self._put_all(case, received, link)
            finally:
                if not all(image.keep_original for image in received.images):
                    await run_in_threadpool(self._remove_prepared, received)

    async def _put_all(self, case: NewCase, received: Received, link: IdempotencyLink | None) -> None:
        owner, case_id = received.owner, received.case_id
        opened = OpenCase(case_id=case_id, owner=owner, opened_at=received.received_at)
        await run_in_threadpool(self._put, open_key(case_id), opened)
        parts = {
            image_key(owner, case_id, described.n, "original"): image.data
            for image, described in zip(case.images, received.images, strict=True)
        }
        parts |= {
            image_key(owner, case_id, described.n, "profile"): image.header.color
            for image, described in zip(case.images, received.images, strict=True)
            if isinstance(image.header.color, bytes)
        }
        parts[retention_key(received.consent, case_id)] = _json(RetentionMark(owner=owner))
        if link:
            parts[link_key(owner, case_id)] = _json(link)
        await self._all(partial(self.store.put_once, key, data) for key, data in parts.items())
        fact = fact_key(owner, case_id, "received")
        await run_in_threadpool(self.store.put_once, fact, _json(received))
        # Of a gateway that was stopped on the way the sweep may have taken all this for lost. Its tombstone is looked
        # for first: as long as none is there, what is there stays.
        if not await run_in_threadpool(has, self.store, fact_key(owner, case_id, "erased")):
            again = {open_key(case_id): _json(opened), **parts, fact: _json(received)}
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
        with contextlib.suppress(Exception):
            for key in (
                fact_key(owner, case_id, "received"),
                *images,
                retention_key(received.consent, case_id),
                open_key(case_id),
            ):
                self.store.delete(key)

    def _claim(self, key: str, record: IdempotencyRecord) -> IdempotencyRecord:
        while not self._put(key, record):
            if claimed := self._get(key, IdempotencyRecord):
                return claimed  # else it went meanwhile, with the case that it was of
        return record

    def _failure(self, case_id: str, owner: str) -> Failed | None:
        """Return how the last attempt failed, unless a later one is open."""
        last, attempt = None, 1
        while failed := self._get(failed_key(owner, case_id, attempt), Failed):
            last, attempt = failed, attempt + 1
        marker = self._get(open_key(case_id), OpenCase) if last else None
        return None if marker and marker.attempt >= attempt else last

    def _get(self, key: str, kind: type[M]) -> M | None:
        try:
            return kind.model_validate_json(self.store.get(key))
        except BlobNotFound:
            return None
        except ValidationError:
            log.error("fact is broken", key=key)
            detail = (
                "what the store holds of this case can't be read; whoever runs the server finds in its log what; "
                "it can still be erased"
            )
            raise DermisError(Kind.INTERNAL, "FACT_BROKEN", detail) from None

    def _put(self, key: str, value: BaseModel) -> bool:
        """Put a value; False if one stands there, which says the same but for the time."""
        try:
            return self.store.put_once(key, _json(value))
        except BlobConflict:
            return False


def _json(value: BaseModel) -> bytes:
    return value.model_dump_json().encode()


def _check_id(case_id: str) -> None:
    if not is_id("case", case_id):
        raise _no_case(case_id)


def _erased(case_id: str) -> DermisError:
    return DermisError(Kind.NOT_FOUND, "CASE_ERASED", f"case {case_id} was erased")


def _no_case(case_id: str) -> DermisError:
    return DermisError(Kind.NOT_FOUND, "CASE_NOT_FOUND", f"there is no case {case_id[:64]!r}")
