"""Time in a system of c servers with a queue: Erlang's C with the correction of Allen and Cunneen (Probability, Statistics, and Queueing Theory, 1990)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """`service_s`: work a case; `fixed_s`: what does not queue; `spread`: (ca^2 + cs^2) / 2, 1 for M/M/c; `servers`: cores."""

    service_s: float
    fixed_s: float
    spread: float
    servers: int


def must_wait(*, load: float, servers: int) -> float:
    """Return Erlang's C, the chance that an arrival finds all servers busy; `load` in servers (rate times service time)."""
    if load >= servers:
        return 1.0
    blocked = 1.0
    for n in range(1, servers + 1):  # Erlang's B, by recursion
        blocked = load * blocked / (n + load * blocked)
    return servers * blocked / (servers - load * (1 - blocked))


def queue_s(*, rate: float, service_s: float, servers: int) -> float:
    """Return the mean wait of M/M/c, in seconds; infinity where more comes than can be served."""
    load = rate * service_s
    if load >= servers:
        return math.inf
    return must_wait(load=load, servers=servers) * service_s / (servers - load)


def time_in_system(fit: Fit, rate: float) -> float:
    return fit.fixed_s + fit.service_s + fit.spread * queue_s(rate=rate, service_s=fit.service_s, servers=fit.servers)


def fit(measured: Sequence[tuple[float, float]], *, service_s: float, servers: int) -> Fit:
    """Fit `fixed_s` and `spread` to (rate, mean seconds) by least squares.

    `fixed_s` may be negative: what a case needs of the cores is partly done at the same time.
    """
    waits = [queue_s(rate=rate, service_s=service_s, servers=servers) for rate, _ in measured]
    means = [mean for _, mean in measured]
    if not all(map(math.isfinite, waits)):
        raise ValueError("a measured rate is more than the servers can do; the service time is too long or the servers too few")
    x, y = sum(waits) / len(waits), sum(means) / len(means)
    spread = sum((w - x) * (m - y) for w, m in zip(waits, means, strict=True)) / sum((w - x) ** 2 for w in waits)
    return Fit(service_s=service_s, fixed_s=y - spread * x - service_s, spread=spread, servers=servers)


def needed(*, rate: float, service_s: float, busy: float) -> int:
    """Return the cores of which `busy` is used at `rate`."""
    return max(1, math.ceil(rate * service_s / busy))
