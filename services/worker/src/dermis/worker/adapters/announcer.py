"""Wake-ups and replies over Redis."""

import redis

from dermis.shared.jobs import REPLY_SECONDS, reply_key, wakeup_channel
from dermis.shared.telemetry import log


class RedisAnnouncer:
    """Announcer port; without Redis a waiter polls or gives up, so a failure is only logged."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def announce(self, case_id: str, fact: str) -> None:
        try:
            self._client.publish(wakeup_channel(case_id), fact)
        except redis.RedisError as fault:
            log.warning("wake-up lost", case_id=case_id, fact=fact, fault=type(fault).__name__)

    def reply(self, scratch_id: str, report: bytes) -> None:
        key = reply_key(scratch_id)
        try:
            with self._client.pipeline() as pipe:
                pipe.lpush(key, report)
                pipe.expire(key, REPLY_SECONDS)
                pipe.execute()
        except redis.RedisError as fault:
            log.warning("reply lost", scratch_id=scratch_id, fault=type(fault).__name__)
