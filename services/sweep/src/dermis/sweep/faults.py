"""Logs each broken object of the store once, and lets the sweep go on with the others."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from dermis.shared.errors import DermisError
from dermis.shared.telemetry import log


class Faults:
    """Remembers, while the sweep runs, which objects it has logged."""

    def __init__(self) -> None:
        self._logged: set[str] = set()
        self.count = 0

    @contextmanager
    def survived(self, key: str) -> Iterator[None]:
        """Go on after a fault of this one object."""
        try:
            yield
        except (DermisError, ValidationError) as error:
            self.count += 1
            if key not in self._logged:
                self._logged.add(key)
                reason = error.reason if isinstance(error, DermisError) else f"no {error.title}"
                log.error("object can't be dealt with; the others are", key=key, reason=reason)
        else:
            self._logged.discard(key)
