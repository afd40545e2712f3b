"""What is wrong with single objects of the store: told once each, and no reason to stop."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from dermis.shared.errors import DermisError
from dermis.shared.telemetry import log


class Faults:
    """Remembers, while the sweep runs, of which objects it told."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self.count = 0

    @contextmanager
    def survived(self, key: str) -> Iterator[None]:
        """Go on after a fault of this one object."""
        try:
            yield
        except (DermisError, ValidationError) as error:
            self.count += 1
            if key not in self._told:
                self._told.add(key)
                reason = error.reason if isinstance(error, DermisError) else f"no {error.title}"
                log.error("object can't be dealt with; the others are", key=key, reason=reason)
        else:
            self._told.discard(key)
