"""Ends what may not be kept any longer: cases and batches whose time is over, images to judge at once, the audit."""

from datetime import datetime
from itertools import takewhile

from pydantic import ValidationError

from dermis.shared.audit import AUDIT_PREFIX, Act, Audit
from dermis.shared.case import Consent, fact_key
from dermis.shared.erasing import RETAINED_BATCHES, RetentionMark, clear, erase, erase_batch, retention_prefix
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.telemetry import log
from dermis.sweep.core.decide import Policy, is_expired, is_over

_MOST_ENDED = 200
"""Cases that are erased in one look: the others wait for the next."""


class Retention:
    """Erases what is due, by the ids' times and the policy."""

    def __init__(self, store: BlobStore, policy: Policy, audit: Audit) -> None:
        self._store = store
        self._policy = policy
        self._audit = audit

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
