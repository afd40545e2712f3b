"""Object stores by URL."""

from pathlib import Path
from urllib.parse import urlsplit

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import DiskStore


def open_store(url: str) -> BlobStore:
    """Open the store at `file:///folder` or `gs://bucket/prefix`; any other URL is an error that says so."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path not in ("", "/"):
        return DiskStore(Path(parts.path))
    raise DermisError(Kind.INVALID, "STORE_URL", f"store URL {url!r} is not understood; use file:///folder")
