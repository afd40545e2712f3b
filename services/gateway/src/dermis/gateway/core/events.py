"""The facts of a case as a stream of events, each numbered so that a client can go on where it broke off."""

from collections.abc import Iterator
from dataclasses import dataclass

from dermis.shared.case import CaseState, fold

RECEIVED, ASSESSED = 1, 2
OUTCOME = 1000
ERASED = 1001


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact's ordinal and name, and the case as it was known with it; failed attempt k has the ordinal 2 + k."""

    ordinal: int
    fact: str
    state: CaseState


def events_of(state: CaseState) -> Iterator[Event]:
    """Yield the events that led to `state`, in order."""
    before = (state.received, state.assessed)
    yield Event(ordinal=RECEIVED, fact="received", state=fold((state.received,)))
    if state.assessed:
        yield Event(ordinal=ASSESSED, fact="assessed", state=fold(before))
    if state.outcome:
        yield Event(ordinal=OUTCOME, fact="outcome", state=fold((*before, state.outcome)))
    elif state.failed:
        yield Event(ordinal=ASSESSED + state.failed.attempt, fact="failed", state=fold((*before, state.failed)))
