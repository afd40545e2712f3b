"""Time in a system of c servers with a queue.

Erlang's C with the correction of Allen and Cunneen (Probability, Statistics, and Queueing Theory, 1990).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a case takes of `servers` cores.

    `service_s`: work a case; `idle_s`: work a second that the parts do anyway, shared by the cases of that second;
    `fixed_s`: what does not queue; `spread`: (ca^2 + cs^2) / 2, 1 for M/M/c.
    """

    service_s: float
    idle_s: float = 0.0
    fixed_s: float
    spread: float
    servers: int

    def work_s(self, rate: float) -> float:
        return self.service_s + self.idle_s / rate


def must_wait(*, load: float, servers: int) -> float:
    """Return Erlang's C, the chance that an arrival finds all servers busy; `load`: rate times service time."""
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
    work = fit.work_s(rate)
    return fit.fixed_s + work + fit.spread * queue_s(rate=rate, service_s=work, servers=fit.servers)


def fit(measured: Sequence[tuple[float, float, float]], *, servers: int) -> Fit:
    """Fit to (rate, work of a case, mean time), in seconds, by least squares: first the work, then what is beside it.

    `fixed_s` may be negative: what a case needs of the cores is partly done at the same time.
    """
    waits = [queue_s(rate=rate, service_s=work, servers=servers) for rate, work, _ in measured]
    if not all(map(math.isfinite, waits)):
        raise ValueError(
            "a measured rate is more than the servers can do; the service time is too long or the servers too few"
        )
    idle, service = linear_regression([1 / rate for rate, _, _ in measured], [work for _, work, _ in measured])
    spread, fixed = linear_regression(waits, [mean - work for _, work, mean in measured])
    return Fit(service_s=service, idle_s=idle, fixed_s=fixed, spread=spread, servers=servers)


def needed(*, rate: float, service_s: float, busy: float) -> int:
    """Return the cores of which `busy` is used at `rate`."""
    return max(1, math.ceil(rate * service_s / busy))
