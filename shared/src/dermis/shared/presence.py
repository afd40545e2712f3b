"""Which parts are there: each shows its version in Redis for as long as it works, so that an operator sees all of them.

A hint, as all in Redis: without Redis nobody is seen, and nothing else comes of it.
"""

import os
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version

import redis

PREFIX = "dermis:parts:"
LASTS_S = 45
"""Seconds after which a part that shows nothing more is gone."""
_WAIT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A process of a part: where it runs and the version of its code."""

    part: str
    place: str
    version: str


class Presence:
    """Shows this process as one of `part`."""

    def __init__(self, broker_url: str, part: str, *, lasts_s: float = LASTS_S) -> None:
        self._redis = redis.Redis.from_url(broker_url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S)
        self._key = f"{PREFIX}{part}:{socket.gethostname()}:{os.getpid()}"
        self._lasts_s = max(1, round(lasts_s))

    def show(self) -> None:
        with suppress(redis.RedisError):
            self._redis.set(self._key, version("dermis"), ex=self._lasts_s)

    def keep_shown(self) -> None:
        """Show it from a thread until the process ends."""
        over = threading.Event()

        def keep() -> None:
            self.show()
            while not over.wait(self._lasts_s / 3):
                self.show()

        threading.Thread(target=keep, name="presence", daemon=True).start()


def presence_pattern(part: str = "") -> str:
    """Return the pattern of Redis keys under which processes show themselves, of one part if it is named."""
    return f"{PREFIX}{part}:*" if part else f"{PREFIX}*"


def read_presence(client: "redis.Redis") -> list[Present]:
    """Return all processes that show themselves, by part and place; RedisError if Redis can't be asked."""
    keys = sorted(client.scan_iter(match=presence_pattern(), count=1000))
    values = client.mget(keys) if keys else []
    return [_present(_text(key), _text(value)) for key, value in zip(keys, values, strict=True) if value]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _present(key: str, of_version: str) -> Present:
    part, _, place = key.removeprefix(PREFIX).partition(":")
    return Present(part=part, place=place, version=of_version)
