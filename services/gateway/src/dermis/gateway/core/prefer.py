"""The Prefer header (RFC 7240)."""

import re

_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?\s*(?=$|[,;])', re.IGNORECASE)


def wait_seconds(prefer: str | None, *, most: float) -> float:
    """Return for how long the client would wait, at most `most`; 0 if it doesn't say."""
    match = _WAIT.search(prefer or "")
    return min(float(match[1]), most) if match else 0.0
