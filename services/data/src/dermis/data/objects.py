"""Single files of the user's, by a path or by the URL of an object in a store."""

from pathlib import Path
from urllib.parse import unquote

from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import is_store_url, open_source


def read_object(place: str) -> bytes:
    """Return what a file, or an object such as gs://bucket/prefix/split.json, holds.

    NOT_FOUND if there is none.
    """
    try:
        if not is_store_url(place):
            return Path(place).read_bytes()
        url, mark, query = place.partition("?")
        folder, _, name = url.rpartition("/")
        return open_source(folder + mark + query).get(unquote(name))
    except OSError as error:
        raise DermisError(Kind.NOT_FOUND, "FILE", f"can't read {place!r} ({error.strerror})") from error
    except DermisError as error:
        if error.kind is Kind.NOT_FOUND:
            raise DermisError(Kind.NOT_FOUND, "FILE", f"there is nothing at {place!r}") from error
        raise
