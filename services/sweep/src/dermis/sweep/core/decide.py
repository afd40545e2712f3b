"""Decides what to do about an open case, from its marker, its facts and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from typeid.errors import TypeIDException

from dermis.shared.backoff import delay
from dermis.shared.case import CaseState, Consent, OpenCase
from dermis.shared.ids import made_at


class CaseAction(StrEnum):
    WAIT = "WAIT"
    RESEND = "RESEND"
    CLOSE = "CLOSE"
    """The case is closed: delete the marker."""
    DISCARD = "DISCARD"
    """Nothing of the case may stay but a tombstone: delete what is left of it, then the marker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPolicy:
    """`resend_after`: a case that has been open for so long may have lost its job. `incomplete_after`: one without
    `received.json` for so long was never wholly submitted. Resends of one case are at most `longest_wait` apart. An
    image to judge at once is kept for `scratch_for` at most, a case for `keep_for`, or for `keep_for_improvement` if
    that was agreed to, the audit for `audit_for`; each `checkpoint_every` a checkpoint names what was added. While the
    clock is in doubt at most `erased_in_doubt` cases and batches are erased by their time.
    """

    resend_after: timedelta = timedelta(seconds=45)
    incomplete_after: timedelta = timedelta(minutes=10)
    longest_wait: timedelta = timedelta(minutes=1)
    scratch_for: timedelta = timedelta(hours=1)
    keep_for: timedelta = timedelta(days=30)
    keep_for_improvement: timedelta = timedelta(days=365)
    audit_for: timedelta = timedelta(days=365)
    checkpoint_every: timedelta = timedelta(hours=1)
    erased_in_doubt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    times: int
    at: datetime


def is_due(marker: OpenCase, resent: Resent | None, *, now: datetime, policy: SweepPolicy) -> bool:
    """Whether it is time to look at a case.

    That is `resend_after` after it was opened, then at growing distances up to `longest_wait`.

    A time that far ahead was taken before the clock was set back: it keeps no case waiting.
    """
    if resent is None:
        return abs(now - marker.opened_at) >= policy.resend_after
    wait = delay(resent.times, first=policy.resend_after.total_seconds(), longest=policy.longest_wait.total_seconds())
    return abs(now - resent.at) >= timedelta(seconds=wait)


def decide(
    marker: OpenCase, state: CaseState, *, now: datetime, policy: SweepPolicy, written_at: datetime | None = None
) -> CaseAction:
    """Decide about a case that is due.

    A failed attempt before the marker's own was replayed and doesn't close the case.

    `written_at` is when the marker was put by the store's clock, by which `now` is: a gateway whose clock lags is not
    taken for lost.

    An erased case keeps its marker for `resend_after` from then on: so long a worker may be at it, and be lost after a
    last put.
    """
    if state.erased:
        return CaseAction.DISCARD if abs(now - state.erased.erased_at) >= policy.resend_after else CaseAction.WAIT
    if state.outcome or (state.failed and state.failed.attempt >= marker.attempt):
        return CaseAction.CLOSE
    if state.received is None:
        opened_at = max(marker.opened_at, written_at or marker.opened_at)
        return CaseAction.DISCARD if now - opened_at >= policy.incomplete_after else CaseAction.WAIT
    return CaseAction.RESEND


def most_resends(*, open_cases: int, waiting_jobs: int) -> int:
    """Return how many jobs can be missing at most.

    Each open case has one, and those that wait in the queue are not lost.
    """
    return max(0, open_cases - waiting_jobs)


def is_expired(thing_id: str, *, now: datetime, after: timedelta) -> bool:
    """Whether a thing has been there for too long, by the time in its id.

    What has no such id, or one of far ahead, has no right to stay.
    """
    try:
        return abs(now - made_at(thing_id)) >= after
    except TypeIDException:
        return True


def is_over(since: datetime, consent: Consent, *, now: datetime, policy: SweepPolicy) -> bool:
    """Whether the time of what was taken in at `since` is over, by what its person agreed to.

    A retention of 0 has no end.
    """
    return over_by(since, consent, now=now, policy=policy) >= timedelta(0)


def over_by(since: datetime, consent: Consent, *, now: datetime, policy: SweepPolicy) -> timedelta:
    """Return how far what was taken in at `since` is past its time, less than zero before it."""
    keep = policy.keep_for if consent is Consent.ASSESS_ONLY else policy.keep_for_improvement
    return now - since - keep if keep else timedelta.min
