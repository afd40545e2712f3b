"""The gateway's use-cases of cases, over the object store."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from starlette.concurrency import run_in_threadpool

from dermis.gateway.case_report import CaseReports
from dermis.gateway.convert import NewCase
from dermis.gateway.facts import erased_problem, get_fact, put_fact
from dermis.gateway.http import OTHER_CONDITION, Feedback, FeedbackKept
from dermis.gateway.hub import Hub
from dermis.gateway.problems import fault
from dermis.gateway.resumable import ResumableUploads
from dermis.gateway.shares import Shares
from dermis.gateway.submission import Retry, Submissions
from dermis.gateway.uploads import ImageUploads
from dermis.shared.case import (
    Assessed,
    CaseState,
    Erased,
    Failed,
    GivenFeedback,
    OpenCase,
    Outcome,
    Received,
    fact_key,
    failed_key,
    feedback_key,
    fold,
    heatmap_key,
    image_key,
    open_key,
)
from dermis.shared.erasing import erase
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_id
from dermis.shared.jobs import scratch_key
from dermis.shared.listing import ANY_CASE, Filter, Listed, Order, list_cases
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import DeliverJob

MOST_FEEDBACK = 10


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePipeline:
    """The use-cases of the gateway over the store."""

    store: BlobStore
    outbox: Outbox
    hub: Hub = field(default_factory=Hub)
    clock: Callable[[], datetime] = now
    count_feedback: Callable[[GivenFeedback, Outcome], None] = lambda *_: None

    async def submit(self, case: NewCase, *, owner: str, line: str = "", livemode: bool = True) -> Received:
        """Store a case and return its first fact; see `Submissions.submit`."""
        return await self._submissions.submit(case, owner=owner, line=line, livemode=livemode)

    async def submit_once(
        self, case: NewCase, retry: Retry, *, owner: str, line: str = "", livemode: bool = True
    ) -> tuple[Received, bool]:
        """Store a case unless `retry` did so before; see `Submissions.submit_once`."""
        return await self._submissions.submit_once(case, retry, owner=owner, line=line, livemode=livemode)

    async def submitted(self, retry: Retry, *, owner: str) -> Received | None:
        """Return the case that `retry` has stored before, if it stands."""
        return await self._submissions.submitted(retry, owner=owner)

    async def read(self, case_id: str, *, owner: str) -> CaseState:
        """Return what is known of a case; NOT_FOUND if there is none or it was erased."""
        _check_id(case_id)
        received, assessed, outcome, erased = await asyncio.gather(
            run_in_threadpool(get_fact, self.store, fact_key(owner, case_id, "received"), Received),
            run_in_threadpool(get_fact, self.store, fact_key(owner, case_id, "assessed"), Assessed),
            run_in_threadpool(get_fact, self.store, fact_key(owner, case_id, "outcome"), Outcome),
            run_in_threadpool(get_fact, self.store, fact_key(owner, case_id, "erased"), Erased),
        )
        if erased:
            raise erased_problem(case_id)
        if received is None:
            raise _no_case(case_id)
        failed = None if outcome else await run_in_threadpool(self._failure, case_id, owner)
        return fold((received, assessed, outcome, failed))

    async def follow(self, case_id: str, *, owner: str, seconds: float) -> AsyncGenerator[CaseState, None]:
        """Yield what is known of a case, again at each look, until it is closed or the time is over."""
        ends = asyncio.get_running_loop().time() + seconds
        with self.hub.listen(case_id) as event:
            while True:
                state = await self.hub.look(f"{owner}/{case_id}", partial(self.read, case_id, owner=owner))
                yield state
                left = ends - asyncio.get_running_loop().time()
                if state.closed or left <= 0 or self.hub.stopped:
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.hub.wait(event), left)

    def erase(self, case_id: str, *, owner: str) -> list[DeliverJob]:
        """Leave nothing of a case but its tombstone; return what its webhooks are to be told.

        NOT_FOUND if there never was such a case.

        The marker is put anew and left: what a running worker adds later, or what a crash leaves here, the sweep
        removes.
        """
        _check_id(case_id)
        if not any(has(self.store, fact_key(owner, case_id, name)) for name in ("erased", "received")):
            raise _no_case(case_id)
        return erase(self.store, owner=owner, case_id=case_id, at=self.clock())

    async def image(self, case_id: str, *, owner: str, n: int) -> bytes:
        """Return image `n` as it was prepared, a JPEG; NOT_FOUND as long as there is none, or if it can't be read."""
        await self.read(case_id, owner=owner)
        try:
            return await run_in_threadpool(self.store.get, image_key(owner, case_id, n, "prepared"))
        except BlobNotFound:
            detail = (
                f"case {case_id} has no prepared image {n}: it was not looked at yet, can't be decoded, or was never "
                "sent; ask again once the case is ASSESSED"
            )
            raise DermisError(Kind.NOT_FOUND, "NO_PREPARED_IMAGE", detail) from None

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

    async def report(self, case_id: str, *, owner: str, shows_reference: bool) -> bytes:
        """Return a closed case's report as FHIR; see `CaseReports.fhir`."""
        state = await self.read(case_id, owner=owner)
        if state.received is None:
            raise _no_case(case_id)
        make = CaseReports(store=self.store).fhir
        return await run_in_threadpool(make, state, state.received, shows_reference=shows_reference)

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
        fact = GivenFeedback(
            case_id=case_id,
            given_at=self.clock(),
            model=state.outcome.model,
            livemode=state.received.livemode,
            **feedback.model_dump(),
        )
        kept = await run_in_threadpool(self._keep_feedback, fact, owner)
        if kept is fact:  # else it was given before
            self.count_feedback(fact, state.outcome)
        return FeedbackKept(
            **feedback.model_dump(), case_id=case_id, given_at=kept.given_at, consent=state.received.consent
        )

    def _keep_feedback(self, fact: GivenFeedback, owner: str) -> GivenFeedback:
        for k in range(1, MOST_FEEDBACK + 1):
            key = feedback_key(owner, fact.case_id, k)
            standing = get_fact(self.store, key, GivenFeedback)
            if standing is None and put_fact(self.store, key, fact):
                if has(self.store, fact_key(owner, fact.case_id, "erased")):  # meanwhile: nothing may stay
                    self.store.delete(key)
                    raise erased_problem(fact.case_id)
                return fact
            standing = standing or get_fact(self.store, key, GivenFeedback)
            if standing and standing.model_copy(update={"given_at": fact.given_at}) == fact:
                return standing
        detail = f"feedback on case {fact.case_id} was given {MOST_FEEDBACK} times; no more is taken"
        raise DermisError(Kind.CONFLICT, "FEEDBACK_FULL", detail)

    def page(
        self, *, owner: str, after: str, size: int, order: Order = Order.OLDEST, wanted: Filter = ANY_CASE
    ) -> Sequence[Listed]:
        """Return up to `size` cases that `wanted` takes, in `order`, which follow the case `after` if one is given."""
        cases = list_cases(self.store, owner, now=self.clock(), after=after, order=order, wanted=wanted)
        return list(islice(cases, size))

    @contextlib.asynccontextmanager
    async def scratch(self, data: bytes) -> AsyncIterator[str]:
        """Keep an object for as long as the context lasts, and give its id; what a crash leaves goes after an hour."""
        scratch_id = new_id("scratch")
        await run_in_threadpool(self.store.put_once, scratch_key(scratch_id), data)
        try:
            yield scratch_id
        finally:
            await run_in_threadpool(self.store.delete, scratch_key(scratch_id))

    @property
    def uploads(self) -> ImageUploads:
        return ImageUploads(store=self.store, clock=self.clock)

    @property
    def resumable(self) -> ResumableUploads:
        return ResumableUploads(store=self.store, clock=self.clock)

    @property
    def shares(self) -> Shares:
        return Shares(store=self.store, clock=self.clock)

    @property
    def _submissions(self) -> Submissions:
        return Submissions(store=self.store, outbox=self.outbox, clock=self.clock)

    def _failure(self, case_id: str, owner: str) -> Failed | None:
        """Return how the last attempt failed, unless a later one is open."""
        last, attempt = None, 1
        while failed := get_fact(self.store, failed_key(owner, case_id, attempt), Failed):
            last, attempt = failed, attempt + 1
        marker = get_fact(self.store, open_key(case_id), OpenCase) if last else None
        return None if marker and marker.attempt >= attempt else last


def _check_id(case_id: str) -> None:
    if not is_id("case", case_id):
        raise _no_case(case_id)


def _no_case(case_id: str) -> DermisError:
    return DermisError(Kind.NOT_FOUND, "CASE_NOT_FOUND", f"there is no case {case_id[:64]!r}")
