"""The sweep's metrics, for Prometheus."""

from collections.abc import Iterable, Mapping

from prometheus_client import Counter, Gauge, Histogram

from dermis.sweep.core.decide import CaseAction
from dermis.sweep.core.release import CanaryRate

open_cases = Gauge("dermis_sweep_open_cases", "markers of cases that are not closed")
in_doubt = Gauge("dermis_sweep_clock_in_doubt", "1 while nothing is erased by its time, as the clock is in doubt")
webhooks_behind = Gauge(
    "dermis_sweep_webhooks_behind_seconds", "by how much the delivery to a webhook that is most overdue is so"
)
_last_look = Gauge("dermis_sweep_last_look_timestamp_seconds", "when the last look ended without a fault")
_look_seconds = Histogram(
    "dermis_sweep_look_seconds", "time of a look", buckets=(0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300)
)
_actions = Counter("dermis_sweep_actions", "what was done about open cases", ("action",))
_scratch = Counter("dermis_sweep_scratch", "images to judge at once that nobody took away")
_uploads = Counter("dermis_sweep_uploads", "objects of uploads whose hour was over")
_faults = Counter("dermis_sweep_faults", "objects that could not be dealt with in a look")
_ended = Counter("dermis_sweep_ended_cases", "cases erased as their time was over")

canaries_ended = Counter("dermis_sweep_canaries_ended", "canaries that failed or abstained too often")
_canary = Gauge("dermis_sweep_canary_share", "share of a canary's cases", ("version", "answer"))


def canary(version: str, rates: Iterable[CanaryRate]) -> None:
    """Show how often a canary fails and abstains."""
    for rate in rates:
        _canary.labels(version, rate.name).set(rate.canary / rate.canary_n if rate.canary_n else 0)


oldest_open_seconds = Gauge(
    "dermis_sweep_oldest_open_seconds", "how long the oldest accepted case has been open, 0 where none is due"
)
erasure_overdue_seconds = Gauge(
    "dermis_sweep_erasure_overdue_seconds",
    "how long ago the oldest of the cases was erased of which something may be left, 0 where none is due",
)
retention_overdue_seconds = Gauge(
    "dermis_sweep_retention_overdue_seconds",
    "how far the oldest case or batch is past its time, after what a look erased; 0 where none is",
)
lost_cases = Counter("dermis_sweep_lost_cases", "accepted cases without marker and outcome, which were opened again")
_erasures = Histogram(
    "dermis_sweep_erasure_seconds",
    "time from a case's erasure to when nothing more of it can be left",
    buckets=(60, 120, 300, 900, 3600, 86400),
)


def erased(seconds: float) -> None:
    _erasures.observe(seconds)


def looked(
    *, seconds: float, actions: Mapping[CaseAction, int], scratch: int, uploads: int, ended: int, faults: int
) -> None:
    """Count a look that ended without a fault."""
    _last_look.set_to_current_time()
    _look_seconds.observe(seconds)
    _scratch.inc(scratch)
    _uploads.inc(uploads)
    _ended.inc(ended)
    _faults.inc(faults)
    for action, count in actions.items():
        _actions.labels(action.value.lower()).inc(count)
