"""Work on many objects at once: a store elsewhere takes milliseconds for each."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
THREADS = 8
_AT_ONCE = 256


def each(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what `work` returns for each item, in order; no more than 256 are begun ahead."""
    rest = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while chunk := list(islice(rest, _AT_ONCE)):
            yield from pool.map(work, chunk)
