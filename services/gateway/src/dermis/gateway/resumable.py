"""Uploads that come in parts: how far each is, its next bytes, and the image that they make."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from starlette.concurrency import run_in_threadpool

from dermis.gateway.bodies import Body
from dermis.gateway.core.parts import joined, offset_after
from dermis.gateway.facts import get_fact, put_fact
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_secret_id
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore, has
from dermis.shared.report import QualityReport
from dermis.shared.uploads import (
    RefusedUpload,
    StartedUpload,
    UploadedImage,
    expires_at,
    part_key,
    parts_prefix,
    upload_folder,
    upload_key,
)

PART_BYTES = 512 * 1024
"""Put at once as they come: what a gateway that is killed loses of a body."""
MOST_PARTS = 1000
"""Of one upload: each time that it breaks off, a smaller one is put."""


class UploadStatus(StrEnum):
    """UPLOADING: bytes are missing. COMPLETE: a case may take it. TAKEN: one has. REFUSED: it is no image we take."""

    UPLOADING = "UPLOADING"
    COMPLETE = "COMPLETE"
    TAKEN = "TAKEN"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadState:
    """What stands of an upload; `length` and `offset` in bytes as they are sent, None where nobody counted them."""

    upload_id: str
    length: int | None
    offset: int | None
    uploaded: UploadedImage | None = None
    taken: bool = False
    refused: RefusedUpload | None = None
    quality: QualityReport | None = None
    parts: int = 0

    @property
    def expires_at(self) -> datetime:
        return expires_at(self.upload_id)

    @property
    def status(self) -> UploadStatus:
        if self.refused:
            return UploadStatus.REFUSED
        if self.taken:
            return UploadStatus.TAKEN
        return UploadStatus.COMPLETE if self.uploaded else UploadStatus.UPLOADING

    @property
    def is_whole(self) -> bool:
        """Whether all bytes have come, and what they are was not looked at yet."""
        return self.status == UploadStatus.UPLOADING and self.offset == self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableUploads:
    """The uploads of all owners; whoever names an upload's id, which nobody can guess, has it."""

    store: BlobStore
    clock: Callable[[], datetime]

    def start(self, length: int, *, owner: str) -> UploadState:
        """Put the fact that an image of `length` bytes will come."""
        upload_id = new_secret_id("upload")
        fact = StartedUpload(upload_id=upload_id, length=length, created_at=self.clock())
        put_fact(self.store, upload_key(owner, upload_id, "upload.json"), fact)
        return UploadState(upload_id=upload_id, length=length, offset=0)

    def read(self, upload_id: str, *, owner: str) -> UploadState:
        """Return how far an upload is; NOT_FOUND if there is none of this owner's, or its hour is over."""
        if is_id("upload", upload_id) and self.clock() >= expires_at(upload_id):
            detail = f"{upload_id} was kept for an hour, which is over; send the image again"
            raise DermisError(Kind.NOT_FOUND, "UPLOAD_EXPIRED", detail)
        if not is_id("upload", upload_id) or not (state := self._state(upload_id, owner)):
            raise not_here(upload_id)
        return state

    async def append(self, state: UploadState, stream: AsyncIterator[bytes], body: Body, *, owner: str) -> int:
        """Put what comes behind what is there, and return how far the upload is then; what came before a cut stays.

        CONFLICT if another call puts other bytes to the same place, or there are too many parts; TOO_LARGE for more
        bytes than the upload's length.
        """
        if state.parts >= MOST_PARTS:
            detail = f"{state.upload_id} broke off too often: it has {state.parts} parts; begin a new one"
            raise DermisError(Kind.CONFLICT, "UPLOAD_PARTS", detail)
        writer = _PartWriter(self.store, state.upload_id, owner, state.offset or 0, body)
        try:
            async for chunk in stream:
                if writer.offset + writer.waiting + len(chunk) > (state.length or 0):
                    raise too_long(state.length or 0)
                await writer.write(chunk)
        finally:
            await writer.end()
        return writer.offset

    def whole(self, state: UploadState, *, owner: str) -> bytearray:
        """Return the bytes of an upload that is whole; `BlobNotFound` if its parts are gone by now."""
        keys = list(self.store.list(parts_prefix(owner, state.upload_id)))
        data = joined((_start(key), self.store.get(key)) for key in keys)
        if len(data) != state.length:
            raise BlobNotFound(parts_prefix(owner, state.upload_id))
        return data

    def refuse(self, state: UploadState, error: DermisError, *, owner: str) -> None:
        """Keep why what came is no image that is taken, so that nobody sends it again, and delete it."""
        fact = RefusedUpload(upload_id=state.upload_id, kind=error.kind, reason=error.reason, detail=error.detail)
        put_fact(self.store, upload_key(owner, state.upload_id, "refused.json"), fact)
        self.end_parts(state, owner=owner)

    def end_parts(self, state: UploadState, *, owner: str) -> None:
        """Delete what came, of which an image was made; all of the upload, if its owner deleted it meanwhile."""
        if not has(self.store, upload_key(owner, state.upload_id, "upload.json")):
            for key in list(self.store.list(upload_folder(owner, state.upload_id))):
                self.store.delete(key)
            raise not_here(state.upload_id)
        for key in list(self.store.list(parts_prefix(owner, state.upload_id))):
            self.store.delete(key)

    def _state(self, upload_id: str, owner: str) -> UploadState | None:
        uploaded = get_fact(self.store, upload_key(owner, upload_id, "uploaded.json"), UploadedImage)
        refused = get_fact(self.store, upload_key(owner, upload_id, "refused.json"), RefusedUpload)
        started = get_fact(self.store, upload_key(owner, upload_id, "upload.json"), StartedUpload)
        if not uploaded and not started:
            return None
        length = uploaded.sent_bytes if uploaded else started.length if started else None
        if uploaded or refused:
            return UploadState(
                upload_id=upload_id,
                length=length,
                offset=length,
                uploaded=uploaded,
                taken=not refused and not has(self.store, upload_key(owner, upload_id, "original")),
                refused=refused,
                quality=get_fact(self.store, upload_key(owner, upload_id, "quality.json"), QualityReport),
            )
        keys = list(self.store.list(parts_prefix(owner, upload_id)))
        try:
            last_bytes = len(self.store.get(keys[-1])) if keys else 0
        except BlobNotFound:  # made into an image, or deleted, just now
            return self._state(upload_id, owner)
        offset = offset_after([_start(key) for key in keys], last_bytes=last_bytes)
        return UploadState(upload_id=upload_id, length=length, offset=offset, parts=len(keys))


class _PartWriter:
    """Puts bytes as parts, one behind the other; after a fault of the store nothing more, as it would leave a gap."""

    def __init__(self, store: BlobStore, upload_id: str, owner: str, offset: int, body: Body) -> None:
        self.offset = offset
        self._store = store
        self._upload_id = upload_id
        self._owner = owner
        self._body = body
        self._buffer = bytearray()
        self._broken = False

    @property
    def waiting(self) -> int:
        return len(self._buffer)

    async def write(self, chunk: bytes) -> None:
        self._buffer += chunk
        while len(self._buffer) >= PART_BYTES:
            await self._put(PART_BYTES)

    async def end(self) -> None:
        """Put what is left, however little."""
        if self._buffer and not self._broken:
            await self._put(len(self._buffer))

    async def _put(self, count: int) -> None:
        key = part_key(self._owner, self._upload_id, self.offset)
        try:
            await run_in_threadpool(self._store.put_once, key, bytes(self._buffer[:count]))
        except BlobConflict:
            self._broken = True
            detail = f"another call sends bytes from {self.offset:,} on; ask by HEAD for the offset and go on there"
            raise DermisError(Kind.CONFLICT, "UPLOAD_OFFSET", detail) from None
        except BaseException:
            self._broken = True
            raise
        del self._buffer[:count]
        self.offset += count
        self._body.release(count)


def _start(key: str) -> int:
    return int(key.rpartition("/")[2])


def too_long(length: int) -> DermisError:
    """Return the refusal of more bytes than an upload is to have."""
    detail = f"there are more bytes than Upload-Length stated, {length:,}; begin a new upload with the right length"
    return DermisError(Kind.TOO_LARGE, "UPLOAD_TOO_LONG", detail)


def not_here(upload_id: str) -> DermisError:
    """Return the answer about an upload that is nobody's, or another's."""
    detail = f"there is no upload {upload_id[:64]!r} of yours; begin a new one at /v1/uploads"
    return DermisError(Kind.NOT_FOUND, "UPLOAD_NOT_FOUND", detail)
