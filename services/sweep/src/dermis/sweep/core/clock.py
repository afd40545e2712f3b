"""Decides whether the sweep's clock can be trusted with erasing.

It is held against the store's clock and the time since the machine started.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

FAR = timedelta(minutes=10)
"""From the store's clock."""
JUMP = timedelta(hours=1)


class Reading(BaseModel):
    """The clocks at one moment: the sweep's, the store's, and the seconds that this start of the machine is old."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    store_at: datetime
    boot: str
    uptime_s: float


class Doubt(BaseModel):
    """`sweep/doubt.json`: why nothing is erased by its time.

    `until_confirmed`: the doubt does not end when the clock comes back.
    """

    model_config = ConfigDict(frozen=True)

    why: str
    until_confirmed: bool


def doubt_about(now: Reading, trusted: Reading | None) -> Doubt | None:
    """Return what speaks against the clock.

    It is None where the clock agrees with the store and with the reading that was `trusted` last.

    After the clock was set back, cases have ids of a time that is past: they would be over as soon as it comes back, so
    that somebody must look first.
    """
    allowed = trusted.at - trusted.store_at if trusted else timedelta(0)
    off = now.at - now.store_at
    if abs(off - allowed) > FAR and abs(off) > FAR:
        return Doubt(why=f"the sweep's clock is {_rounded(off)} off the store's", until_confirmed=False)
    if trusted is None:
        return None
    since = timedelta(seconds=now.uptime_s - trusted.uptime_s) if now.boot == trusted.boot else None
    jumped = (now.at - trusted.at) - since if since is not None else min(now.at - trusted.at, timedelta(0))
    if abs(jumped) > JUMP:
        way = "back" if jumped < timedelta(0) else "ahead"
        return Doubt(
            why=f"the clock jumped by {_rounded(abs(jumped))} {way} since {trusted.at:%Y-%m-%dT%H:%M:%SZ}",
            until_confirmed=way == "back",
        )
    return None


def _rounded(off: timedelta) -> timedelta:
    """Return it in whole minutes, so that the same doubt is told in the same words at each look."""
    return timedelta(minutes=round(off / timedelta(minutes=1)))
