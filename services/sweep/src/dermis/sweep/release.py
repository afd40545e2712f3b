"""Ends a canary that fails or abstains too often, and clears the marks of canaries that are over."""

from datetime import datetime, timedelta
from itertools import groupby

from dermis.shared.bundles import read_current, unstage
from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from dermis.shared.manifest import Current
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.shared.promotions import PromotionAction, PromotionFact, RateRecord, put_promotion
from dermis.shared.releases import RELEASES, release_prefix, tally
from dermis.shared.telemetry import log
from dermis.sweep import metrics
from dermis.sweep.core.release import CanaryRate, rates
from dermis.sweep.faults import Faults


class ReleaseSweep:
    """Looks at the canary's marks, whose list grows with its cases; remembers when it did."""

    def __init__(self, store: BlobStore, every: timedelta, faults: Faults | None = None) -> None:
        self._every = every
        self._store = store
        self._faults = faults or Faults()
        self._looked: datetime | None = None

    def look(self, now: datetime) -> bool:
        """Look once if it is time; return whether a canary was ended."""
        if self._looked and timedelta(0) <= now - self._looked < self._every:
            return False
        self._looked = now
        try:
            pointer = read_current(self._store)
        except DermisError as error:
            if error.reason != "NO_CURRENT_MODEL":
                raise
            return False
        ended = self._judge(pointer, now)
        self._clear(keep=pointer.canary.promotion if pointer.canary and not ended else "")
        return ended

    def _judge(self, pointer: Current, now: datetime) -> bool:
        canary = pointer.canary
        if canary is None:
            return False
        measured = rates(tally(self._store.list(release_prefix(canary.promotion))))
        metrics.canary(f"{canary.ref.name}/{canary.ref.version}", measured)
        high = [rate for rate in measured if rate.too_high]
        if not high:
            return False
        record = PromotionFact(
            id=new_id("promotion"),
            at=now,
            action=PromotionAction.CANARY_ENDED,
            ref=canary.ref,
            over=pointer.current,
            measure="failures and abstentions",
            percent=canary.percent,
            rates=tuple(map(_recorded, measured)),
            reasons=tuple(map(_why, high)),
            by="sweep",
        )
        put_promotion(self._store, record, part="sweep")
        try:
            unstage(self._store, pointer.model_copy(update={"canary": None}), over=pointer)
        except BlobConflict:
            log.warning("canary not ended, as the pointer moved meanwhile", promotion=record.id)
            return False
        log.error("canary ended", model=f"{canary.ref.name}/{canary.ref.version}", promotion=record.id)
        metrics.canaries_ended.inc()
        return True

    def _clear(self, *, keep: str) -> None:
        """Delete the marks of canaries that are over; a worker may add one for seconds, which the next look deletes."""
        for promotion, keys in groupby(list(self._store.list(RELEASES)), key=lambda key: key.split("/")[1]):
            if promotion != keep:
                for key in keys:
                    with self._faults.survived(key):
                        self._store.delete(key)


def _recorded(rate: CanaryRate) -> RateRecord:
    return RateRecord(
        name=rate.name,
        canary=rate.canary,
        canary_n=rate.canary_n,
        current=rate.control,
        current_n=rate.control_n,
        interval=rate.interval,
        bound=rate.bound,
    )


def _why(rate: CanaryRate) -> str:
    return (
        f"{rate.name}: {rate.canary} of {rate.canary_n} cases of the canary, {rate.control} of {rate.control_n} of the "
        f"current version; at least {rate.interval[0]:.3f} more, over {rate.bound:g}"
    )
