"""Remembers, between two looks, since when accepted cases wait for their outcome and erased things for their end."""

from collections.abc import Collection
from datetime import datetime

from dermis.shared.case import CaseState, OpenCase
from dermis.sweep import metrics


class Waits:
    """By the keys of their markers; what has no marker any more waits for nothing."""

    def __init__(self) -> None:
        self._open: dict[str, datetime] = {}
        self._erased: dict[str, datetime] = {}

    def note(self, key: str, marker: OpenCase, state: CaseState) -> None:
        """Note what was read of an open case: accepted and without an end, or erased."""
        if state.erased:
            self._open.pop(key, None)
            self._erased[key] = state.erased.erased_at
        elif state.received and not state.outcome and not (state.failed and state.failed.attempt >= marker.attempt):
            self._open[key] = marker.opened_at
        else:
            self._open.pop(key, None)

    def note_erased(self, key: str, at: datetime) -> None:
        self._erased[key] = at

    def cleared(self, key: str, now: datetime) -> None:
        """Note that nothing more can be left of what was erased."""
        if at := self._erased.pop(key, None):
            metrics.erased((now - at).total_seconds())

    def keep(self, prefix: str, keys: Collection[str]) -> None:
        """Forget what began with `prefix` and has no marker any more."""
        for waiting in (self._open, self._erased):
            for key in [key for key in waiting if key.startswith(prefix) and key not in keys]:
                del waiting[key]

    def show(self, now: datetime) -> None:
        for gauge, waiting in (
            (metrics.oldest_open_seconds, self._open),
            (metrics.erasure_overdue_seconds, self._erased),
        ):
            gauge.set(max((now - min(waiting.values())).total_seconds(), 0) if waiting else 0)
