"""Circuit breaker: a peer that is known to be away is not waited for (Nygard, Release It!, 2007)."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from pybreaker import STATE_CLOSED, CircuitBreaker, CircuitBreakerError, CircuitBreakerListener, CircuitMemoryStorage

from dermis.shared.errors import DermisError, Kind
from dermis.shared.rpc import error_of
from dermis.shared.telemetry import log

FAILURES = 5
PAUSE_SECONDS = 2.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Peer:
    """Calls to one other service; after five failures in a row none is made for two seconds, then one tries."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._breaker = CircuitBreaker(
            fail_max=FAILURES,
            reset_timeout=PAUSE_SECONDS,
            exclude=[lambda fault: isinstance(fault, grpc.Call) and fault.code() not in _AWAY],
            listeners=[_Log()],
            name=name,
            state_storage=_CircuitStorage(STATE_CLOSED),
            throw_new_error_on_trip=False,
        )

    def call(self, method: Any, request: Any, *, deadline_s: float) -> Any:
        """Return the method's response.

        `DermisError` as the peer's status says, UNAVAILABLE if the peer is not asked now.
        """
        try:
            return self._breaker.call(method, request, timeout=deadline_s)
        except CircuitBreakerError:
            detail = f"{self._name} did not answer {FAILURES} times in a row and is left alone for {PAUSE_SECONDS:g} s"
            raise DermisError(Kind.UNAVAILABLE, f"{self._name.upper()}_CIRCUIT_OPEN", detail) from None
        except grpc.RpcError as fault:
            raise error_of(fault, self._name) from fault


class _CircuitStorage(CircuitMemoryStorage):
    """Remembers by the monotonic clock since when the circuit is open.

    The other one may be set back, and would keep it open.
    """

    _since: float | None = None

    @property
    def opened_at(self) -> datetime | None:
        return None if self._since is None else datetime.now(UTC) - timedelta(seconds=time.monotonic() - self._since)

    @opened_at.setter
    def opened_at(self, _: datetime) -> None:
        self._since = time.monotonic()


class _Log(CircuitBreakerListener):
    def state_change(self, cb: Any, _old_state: Any, new_state: Any) -> None:
        log.warning("circuit breaker", peer=cb.name, state=new_state.name)
