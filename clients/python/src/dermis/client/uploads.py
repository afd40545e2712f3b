"""Images that are sent ahead of their case, in pieces that are resumed (tus 1.0.0)."""

import time
from collections.abc import Callable
from datetime import datetime
from itertools import count

import httpx

from dermis.client import retry
from dermis.client.answers import QualityReport, ResponseModel
from dermis.client.calls import Calls, read
from dermis.client.errors import ApiError
from dermis.client.images import Image, upload_of

TUS = {"Tus-Resumable": "1.0.0"}
PIECE_BYTES = 512 * 1024
"""As many as the gateway stores at once."""
UPLOAD_TIMEOUT_S = 300.0
_LONGEST_WAIT_S = 5.0
_RESUMED_REASONS = ("NO_ANSWER", "NO_GATEWAY", "UPLOAD_OFFSET")
_RESUMED_STATUSES = (408, 502, 504)


class UploadRefusal(ResponseModel):
    """Why what was uploaded is no image that is taken."""

    reason: str
    detail: str


class ImageUpload(ResponseModel):
    """An image that is kept ahead of its case until `expires_at`.

    `status` UPLOADING, COMPLETE, TAKEN or REFUSED; `offset` of `length` bytes have come. `quality` is None where no
    worker judged it in time: its case will have it.
    """

    id: str
    expires_at: datetime
    quality: QualityReport | None
    status: str = "COMPLETE"
    offset: int | None = None
    length: int | None = None
    refusal: UploadRefusal | None = None


class UploadCalls(Calls):
    """The calls of uploads; whoever names an upload's id has it, so keep it as a secret."""

    async def upload(
        self,
        image: Image,
        *,
        resume: str | None = None,
        on_progress: Callable[[ImageUpload], None] | None = None,
        piece_bytes: int = PIECE_BYTES,
        timeout: float = UPLOAD_TIMEOUT_S,
    ) -> ImageUpload:
        """Send an image ahead of its case, and return its upload with the verdict of a worker.

        A connection that is cut goes on where the gateway has come, for `timeout` seconds; after that, `resume` takes
        the upload's id and goes on. `on_progress` hears of the upload when it has begun and after each piece; an error
        that it raises ends the call, and the upload can be resumed until it expires. IMAGE: the image has another
        length than the upload to resume.
        """
        deadline = time.monotonic() + timeout
        data = upload_of(image)[1]
        upload = await (self.upload_state(resume) if resume else self._begin(len(data), timeout))
        if upload.length != len(data):
            detail = (
                f"upload {upload.id} is of {upload.length} bytes, the image has {len(data)}; name the image as it was"
            )
            raise ApiError("IMAGE", detail)
        report = on_progress or (lambda _: None)
        report(upload)
        while upload.status == "UPLOADING":
            upload = await self._advance(upload, data, piece_bytes, deadline)
            report(upload)
        if upload.refusal:
            raise ApiError(upload.refusal.reason, upload.refusal.detail)
        return upload

    async def upload_state(self, upload_id: str) -> ImageUpload:
        """Return how far an upload has come, and the verdict on its image."""
        return await self._state(upload_id, self._timeout)

    async def delete_upload(self, upload_id: str) -> None:
        """Delete an upload that no case has taken; nothing happens if there is none."""
        await self._call("DELETE", f"/v1/uploads/{upload_id}", headers=TUS)

    async def _begin(self, length: int, timeout: float) -> ImageUpload:
        headers = {**TUS, "Upload-Length": str(length)}
        request = self._connection.request("POST", "/v1/uploads", headers=headers)
        return read(await self._answer(request, timeout=min(timeout, self._timeout)), ImageUpload)

    async def _state(self, upload_id: str, timeout: float) -> ImageUpload:
        request = self._connection.request("GET", f"/v1/uploads/{upload_id}", headers=TUS)
        return read(await self._answer(request, timeout=timeout), ImageUpload)

    async def _advance(self, upload: ImageUpload, data: bytes, piece_bytes: int, deadline: float) -> ImageUpload:
        """Send the next piece and return the upload as it is then; after a cut ask first how far it has come."""
        for attempt in count(2):
            try:
                if attempt > 2:
                    upload = await self._state(upload.id, deadline - time.monotonic())
                if upload.status != "UPLOADING":
                    return upload
                return await self._send_piece(upload, data, piece_bytes, deadline)
            except ApiError as error:
                wait = min(retry.wait_before(attempt), _LONGEST_WAIT_S)
                if not _may_resume(error) or time.monotonic() + wait > deadline:
                    raise
                await self._connection.sleep(wait)
        raise AssertionError("count() has no end")

    async def _send_piece(self, upload: ImageUpload, data: bytes, piece_bytes: int, deadline: float) -> ImageUpload:
        start = upload.offset or 0
        request = self._connection.request(
            "PATCH",
            f"/v1/uploads/{upload.id}",
            content=data[start : start + piece_bytes],
            headers={**TUS, "Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"},
        )
        response = await self._answer(request, timeout=deadline - time.monotonic(), attempts=1)
        offset = _offset_of(response)
        if offset < len(data):
            return upload.model_copy(update={"offset": offset})
        return await self._state(upload.id, deadline - time.monotonic())


def _offset_of(response: httpx.Response) -> int:
    text = response.headers.get("Upload-Offset", "")
    if not text.isdecimal():
        raise ApiError("NOT_DERMIS", f"{response.url} answered without Upload-Offset; what stands between drops it")
    return int(text)


def _may_resume(error: ApiError) -> bool:
    """Return whether the connection was cut, or the gateway has come further than thought."""
    return error.reason in _RESUMED_REASONS or error.status in _RESUMED_STATUSES
