"""Puts the sweep together: what is done in one look, each part of it whatever becomes of the others."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from dermis.shared.audit import Audit
from dermis.shared.batches import OPEN_BATCHES
from dermis.shared.errors import DermisError
from dermis.shared.ports import BlobStore
from dermis.shared.queue import Queue
from dermis.shared.telemetry import log
from dermis.sweep import metrics
from dermis.sweep.batches import BatchSweep
from dermis.sweep.checkpoints import CheckpointSweep
from dermis.sweep.clock import Clock
from dermis.sweep.core.clock import Doubt
from dermis.sweep.core.decide import CaseAction
from dermis.sweep.faults import Faults
from dermis.sweep.look import CaseSweep
from dermis.sweep.release import ReleaseSweep
from dermis.sweep.retention import RetentionSweep
from dermis.sweep.settings import SweepSettings
from dermis.sweep.waits import Waits
from dermis.sweep.webhooks import WebhookSweep


class Sweep:
    """All that is looked at; remembers between two looks."""

    def __init__(self, store: BlobStore, queue: Queue, settings: SweepSettings) -> None:
        policy, self._faults = settings.policy, Faults()
        self.audit = Audit(store, "sweep")
        self._store = store
        self._reserve_bytes = settings.reserve_bytes
        self._clock = Clock(store)
        self._waits = Waits()
        self._cases = CaseSweep(store, queue, policy, self._faults, self._waits)
        self._batches = BatchSweep(store, queue, policy, self._faults, self._waits)
        self._retention = RetentionSweep(store, policy, self.audit, self._faults)
        self._webhooks = WebhookSweep(store, queue, self._faults)
        self._checkpoints = CheckpointSweep(store, policy, self._faults)
        self._release = ReleaseSweep(store, timedelta(seconds=settings.canary_interval_seconds), self._faults)
        self._done: Counter[CaseAction] = Counter()
        self._scratch = self._uploads = self._ended = self._mended = 0

    def look(self, now: datetime | None = None) -> bool:
        """Look once; return whether every part of it came to its end."""
        begun, self._done, self._faults.count = time.monotonic(), Counter(), 0
        self._scratch = self._uploads = self._ended = self._mended = 0
        now = now or datetime.now(UTC)
        whole = self._each(self._steps(now))
        if whole:
            metrics.looked(
                seconds=time.monotonic() - begun,
                actions=self._done,
                scratch=self._scratch,
                uploads=self._uploads,
                ended=self._ended,
                faults=self._faults.count,
            )
        counts = {"scratch": self._scratch, "ended": self._ended, "mended": self._mended, "faults": self._faults.count}
        counts["uploads"] = self._uploads
        counts |= {str(action).lower(): count for action, count in self._done.items()}
        if any(counts.values()):
            log.info("swept", **counts)
        return whole

    def _steps(self, now: datetime) -> list[tuple[str, Callable[[], object]]]:
        doubt: Doubt | None = Doubt(why="the clocks can't be read", until_confirmed=False)
        store_now = now

        def read_clocks() -> None:
            nonlocal doubt, store_now
            store_now, doubt = self._clock.look(now)

        def end_retention() -> None:
            self._ended = self._retention.end_retention(now, in_doubt=doubt is not None)
            metrics.retention_overdue_seconds.set(self._retention.overdue(now).total_seconds())

        def end_by_the_clock() -> None:
            if doubt is None:
                self._scratch = self._retention.clear_scratch(store_now)
                self._uploads = self._retention.clear_uploads(store_now)
                self._webhooks.end(now)

        def mend_marks() -> None:
            self._mended = self._retention.mend_marks(store_now)
            self._retention.open_lost_records(store_now)

        return [
            ("clock", read_clocks),
            ("cases", lambda: self._done.update(self._cases.look(store_now, in_doubt=doubt is not None))),
            ("batches", lambda: self._done.update(self._batches.look(store_now, in_doubt=doubt is not None))),
            ("webhooks", lambda: self._webhooks.look(now)),
            ("waits", lambda: self._waits.show(store_now)),
            ("retention", end_retention),
            ("scratch", end_by_the_clock),
            ("marks", mend_marks),
            ("release", lambda: self._release.look(store_now)),
            ("store", lambda: self._store.tend(reserve_bytes=self._reserve_bytes, busy=self._busy())),
            ("audit", self.audit.flush),
            ("checkpoints", lambda: doubt is None and self._checkpoints.look(store_now)),
        ]

    def _each(self, steps: Iterable[tuple[str, Callable[[], object]]]) -> bool:
        whole = True
        for name, step in steps:
            try:
                step()
            except DermisError as error:
                log.warning("a part of the sweep broke off", part_of_it=name, reason=error.reason, detail=error.detail)
                whole = False
            except Exception:  # noqa: BLE001 - whatever it is, the other parts are done and the next look comes
                log.exception("a part of the sweep broke off", part_of_it=name)
                whole = False
        return whole

    def _busy(self) -> set[str]:
        return {key.rpartition("/")[2] for prefix in ("open/", OPEN_BATCHES) for key in self._store.list(prefix)}
