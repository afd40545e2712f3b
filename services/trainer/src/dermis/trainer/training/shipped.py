"""Bundles that ship with dermis: built by their configs, and compared with what is committed."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from dermis.shared.bundles import publish
from dermis.shared.stores.memory import MemoryStore
from dermis.trainer.model.bundle import differences, read_metrics
from dermis.trainer.model.export import signature


def check_shipped(folder: Path, build: Callable[[Path], None]) -> list[str]:
    """Rebuild the bundle elsewhere and return in what the one in `folder` differs from it; its digests are checked."""
    publish(MemoryStore(), folder)
    with tempfile.TemporaryDirectory() as scratch:
        rebuilt = Path(scratch, "bundle")
        build(rebuilt)
        print(f"committed {read_metrics(folder)}\nrebuilt   {read_metrics(rebuilt)}")
        differing = differences(folder, rebuilt)
        if signature(folder) != signature(rebuilt):
            differing.append(f"signature: {signature(folder)} against {signature(rebuilt)}")
    return differing
