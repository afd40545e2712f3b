"""Images that are sent ahead of a case: kept for an hour, taken by copying."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.concurrency import run_in_threadpool

from dermis.gateway.facts import as_json, get_fact, put_fact
from dermis.gateway.problems import fault
from dermis.shared.errors import DermisError
from dermis.shared.ids import is_id, new_secret_id
from dermis.shared.images.formats import CleanImage, Format, ImageHeader
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.report import QualityReport
from dermis.shared.telemetry import log
from dermis.shared.uploads import (
    RefusedUpload,
    StartedUpload,
    UploadedImage,
    UploadPart,
    expires_at,
    upload_folder,
    upload_key,
)

_IMAGE_PARTS: tuple[UploadPart, ...] = ("original", "profile")
_WHOLE_PARTS: tuple[UploadPart, ...] = ("uploaded.json", *_IMAGE_PARTS)
UPLOAD_USED = "UPLOAD_USED"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBytes:
    """What is kept of an image as it was sent."""

    sha256: str
    count: int

    @classmethod
    def of(cls, data: bytes | bytearray) -> "SentBytes":
        return cls(sha256=hashlib.sha256(data).hexdigest(), count=len(data))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUploads:
    """The uploads of all owners; each sees its own alone."""

    store: BlobStore
    clock: Callable[[], datetime]

    async def keep(self, image: CleanImage, sent: SentBytes, *, owner: str) -> UploadedImage:
        """Store an image that was sent at once; on an error nothing of it stays, or the sweep removes it."""
        upload_id = new_secret_id("upload")
        try:
            return await self.put(image, sent, upload_id=upload_id, owner=owner)
        except DermisError:
            with contextlib.suppress(DermisError):
                await run_in_threadpool(self._delete, owner, upload_id, _WHOLE_PARTS)
            raise

    async def put(self, image: CleanImage, sent: SentBytes, *, upload_id: str, owner: str) -> UploadedImage:
        """Store an image, then the fact that it is there; may be done again with the same."""
        header, profile = image.header, image.header.color if isinstance(image.header.color, bytes) else None
        fact = UploadedImage(
            upload_id=upload_id,
            content_type=header.format,
            width=header.width,
            height=header.height,
            orientation=header.orientation,
            color=None if isinstance(header.color, bytes) else header.color,
            has_profile=profile is not None,
            sent_sha256=sent.sha256,
            sent_bytes=sent.count,
        )
        parts: dict[UploadPart, bytes | None] = {"original": image.data, "profile": profile}
        for part, data in {**parts, "uploaded.json": as_json(fact)}.items():
            if data is not None:
                await run_in_threadpool(self.store.put_once, upload_key(owner, upload_id, part), data)
        return fact

    async def keep_verdict(self, quality: QualityReport, *, upload_id: str, owner: str) -> None:
        """Keep what a worker said of an image, so that nobody has to be asked again."""
        try:
            await run_in_threadpool(put_fact, self.store, upload_key(owner, upload_id, "quality.json"), quality)
        except DermisError as error:
            log.warning("a verdict was not kept", reason=error.reason)

    async def show(self, ids: Sequence[str], *, owner: str) -> tuple[UploadedImage, ...]:
        """Return what is kept of uploads; INVALID, pointing to the first that is unknown, another's or over."""
        return tuple([await run_in_threadpool(self._show, index, each, owner) for index, each in enumerate(ids)])

    async def read(self, uploads: Sequence[UploadedImage], *, owner: str) -> tuple[CleanImage, ...]:
        """Return the images of uploads; UPLOAD_USED, pointing to the first that a case has taken."""
        return tuple([await run_in_threadpool(self._read, index, each, owner) for index, each in enumerate(uploads)])

    async def end(self, uploads: Sequence[UploadedImage], *, owner: str) -> None:
        """Delete the images of uploads that a case has taken; where that fails, the sweep does so within the hour."""
        for each in uploads:
            try:
                await run_in_threadpool(self._delete, owner, each.upload_id, _IMAGE_PARTS)
            except DermisError as error:
                log.warning("a used upload stays until its hour is over", reason=error.reason)

    def discard(self, upload_id: str, *, owner: str) -> None:
        """Delete an upload; nothing happens if there is none."""
        if is_id("upload", upload_id):
            for key in list(self.store.list(upload_folder(owner, upload_id))):
                self.store.delete(key)

    def _show(self, index: int, upload_id: str, owner: str) -> UploadedImage:
        pointer, name = f"/uploads/{index}", f"upload {index + 1}"
        if is_id("upload", upload_id):
            if self.clock() >= expires_at(upload_id):
                detail = f"{name}: {upload_id} was kept for an hour, which is over; send the image again"
                raise fault("UPLOAD_EXPIRED", detail, pointer=pointer)
            if fact := get_fact(self.store, upload_key(owner, upload_id, "uploaded.json"), UploadedImage):
                return fact
            if refused := get_fact(self.store, upload_key(owner, upload_id, "refused.json"), RefusedUpload):
                raise DermisError(refused.kind, refused.reason, f"{name}: {refused.detail}", pointer=pointer)
            if get_fact(self.store, upload_key(owner, upload_id, "upload.json"), StartedUpload):
                detail = f"{name}: {upload_id} is not whole; ask by HEAD for its offset and send the rest"
                raise fault("UPLOAD_UNFINISHED", detail, pointer=pointer)
        detail = f"{name}: there is no upload {upload_id[:64]!r} of yours; send the image to /v1/uploads and use its id"
        raise fault("UPLOAD_NOT_FOUND", detail, pointer=pointer)

    def _read(self, index: int, upload: UploadedImage, owner: str) -> CleanImage:
        try:
            data = self.store.get(upload_key(owner, upload.upload_id, "original"))
            color = (
                self.store.get(upload_key(owner, upload.upload_id, "profile")) if upload.has_profile else upload.color
            )
        except BlobNotFound:
            detail = f"upload {index + 1}: a case has taken {upload.upload_id} already; send the image again"
            raise fault(UPLOAD_USED, detail, pointer=f"/uploads/{index}") from None
        header = ImageHeader(
            format=Format(upload.content_type),
            width=upload.width,
            height=upload.height,
            orientation=upload.orientation,
            color=color,
        )
        return CleanImage(header=header, data=data)

    def _delete(self, owner: str, upload_id: str, parts: Sequence[UploadPart]) -> None:
        for part in parts:
            self.store.delete(upload_key(owner, upload_id, part))
