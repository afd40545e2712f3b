"""Computes how long to wait before the next try."""


def delay(tries: int, *, first: float, longest: float) -> float:
    """Return the wait after `tries` tries, in the unit of `first`.

    It is first, then twice that, and so on up to `longest`.
    """
    return min(first * 2.0 ** min(max(tries - 1, 0), 60), longest)
