"""What is sent again, when, and what never is."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from dermis.client import ApiError
from tests.unit.client.conftest import CASE, Gateway

BUSY = {"reason": "BUSY", "detail": "too busy"}


def busy(status: int, seconds: str = "7") -> httpx.Response:
    return httpx.Response(status, headers={"Retry-After": seconds}, json=BUSY)


ACCEPTED = httpx.Response(202, json=CASE)
LOST = [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut")]
UNREACHED = [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow")]


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_gateway_is_asked_again_when_it_says_with_the_same_key(gateway: Gateway, status: int) -> None:
    gateway.call("submit", [b"jpeg"], replies=[busy(status), busy(status, "2"), ACCEPTED])
    assert gateway.slept == [7, 2]
    assert len({request.headers["Idempotency-Key"] for request in gateway.asked}) == 1
    assert len(set(gateway.bodies)) == 1
    assert b"jpeg" in gateway.bodies[-1]


def test_without_a_number_it_is_asked_after_a_second(gateway: Gateway) -> None:
    gateway.call("submit", [b"jpeg"], replies=[busy(503, "soon"), ACCEPTED])
    assert gateway.slept == [1]


def test_a_date_is_waited_for(gateway: Gateway) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True)
    gateway.call("submit", [b"jpeg"], replies=[busy(503, soon), busy(503, "Fri, 02 Jan 2026 03:04:05 GMT"), ACCEPTED])
    assert gateway.slept == [pytest.approx(9, abs=1.1), 0]


@pytest.mark.parametrize("status", [429, 503])
def test_it_is_asked_no_longer_than_the_timeout(gateway: Gateway, status: int) -> None:
    with pytest.raises(ApiError, match="too busy"):
        gateway.call("submit", [b"jpeg"], timeout=5, replies=[busy(status)])
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("fault", [*LOST, *UNREACHED])
def test_a_case_is_sent_again_with_its_key_when_the_connection_fails(gateway: Gateway, fault: Exception) -> None:
    gateway.call("submit", [b"jpeg"], idempotency_key="mine", replies=[fault, fault, ACCEPTED])
    assert [request.headers["Idempotency-Key"] for request in gateway.asked] == ["mine"] * 3
    assert gateway.slept == [0.2, 0.4]


@pytest.mark.parametrize(
    ("fault", "reason"), [(httpx.ConnectError("refused"), "NO_GATEWAY"), (httpx.ReadTimeout(""), "NO_ANSWER")]
)
def test_in_the_end_no_answer_is_a_clear_error(gateway: Gateway, fault: Exception, reason: str) -> None:
    with pytest.raises(ApiError, match="http://gateway") as caught:
        gateway.call("case", "case_1", replies=[fault])
    assert (caught.value.reason, caught.value.status) == (reason, None)
    assert len(gateway.asked) == 4


@pytest.mark.parametrize("reply", [*LOST, busy(503)])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("give_feedback", ("case_1",)),
        ("create_batch", ("file:///x",)),
        ("create_webhook", ("https://receiver.example/hook",)),
        ("rotate_webhook_secret", ("w",)),
        ("replay_delivery", ("w", "msg_1")),
    ],
)
def test_what_could_be_done_twice_is_not_sent_again(
    gateway: Gateway, name: str, arguments: tuple[str, ...], reply: httpx.Response | Exception
) -> None:
    with pytest.raises(ApiError):
        gateway.call(name, *arguments, replies=[reply])
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("reply", [*UNREACHED, busy(429)])
def test_it_is_sent_again_where_it_was_surely_not_done(gateway: Gateway, reply: httpx.Response | Exception) -> None:
    kept = {"case_id": "case_1", "given_at": "2026-01-02T03:04:05Z", "consent": "ASSESS_ONLY", "helpful": True}
    assert (
        gateway.call("give_feedback", "case_1", helpful=True, replies=[reply, httpx.Response(201, json=kept)]).helpful
        is True
    )


@pytest.mark.parametrize("reply", [*LOST, busy(503)])
def test_judging_an_image_keeps_nothing_so_it_is_sent_again(
    gateway: Gateway, reply: httpx.Response | Exception
) -> None:
    report = {"verdict": "USABLE", "reasons": [], "advice": [], "measures": None, "policy": "p"}
    assert gateway.call("check_image", b"jpeg", replies=[reply, httpx.Response(200, json=report)]).verdict == "USABLE"


@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500, 502, 504])
def test_any_other_problem_is_not_asked_again(gateway: Gateway, status: int) -> None:
    with pytest.raises(ApiError):
        gateway.call("submit", [b"jpeg"], replies=[httpx.Response(status, json=BUSY)])
    assert len(gateway.asked) == 1
