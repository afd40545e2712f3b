"""Object stores by URL."""

import contextlib
import re
from pathlib import Path
from urllib.parse import unquote

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.keys import checked

URL_FORMS = "file:///folder, gs://bucket/prefix or gs://bucket/prefix?anonymous=true"
_FILE = re.compile(r"file://(?:localhost)?(/+[^/?#][^?#]*)")
_GS = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/([^?#]*))?(\?anonymous=true)?")


def is_store_url(url: str) -> bool:
    return bool(_FILE.fullmatch(url) or _GS.fullmatch(url))


def open_source(url: str) -> BlobStore:
    """Open a store that others fill, to read from: symbolic links in a folder are not followed.

    INVALID as for `open_store`.
    """
    if match := _FILE.fullmatch(url):
        return DiskStore(_folder(match[1], url), links=False)
    return open_store(url)


def overlap(one: str, other: str) -> bool:
    """Return whether two stores share objects, as one is the other or lies in it; of folders as links lead to them."""
    places = [_place(url) for url in (one, other)]
    shorter = min(map(len, places))
    return places[0][:shorter] == places[1][:shorter]


def _place(url: str) -> tuple[str, ...]:
    if match := _FILE.fullmatch(url):
        return ("file", *Path(unquote(match[1])).resolve().parts)
    return ("gs", *url.removeprefix("gs://").partition("?")[0].strip("/").split("/"))


def open_store(url: str) -> BlobStore:
    """Open the store at `file:///folder`, `gs://bucket` or `gs://bucket/prefix`; INVALID for another URL, or a file's.

    `?anonymous=true` is for a public bucket: no credentials are looked for. A gs:// store connects on first use.
    """
    if match := _FILE.fullmatch(url):
        return DiskStore(_folder(match[1], url))
    if match := _GS.fullmatch(url):
        from dermis.shared.stores.gcs import GcsStore  # here, as file:// should not pay a second of imports

        prefix = unquote(match[2] or "").strip("/")
        return GcsStore(match[1], prefix=prefix and checked(prefix), anonymous=bool(match[3]))
    raise DermisError(Kind.INVALID, "STORE_URL", f"store URL {url!r} is not understood; use {URL_FORMS}")


def _folder(path: str, url: str) -> Path:
    """Return the folder of a file:// URL's path, which may not be there yet."""
    folder = Path(unquote(path))
    with contextlib.suppress(OSError):  # what can't be looked at, the first use tells better
        if file := next((place for place in (folder, *folder.parents) if place.is_file()), None):
            raise DermisError(Kind.INVALID, "STORE_URL", f"store URL {url!r}: {file} is a file; name a folder")
    return folder
