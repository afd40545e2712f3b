"""The sweep, `python -m dermis.standalone.sweep`: sends open cases to the workers again and ends what is left of closed ones."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import takewhile
from typing import TypeVar

from pydantic import ValidationError

from dermis.shared.audit import AUDIT_PREFIX, Act, Audit
from dermis.shared.case import (
    CaseState,
    Consent,
    Erased,
    Fact,
    Failed,
    OpenCase,
    Outcome,
    Received,
    fact_key,
    failed_key,
)
from dermis.shared.erasing import RETAINED_BATCHES, RetentionMark, clear, erase, erase_batch, retention_prefix
from dermis.shared.errors import DermisError
from dermis.shared.ids import is_id
from dermis.shared.jobs import AssessJob
from dermis.shared.metrics import serve_metrics
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.settings import load
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs, log
from dermis.shared.tracing import configure_traces
from dermis.standalone import metrics
from dermis.standalone.batches import BatchSweep
from dermis.standalone.core.sweep import Action, Policy, Resent, decide, is_due, is_expired, is_over, most_resends
from dermis.standalone.queue import CeleryQueue, Queue
from dermis.standalone.settings import SweepSettings

F = TypeVar("F", bound=Fact)
_MOST_ENDED = 200
"""Cases that are erased in one look: the others wait for the next."""
_READERS = 8
"""Objects that are read at once: a store elsewhere takes milliseconds for each."""


class Sweep:
    """Looks at all open cases each time; remembers, while it runs, which it sent again."""

    def __init__(self, store: BlobStore, queue: Queue, policy: Policy, audit: Audit) -> None:
        self._store = store
        self._queue = queue
        self._policy = policy
        self._audit = audit
        self._resent: dict[str, Resent] = {}

    def look(self, now: datetime) -> Counter[Action]:
        """Look once, the oldest cases first, and return what was done; a fault of the store or broker is raised."""
        keys = list(self._store.list("open/"))
        metrics.open_cases.set(len(keys))
        still_open = set(keys)
        self._resent = {key: resent for key, resent in self._resent.items() if key in still_open}
        budget = self._budget(len(keys))
        done: Counter[Action] = Counter()
        with ThreadPoolExecutor(_READERS) as readers:
            for key, case in zip(keys, readers.map(lambda key: self._read(key, now), keys), strict=True):
                if case is None:
                    continue
                marker, state = case
                action = decide(marker, state, now=now, policy=self._policy)
                if action is Action.RESEND and budget <= done[Action.RESEND]:
                    action = Action.WAIT
                self._do(action, key, marker, now)
                done[action] += 1
        return done

    def clear_scratch(self, now: datetime) -> int:
        """Delete the images to judge at once that nobody took away in time; return how many."""
        expired = [
            key for key in self._store.list("scratch/") if is_expired(key.partition("/")[2], now=now, after=self._policy.scratch_for)
        ]
        for key in expired:
            self._store.delete(key)
        return len(expired)

    def end_retention(self, now: datetime) -> int:
        """Erase the cases and batches whose time is over, the oldest first, as many as a look should take; return how many."""
        ended = 0
        for consent in Consent:
            for key in self._store.list(retention_prefix(consent)):
                case_id = key.removeprefix(retention_prefix(consent))
                if not is_id("case", case_id):
                    continue  # not ours
                if ended == _MOST_ENDED or not is_over(case_id, consent, now=now, policy=self._policy):
                    break
                try:
                    self._end(key, case_id, now)
                except ValidationError as error:
                    log.error("case can't be ended", key=key, fact=error.title)
                else:
                    ended += 1
        for key in self._store.list(RETAINED_BATCHES):
            batch_id = key.removeprefix(RETAINED_BATCHES)
            if not is_id("batch", batch_id):
                continue
            if ended == _MOST_ENDED or not is_over(batch_id, Consent.ASSESS_ONLY, now=now, policy=self._policy):
                break
            erase_batch(self._store, batch_id, at=now)
            self._audit.note(Act.EXPIRE, by="sweep", batch_id=batch_id)
            ended += 1
        return ended

    def _end(self, key: str, case_id: str, now: datetime) -> None:
        try:
            owner = RetentionMark.model_validate_json(self._store.get(key)).owner
        except BlobNotFound:
            return  # erased meanwhile
        if has(self._store, fact_key(owner, case_id, "received")) or has(self._store, fact_key(owner, case_id, "erased")):
            erase(self._store, owner=owner, case_id=case_id, at=now)
            self._audit.note(Act.EXPIRE, by="sweep", case_id=case_id)
        else:
            clear(self._store, owner=owner, case_id=case_id)  # it was never wholly submitted

    def end_audit(self, now: datetime) -> int:
        """Delete the audit of days that need not be kept any more; return how many objects."""
        last = f"{AUDIT_PREFIX}{(now - self._policy.audit_for).date()}"
        over = [*takewhile(lambda key: key < last, self._store.list(AUDIT_PREFIX))]
        for key in over:
            self._store.delete(key)
        return len(over)

    def _budget(self, open_cases: int) -> int:
        if not open_cases:
            return 0
        try:
            return most_resends(open_cases=open_cases, waiting_jobs=self._queue.waiting())
        except DermisError as error:
            log.warning("no case is sent again", reason=error.reason, detail=error.detail)
            return 0

    def _read(self, key: str, now: datetime) -> tuple[OpenCase, CaseState] | None:
        """Return an open case, or None if there is nothing to decide about it now, or by this version of dermis."""
        try:
            marker = OpenCase.model_validate_json(self._store.get(key))
            due = is_due(marker, self._resent.get(key), now=now, policy=self._policy)
            return (marker, self._state(marker)) if due else None
        except BlobNotFound:
            return None  # closed meanwhile
        except ValidationError as error:
            log.error("case can't be read", key=key, fact=error.title)
            return None

    def _state(self, marker: OpenCase) -> CaseState:
        """Read what decides, the facts that close a case first."""
        owner, case_id = marker.owner, marker.case_id
        if erased := self._get(fact_key(owner, case_id, "erased"), Erased):
            return CaseState(erased=erased)
        if outcome := self._get(fact_key(owner, case_id, "outcome"), Outcome):
            return CaseState(outcome=outcome)
        if failed := self._get(failed_key(owner, case_id, marker.attempt), Failed):
            return CaseState(failed=failed)
        return CaseState(received=self._get(fact_key(owner, case_id, "received"), Received))

    def _get(self, key: str, model: type[F]) -> F | None:
        try:
            return model.model_validate_json(self._store.get(key))
        except BlobNotFound:
            return None

    def _do(self, action: Action, key: str, marker: OpenCase, now: datetime) -> None:
        match action:
            case Action.RESEND:
                self._queue.send(AssessJob(case_id=marker.case_id, owner=marker.owner, attempt=marker.attempt))
                known = self._resent.get(key)
                self._resent[key] = Resent(times=(known.times if known else 0) + 1, at=now)
            case Action.DISCARD:
                clear(self._store, owner=marker.owner, case_id=marker.case_id)
                self._store.delete(key)
            case Action.CLOSE:
                self._store.delete(key)
                if has(self._store, fact_key(marker.owner, marker.case_id, "erased")):
                    clear(self._store, owner=marker.owner, case_id=marker.case_id)  # who erased it just now counted on the marker
            case Action.WAIT:
                pass


def main() -> None:
    settings = load(SweepSettings, "SWEEP", os.environ)
    configure_logs(part="sweep", level=settings.log_level, form=settings.log_format)
    configure_traces(part="sweep", url=settings.traces_url)
    serve_metrics(settings.metrics_listen)
    store, queue = open_store(settings.store_url), CeleryQueue(settings.broker_url)
    audit = Audit(store, "sweep")
    sweep, batches = Sweep(store, queue, settings.policy, audit), BatchSweep(store, queue, settings.policy)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("sweeping", every_s=settings.interval_seconds)
    while True:
        if settings.alive_file:
            settings.alive_file.touch()
        try:
            begun, now = time.monotonic(), datetime.now(UTC)
            done = sweep.look(now) + batches.look(now)
            cleared = sweep.clear_scratch(now)
            ended = sweep.end_retention(now)
            sweep.end_audit(now)
            audit.flush()
        except DermisError as error:
            log.warning("sweep broken off", reason=error.reason, detail=error.detail)
        else:
            metrics.looked(seconds=time.monotonic() - begun, actions=done, scratch=cleared, ended=ended)
            if done or cleared or ended:
                log.info("swept", scratch=cleared, ended=ended, **{str(action).lower(): count for action, count in done.items()})
        if stop.wait(settings.interval_seconds):
            audit.flush()
            return


if __name__ == "__main__":
    try:
        main()
    except DermisError as error:
        sys.exit(f"sweep: {error.detail}")
