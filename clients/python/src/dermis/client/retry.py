"""Whether a request may be sent again, and when."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

FIRST_WAIT_S = 0.2
MOST_ATTEMPTS = 4
"""How often a request is sent at most where the connection fails: about 1.4 s of waiting in all."""
LONGEST_WAIT_S = 30.0
_BUSY = {429, 503}


def wait_before(attempt: int) -> float:
    """Return the seconds to wait before attempt number `attempt` (2, 3, ...) after a connection that failed."""
    return FIRST_WAIT_S * 2.0 ** (attempt - 2)


def retry_after(response: httpx.Response, otherwise: float) -> float:
    """Return the seconds that `Retry-After` asks for, a number or a date, at most 30; `otherwise` where it is none."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return min(float(text), LONGEST_WAIT_S)
    try:
        seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return otherwise
    return min(max(0.0, seconds), LONGEST_WAIT_S)


def is_busy(request: httpx.Request, response: httpx.Response) -> bool:
    """Return whether the answer asks for the same request again later.

    A 503 may come after a write, a 429 never does.
    """
    return response.status_code in _BUSY and (response.status_code == 429 or is_repeatable(request))


def is_lost(request: httpx.Request, fault: httpx.RequestError) -> bool:
    """Return whether a request whose connection failed may be sent again.

    It may where it was never sent, or sending it twice does no harm.
    """
    return isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout) or (
        isinstance(fault, httpx.TimeoutException | httpx.NetworkError | httpx.RemoteProtocolError)
        and is_repeatable(request)
    )


def is_repeatable(request: httpx.Request) -> bool:
    """Return whether sending a request twice does what sending it once does.

    An upload that is begun twice leaves one that ends by itself, and a piece of one is not taken twice.
    """
    return (
        request.method != "POST"
        or not request.headers.keys().isdisjoint({"idempotency-key", "tus-resumable"})
        or request.url.path.endswith(":assess")
    )
