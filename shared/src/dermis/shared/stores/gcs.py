"""BlobStore on Google Cloud Storage: a put carries the generation it expects, so the bucket itself decides who wins."""

import contextlib
import hashlib
import os
import secrets
import weakref
from base64 import b64encode
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import cast

import requests
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY
from requests.adapters import HTTPAdapter

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, Room, Versioned
from dermis.shared.stores.keys import check_range, checked

CONNECTIONS = 64
LARGE = 8 * 1024 * 1024
"""Above this the library sends in pieces, and a bucket may judge the expected generation only after the last."""
TIMEOUT_S = (5.0, 20.0)
"""To connect, and between two reads."""
_TRIES = 10
_PERMISSION = (api.Forbidden, api.Unauthorized, auth.DefaultCredentialsError, auth.RefreshError)
_PASSING = (
    api.TooManyRequests,
    api.ServerError,
    api.RetryError,
    requests.RequestException,
    ConnectionError,
    auth.TransportError,
)
_BROKEN = (DataCorruption, InvalidResponse)


class GcsStore:
    """Objects of `bucket` under `prefix`. STORAGE_EMULATOR_HOST is honoured, as Google's library does.

    Made without a connection; each process makes its own client on first use, shared by its threads. Every call has a
    timeout and is retried for `retry_s` on passing faults, which is safe: a put names the generation that it expects,
    and a mark of its own in the object's metadata, by which it knows its own work if an answer was lost.
    Erasure means erasure only if the bucket keeps no versions and no soft-deleted objects.
    """

    def __init__(self, bucket: str, *, prefix: str = "", anonymous: bool = False, retry_s: float = 5) -> None:
        self._name = bucket
        self._base = f"{prefix}/" if prefix else ""
        self._anonymous = anonymous
        self._retry: Retry = DEFAULT_RETRY.with_timeout(retry_s).with_delay(initial=0.2, maximum=2, multiplier=2)
        self._buckets: dict[int, storage.Bucket] = {}

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG002 - the port's name
        mark = secrets.token_hex(8)
        with self._faults():
            for _ in range(_TRIES):
                if self._upload(key, data, generation=0, mark=mark) is not None:
                    return True
                blob = self._look(key)
                if blob is None:
                    continue  # deleted in between
                if _mark(blob) == mark:
                    return True
                if not self._holds(blob, data):
                    raise BlobConflict(key)
                return False
        raise self._busy(key)

    def get(self, key: str, *, most: int | None = None) -> bytes:
        end = None if most is None else most - 1
        with self._faults():
            try:
                return bytes(self._blob(key).download_as_bytes(end=end, timeout=TIMEOUT_S, retry=self._retry))
            except api.RequestRangeNotSatisfiable:
                return b""  # of an empty object there is no first byte
            except api.NotFound:
                raise BlobNotFound(key) from None

    def get_versioned(self, key: str) -> Versioned:
        with self._faults():
            for _ in range(_TRIES):
                blob = self._look(key)
                if blob is None:
                    return Versioned(b"", 0)
                generation = int(blob.generation)
                with contextlib.suppress(api.NotFound, api.PreconditionFailed):  # replaced or deleted in between
                    data = blob.download_as_bytes(if_generation_match=generation, timeout=TIMEOUT_S, retry=self._retry)
                    return Versioned(bytes(data), generation)
        raise self._busy(key)

    def written_at(self, key: str) -> datetime:
        with self._faults():
            blob = self._look(key)
        if blob is None:
            raise BlobNotFound(key)
        return cast(datetime, blob.time_created)

    def clock(self) -> datetime:
        with self._faults():
            blob = self._bucket().blob(f"{self._base}clock/{secrets.token_hex(8)}")
            blob.upload_from_string(b"", timeout=TIMEOUT_S, retry=self._retry)
            with contextlib.suppress(api.NotFound):
                blob.delete(timeout=TIMEOUT_S, retry=self._retry)
            return cast(datetime, blob.time_created)

    def room(self) -> Room | None:
        return None

    def tend(self, *, reserve_bytes: int, busy: Collection[str]) -> None:
        pass  # a bucket has room, and lists in pages whatever it holds

    def replace(self, key: str, data: bytes, *, generation: int) -> int:
        mark = secrets.token_hex(8)
        with self._faults():
            written = self._upload(key, data, generation=generation, mark=mark)
            if written is None:
                blob = self._look(key)
                if blob is None or _mark(blob) != mark:
                    raise BlobConflict(key)
                written = int(blob.generation)
            return written

    def delete(self, key: str, *, generation: int | None = None) -> None:
        with self._faults(), contextlib.suppress(api.NotFound, api.PreconditionFailed):
            self._blob(key).delete(if_generation_match=generation, timeout=TIMEOUT_S, retry=self._retry)

    def list(self, prefix: str, *, after: str = "") -> Iterator[str]:
        check_range(prefix, after)
        return self._list(prefix, after)

    def _list(self, prefix: str, after: str) -> Iterator[str]:
        with self._faults():
            blobs = self._bucket().list_blobs(
                prefix=self._base + prefix,
                start_offset=self._base + after if after else None,
                fields="items(name),nextPageToken",
                timeout=TIMEOUT_S,
                retry=self._retry,
            )
            for blob in blobs:
                key = blob.name.removeprefix(self._base)
                if key > after:
                    yield key

    def _upload(self, key: str, data: bytes, *, generation: int, mark: str) -> int | None:
        """Return the new generation, or None if the object has another one than `generation`."""
        if len(data) > LARGE:
            standing = self._look(key)
            if (int(standing.generation) if standing else 0) != generation:
                return None
        blob = self._blob(key)
        blob.metadata = {"put": mark}
        try:
            blob.upload_from_string(
                data,
                content_type="application/octet-stream",
                if_generation_match=generation,
                checksum="crc32c",
                timeout=TIMEOUT_S,
                retry=self._retry,
            )
        except api.PreconditionFailed:
            return None
        return int(blob.generation)

    def _look(self, key: str) -> storage.Blob | None:
        return self._bucket().get_blob(self._base + checked(key), timeout=TIMEOUT_S, retry=self._retry)

    def _holds(self, blob: storage.Blob, data: bytes) -> bool:
        if blob.size != len(data):
            return False
        if blob.md5_hash is None:  # composed objects have none
            return bool(blob.download_as_bytes(timeout=TIMEOUT_S, retry=self._retry) == data)
        return bool(blob.md5_hash == b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode())

    def _blob(self, key: str) -> storage.Blob:
        return self._bucket().blob(self._base + checked(key))

    def _bucket(self) -> storage.Bucket:
        bucket = self._buckets.get(os.getpid())
        if bucket is None:  # first use in this process: connections must not cross a fork
            client = storage.Client.create_anonymous_client() if self._anonymous else storage.Client(project=None)
            for scheme in ("https://", "http://"):
                client._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
            weakref.finalize(self, client.close)
            bucket = self._buckets.setdefault(os.getpid(), client.bucket(self._name))
        return bucket

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        place = f"bucket {self._name!r}"
        try:
            yield
        except _PERMISSION as fault:
            if getattr(fault, "retryable", False):  # the token's source did not answer
                raise DermisError(
                    Kind.UNAVAILABLE, "STORE_UNAVAILABLE", f"no token for {place} ({_short(fault)})"
                ) from fault
            remedy = "grant it storage.objectUser there, or give the process credentials"
            raise DermisError(
                Kind.PERMISSION, "STORE_PERMISSION", f"{place} refused this process ({_short(fault)}); {remedy}"
            ) from fault
        except api.NotFound as fault:
            raise DermisError(
                Kind.NOT_FOUND, "STORE_BUCKET", f"{place} is not there; create it or mend the store URL"
            ) from fault
        except (*_PASSING, *_BROKEN) as fault:
            raise DermisError(
                Kind.UNAVAILABLE, "STORE_UNAVAILABLE", f"{place} can't be reached ({_short(fault)})"
            ) from fault
        except (api.GoogleAPICallError, auth.GoogleAuthError) as fault:
            raise DermisError(Kind.INTERNAL, "STORE_REFUSED", f"{place} refused a request ({_short(fault)})") from fault

    def _busy(self, key: str) -> DermisError:
        return DermisError(Kind.UNAVAILABLE, "STORE_BUSY", f"{key!r} is put and deleted by others all the time")


def _mark(blob: storage.Blob) -> str | None:
    return (blob.metadata or {}).get("put")


def _short(fault: Exception) -> str:
    """Name the fault and its HTTP status; its text may hold more than a log should."""
    inner = getattr(fault, "cause", None) or fault
    return f"{type(inner).__name__} {getattr(inner, 'code', '')}".rstrip()
