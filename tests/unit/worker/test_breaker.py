"""A peer that is away is left alone, and asked again soon."""

from datetime import datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

import grpc
import pybreaker
import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.worker.adapters import breaker
from dermis.worker.adapters.breaker import FAILURES, PAUSE_SECONDS, Peer


class Fault(grpc.RpcError, grpc.Call):
    """What a stub raises, as far as it is looked at."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "a sentence"

    def _unused(self, *_: Any) -> Any:
        raise NotImplementedError

    initial_metadata = trailing_metadata = is_active = time_remaining = cancel = add_callback = _unused  # type: ignore[assignment]


Fault.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


class Method:
    def __init__(self, code: grpc.StatusCode | None) -> None:
        self.code = code
        self.calls = 0

    def __call__(self, request: str, *, timeout: float) -> str:
        self.calls += 1
        if self.code:
            raise Fault(self.code)
        return f"{request} in {timeout}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The breaker's clock, which stands still but for what a test adds to `now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(breaker, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def reason_of(peer: Peer, method: Method) -> str:
    with pytest.raises(DermisError) as fault:
        peer.call(method, "r", deadline_s=1)
    assert fault.value.retryable == (fault.value.kind in (Kind.UNAVAILABLE, Kind.DEADLINE))
    return fault.value.reason


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_after_five_failures_it_is_not_asked_and_after_a_pause_it_is(
    clock: SimpleNamespace, code: grpc.StatusCode
) -> None:
    peer, method = Peer("serving"), Method(code)
    assert {reason_of(peer, method) for _ in range(FAILURES)} == {f"SERVING_{code.name}"}
    assert reason_of(peer, method) == "SERVING_CIRCUIT_OPEN"
    clock.now += PAUSE_SECONDS - 0.1
    assert reason_of(peer, method) == "SERVING_CIRCUIT_OPEN"
    assert method.calls == FAILURES
    method.code = None
    clock.now += 0.2
    assert peer.call(method, "r", deadline_s=1) == "r in 1"
    assert method.calls == FAILURES + 1
    assert peer.call(method, "r", deadline_s=1)


def test_an_answer_that_is_an_error_is_an_answer() -> None:
    peer, method = Peer("metadata"), Method(grpc.StatusCode.INVALID_ARGUMENT)
    assert {reason_of(peer, method) for _ in range(3 * FAILURES)} == {"METADATA_INVALID_ARGUMENT"}
    assert method.calls == 3 * FAILURES


def test_a_success_begins_the_count_anew() -> None:
    peer, method = Peer("metadata"), Method(None)
    for code in [*[grpc.StatusCode.UNAVAILABLE] * (FAILURES - 1), None] * 3:
        method.code = code
        if code:
            reason_of(peer, method)
        else:
            peer.call(method, "r", deadline_s=1)
    assert method.calls == 3 * FAILURES


def test_a_clock_that_is_set_back_keeps_no_circuit_open(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        behind = timedelta()

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return super().now(tz) - cls.behind

    for module in (pybreaker, breaker):
        monkeypatch.setattr(module, "datetime", Clock)
    peer, method = Peer("serving"), Method(grpc.StatusCode.UNAVAILABLE)
    for _ in range(FAILURES):
        reason_of(peer, method)
    method.code = None
    Clock.behind = timedelta(hours=1)
    clock.now += PAUSE_SECONDS + 0.1
    assert peer.call(method, "r", deadline_s=1) == "r in 1"
