"""Does a shard of a profile of images: reads it from its source, measures it, and puts the result once."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import lru_cache

from pydantic import ValidationError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import ShardJob, ShardList, shard_failed_key, shard_list_key, shard_result_key
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.worker.core import shard
from dermis.worker.core.quality import Policy
from dermis.worker.core.skin import Gate
from dermis.worker.ports import AtRisk, Exceeded
from dermis.worker.row_by_row import RowByRow
from dermis.worker.strikes import Strikes


class Shards:
    """Use-cases of a process; the last profile's list is kept, as its shards come one after the other."""

    def __init__(
        self,
        strikes: Strikes,
        open_source: Callable[[str], BlobStore],
        *,
        load_gate: Callable[[], Gate] | None = None,
        guard: Callable[[Exceeded], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._strikes = strikes
        self._store = strikes.store
        self._guard = guard
        self._load_gate = load_gate
        self._opened = lru_cache(maxsize=1)(lambda profile_id: self._open(profile_id, open_source))

    def run(self, job: ShardJob, *, row_by_row: bool = False) -> int:
        """Measure a shard and return how many images it has; 0 if its result, or why there is none, stands already.

        `row_by_row`: a worker was lost in this shard; an image that takes further workers with it gets a fault. Of two
        workers on one shard the first one's result stands. `DermisError` if the store or the source can't be used.
        """
        key = shard_result_key(job.profile_id, job.shard)
        if has(self._store, key) or has(self._store, shard_failed_key(job.profile_id, job.shard)):
            return 0
        listed, source, policy, gate = self._opened(job.profile_id)
        keys = listed.shard(job.shard)
        careful = RowByRow(strikes=self._strikes, prefix=f"profiles/{job.profile_id}/rows/{job.shard}")

        def do(n: int, at_risk: AtRisk) -> bytes:
            try:
                data = source.get(keys[n])
            except BlobNotFound:
                return shard.as_lines([shard.missing(keys[n])])
            with at_risk(), self._guard(lambda: careful.keep(n, shard.as_lines([shard.costly(keys[n])]))):
                return shard.as_lines([shard.measure(keys[n], data, policy, gate)])

        numbers = range(len(keys))
        noted = row_by_row or careful.noted()
        lines = careful.run(numbers, do, lambda n: shard.as_lines([shard.worker_lost(keys[n])]), careful=noted)
        with suppress(BlobConflict):  # an image was replaced between the two readings
            self._store.put_once(key, b"".join(lines))
        if noted:
            careful.clear(*numbers)
        return len(keys)

    def _gate(self, listed: ShardList, key: str) -> Gate | None:
        """Return the gate that a profile names, None if it names none; INVALID if this worker has another one."""
        if not listed.skin_gate:
            return None
        gate = self._load_gate() if self._load_gate else None
        if gate is None or gate.id != listed.skin_gate:
            detail = f"{key}: skin_gate: this worker has another one: run workers and command of one version"
            raise DermisError(Kind.INVALID, "SHARD_LIST", detail)
        return gate

    def length(self, job: ShardJob) -> int:
        return len(self._opened(job.profile_id)[0].shard(job.shard))

    def fail(self, job: ShardJob, detail: str) -> None:
        """Note why a shard can't be measured, for who waits for it."""
        with suppress(BlobConflict):
            self._store.put_once(shard_failed_key(job.profile_id, job.shard), detail.encode())

    def count_redelivery(self, job: ShardJob) -> int:
        """Note that a shard was delivered again; return how often it was."""
        n = 1
        while not self._store.put_once(f"profiles/{job.profile_id}/redelivered/{job.shard}-{n}", b"{}"):
            n += 1
        return n

    def forgive_redelivery(self, job: ShardJob, n: int) -> None:
        """Take the note with number `n` back: the worker was not lost."""
        self._store.delete(f"profiles/{job.profile_id}/redelivered/{job.shard}-{n}")

    def _open(
        self, profile_id: str, open_source: Callable[[str], BlobStore]
    ) -> tuple[ShardList, BlobStore, Policy, Gate | None]:
        key = shard_list_key(profile_id)
        try:
            listed = ShardList.model_validate_json(self._store.get(key))
            policy = Policy.model_validate(listed.quality_policy)
            return listed, open_source(listed.source), policy, self._gate(listed, key)
        except ValidationError as error:
            raise DermisError(
                Kind.INVALID, "SHARD_LIST", f"{key}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
            ) from error
