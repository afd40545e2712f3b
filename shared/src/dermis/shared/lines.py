"""Lines: the cases of one owner that wait for a worker, told in Redis, so that owners take turns.

A hint like all of Redis: without it nobody is held up, and what is lost of it counts as not waiting. A line is named by
an owner, or by the digest of an address for callers without a key.
"""

from typing import Any

WAITING_S = 600
"""After so long in a line a case is no longer counted: its message may be lost."""


def line_key(line: str) -> str:
    """Redis sorted set of the cases that wait, by the Unix time since when."""
    return f"dermis:line:{line}"


def join(pipe: Any, line: str, case_id: str, *, now: float) -> None:
    """Have a Redis pipeline put a case into a line; the last of its answers is the case's place, from 1."""
    key = line_key(line)
    pipe.zremrangebyscore(key, 0, now - WAITING_S)
    pipe.zadd(key, {case_id: now}, nx=True)
    pipe.expire(key, WAITING_S)
    pipe.zcard(key)


def look(pipe: Any, line: str) -> None:
    """Have a Redis pipeline tell how many cases wait in a line, and then the first with its time."""
    pipe.zcard(line_key(line))
    pipe.zrange(line_key(line), 0, 0, withscores=True)
