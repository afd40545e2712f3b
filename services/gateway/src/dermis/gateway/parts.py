"""What the routes get to work with."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from dermis.gateway.core.admission import refused_for
from dermis.gateway.form import Form, FormRules, body_bytes, read_form
from dermis.gateway.metrics import Metrics
from dermis.gateway.pipeline import Pipeline
from dermis.gateway.ports import Broker
from dermis.gateway.problems import BusyError
from dermis.gateway.settings import GatewaySettings
from dermis.shared.case import PUBLIC_OWNER


@dataclass(slots=True, kw_only=True)
class Parts:
    settings: GatewaySettings
    pipeline: Pipeline
    broker: Broker
    metrics: Metrics = field(default_factory=Metrics)
    _held: int = 0

    @contextlib.asynccontextmanager
    async def upload(self, request: Request, rules: FormRules) -> AsyncIterator[Form]:
        """Read a form and hold it in memory for as long as the context lasts; BusyError if too much is held already."""
        most = self.settings.max_image_bytes
        size = body_bytes(request.headers, rules=rules, max_image_bytes=most)
        if self._held and self._held + size > self.settings.max_upload_bytes:
            raise BusyError("UPLOADS_BUSY", "too many uploads are being read; come again", retry_after=2)
        self._hold(size)
        try:
            yield await read_form(request.headers, request.stream(), rules=rules, max_image_bytes=most)
        finally:
            self._hold(-size)

    def _hold(self, size: int) -> None:
        self._held += size
        self.metrics.uploads.set(self._held)

    async def admit(self) -> None:
        """Raise BusyError if the queue is too deep or moves too slowly; without a broker to ask, a case may come in."""
        if load := await self.broker.load():
            wait = refused_for(
                depth=load.depth, age=load.age, max_depth=self.settings.max_queue_depth, max_age=self.settings.max_queue_seconds
            )
            if wait:
                detail = f"{load.depth} cases wait, the oldest for {load.age:.0f} s; come again in {wait} s"
                raise BusyError("QUEUE_BUSY", detail, retry_after=wait)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _owner() -> str:
    return PUBLIC_OWNER


PartsOf = Annotated[Parts, Depends(_parts)]
Owner = Annotated[str, Depends(_owner)]
