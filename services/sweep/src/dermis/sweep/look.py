"""The sweep's look at open cases: sends them to the workers again and ends what is left of closed ones."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from dermis.shared.case import (
    CaseState,
    Erased,
    Fact,
    Failed,
    OpenCase,
    Outcome,
    Received,
    fact_key,
    failed_key,
    fold,
)
from dermis.shared.closing import close_attempt
from dermis.shared.erasing import clear, delete_record
from dermis.shared.errors import DermisError
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.shared.queue import Queue
from dermis.shared.telemetry import log
from dermis.sweep import metrics
from dermis.sweep.core.decide import CaseAction, Resent, SweepPolicy, decide, is_due, most_resends
from dermis.sweep.faults import Faults
from dermis.sweep.waits import Waits

F = TypeVar("F", bound=Fact)
_READERS = 8
"""Objects that are read at once: a store elsewhere takes milliseconds for each."""


class CaseSweep:
    """Looks at all open cases each time; remembers, while it runs, which it sent again."""

    def __init__(
        self,
        store: BlobStore,
        queue: Queue,
        policy: SweepPolicy,
        faults: Faults | None = None,
        waits: Waits | None = None,
    ) -> None:
        self.waits = waits or Waits()
        self._store = store
        self._queue = queue
        self._policy = policy
        self._faults = faults or Faults()
        self._resent: dict[str, Resent] = {}

    def look(self, now: datetime, *, in_doubt: bool = False) -> Counter[CaseAction]:
        """Look once, the oldest cases first, and return what was done; `now` is the time by the store.

        Nothing is discarded while the clock is `in_doubt`. A fault of one object, or of the broker for one job, is
        survived.
        """
        keys = list(self._store.list("open/"))
        metrics.open_cases.set(len(keys))
        still_open = set(keys)
        self.waits.keep("open/", still_open)
        self._resent = {key: resent for key, resent in self._resent.items() if key in still_open}
        budget = self._budget(len(keys))
        done: Counter[CaseAction] = Counter()
        with ThreadPoolExecutor(_READERS) as readers:
            for key, case in zip(keys, readers.map(lambda key: self._read(key, now), keys), strict=True):
                if case is None:
                    continue
                marker, state, written_at = case
                action = decide(marker, state, now=now, policy=self._policy, written_at=written_at)
                if (action is CaseAction.RESEND and budget <= done[CaseAction.RESEND]) or (
                    action is CaseAction.DISCARD and in_doubt and state.erased is None
                ):
                    action = CaseAction.WAIT
                self.waits.note(key, marker, state)
                with self._faults.survived(key):
                    done[self._do(action, key, marker, state, now)] += 1
        return done

    def _budget(self, open_cases: int) -> int:
        if not open_cases:
            return 0
        try:
            return most_resends(open_cases=open_cases, waiting_jobs=self._queue.waiting())
        except DermisError as error:
            log.warning("no case is sent again", reason=error.reason, detail=error.detail)
            return 0

    def _read(self, key: str, now: datetime) -> tuple[OpenCase, CaseState, datetime] | None:
        """Return an open case and when its marker was put.

        None if there is nothing to decide about it now, or by this version of dermis.
        """
        with self._faults.survived(key), suppress(BlobNotFound):  # closed meanwhile
            marker = OpenCase.model_validate_json(self._store.get(key))
            if is_due(marker, self._resent.get(key), now=now, policy=self._policy):
                return marker, self._state(marker), self._store.written_at(key)
        return None

    def _state(self, marker: OpenCase) -> CaseState:
        """Read what decides, the facts that close a case first."""
        owner, case_id = marker.owner, marker.case_id
        if erased := self._get(fact_key(owner, case_id, "erased"), Erased):
            return fold((erased,))
        if outcome := self._get(fact_key(owner, case_id, "outcome"), Outcome):
            return fold((outcome,))
        if failed := self._get(failed_key(owner, case_id, marker.attempt), Failed):
            return fold((failed,))
        return fold((self._get(fact_key(owner, case_id, "received"), Received),))

    def _get(self, key: str, model: type[F]) -> F | None:
        try:
            return model.model_validate_json(self._store.get(key))
        except BlobNotFound:
            return None

    def _do(self, action: CaseAction, key: str, marker: OpenCase, state: CaseState, now: datetime) -> CaseAction:
        """Do it and return what was done."""
        match action:
            case CaseAction.RESEND:
                job = AssessJob(case_id=marker.case_id, owner=marker.owner, attempt=marker.attempt, line=marker.line)
                self._queue.send(job)
                resent = self._resent.get(key)
                self._resent[key] = Resent(times=(resent.times if resent else 0) + 1, at=now)
            case CaseAction.DISCARD if state.erased is None:
                return self._take_back(key, marker, now)
            case CaseAction.DISCARD:
                self._clear(marker)
                self._store.delete(key)
                self.waits.cleared(key, now)
            case CaseAction.CLOSE:
                if state.outcome:
                    self._store.delete(key)
                else:
                    close_attempt(self._store, case_id=marker.case_id, attempt=marker.attempt)
                if has(self._store, fact_key(marker.owner, marker.case_id, "erased")):
                    clear(
                        self._store, owner=marker.owner, case_id=marker.case_id
                    )  # who erased it just now counted on the marker
            case CaseAction.WAIT:
                pass
        return action

    def _take_back(self, key: str, marker: OpenCase, now: datetime) -> CaseAction:
        """Remove a case that was never wholly submitted, unless it is submitted at this moment.

        Its gateway was slow then, and is not lost.

        The gateway looks for a tombstone after it has put `received.json`, and here that fact is looked for after the
        tombstone was put: of the two one sees the other, so that no case is both accepted and removed.
        """
        owner, case_id = marker.owner, marker.case_id
        tombstone = fact_key(owner, case_id, "erased")
        with suppress(BlobConflict):
            self._store.put_once(
                tombstone, Erased(case_id=case_id, erased_at=now).model_dump_json().encode(), reserved=True
            )
        if has(self._store, fact_key(owner, case_id, "received")):
            self._store.delete(tombstone)
            return CaseAction.WAIT
        self._clear(marker)
        self._store.delete(key)
        self._store.delete(tombstone)
        return CaseAction.DISCARD

    def _clear(self, marker: OpenCase) -> None:
        if marker.record:
            delete_record(self._store, marker.record, case_id=marker.case_id)
        if marker.reference:
            self._store.delete(marker.reference)
        clear(self._store, owner=marker.owner, case_id=marker.case_id)
