"""The skin gate that comes with the worker, so that tables and evaluations refuse what serving refuses."""

from functools import cache
from importlib.resources import files

from dermis.worker.core.skin import Gate, read_gate


@cache
def load_gate() -> Gate:
    """Return the worker's skin gate, one per process."""
    return read_gate(files("dermis.worker"))
