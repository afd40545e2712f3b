"""What the routes get to work with."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.concurrency import run_in_threadpool

from dermis.gateway.core.admission import refused_for, too_little
from dermis.gateway.edge import CALLER_KEY
from dermis.gateway.form import Form, FormRules, body_bytes, read_form
from dermis.gateway.guard import Guard
from dermis.gateway.metrics import Metrics
from dermis.gateway.pipeline import Pipeline
from dermis.gateway.ports import Broker
from dermis.gateway.problems import BusyError
from dermis.gateway.settings import GatewaySettings
from dermis.shared.api_keys import Scope
from dermis.shared.audit import Audit
from dermis.shared.errors import DermisError, Kind
from dermis.shared.tracing import span


@dataclass(slots=True, kw_only=True)
class Parts:
    settings: GatewaySettings
    pipeline: Pipeline
    broker: Broker
    guard: Guard
    audit: Audit
    metrics: Metrics = field(default_factory=Metrics)
    _held: int = 0

    @contextlib.asynccontextmanager
    async def upload(self, request: Request, rules: FormRules) -> AsyncIterator[Form]:
        """Read a form and hold it in memory for as long as the context lasts; BusyError if too much is held already."""
        size = body_bytes(request.headers, rules=rules, max_image_bytes=self.settings.max_image_bytes)
        if self._held and self._held + size > self.settings.max_upload_bytes:
            raise BusyError("UPLOADS_BUSY", "too many uploads are being read; come again", retry_after=2)
        self._hold(size)
        try:
            with span("read form"):
                form = await self._read(request, rules)
            yield form
        finally:
            self._hold(-size)

    async def _read(self, request: Request, rules: FormRules) -> Form:
        seconds = self.settings.upload_seconds
        try:
            async with asyncio.timeout(seconds):
                return await read_form(request.headers, request.stream(), rules=rules, max_image_bytes=self.settings.max_image_bytes)
        except TimeoutError:
            detail = f"the body did not come within {seconds:g} s; send smaller images, or try again over a better connection"
            raise HTTPException(408, detail, headers={"Connection": "close"}) from None

    def _hold(self, size: int) -> None:
        self._held += size
        self.metrics.uploads.set(self._held)

    async def check_room(self) -> None:
        """Raise FULL if the store has too little free: what is accepted must be able to end, and a case can always be erased."""
        room = await run_in_threadpool(self.pipeline.store.room)
        if room and too_little(room, least_bytes=self.settings.min_free_bytes, least_inodes=self.settings.min_free_inodes):
            detail = "the store is almost full, so that no new case is taken; come again later; cases can be read and erased meanwhile"
            raise DermisError(Kind.FULL, "STORE_FULL", detail)

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


PartsOf = Annotated[Parts, Depends(_parts)]
_BEARER = HTTPBearer(auto_error=False, scheme_name="api_key", bearerFormat="key id.secret", description="made by `dermis keys create`")


async def _owner(request: Request, parts: PartsOf, needed: SecurityScopes, _shown: Annotated[object, Depends(_BEARER)]) -> str:
    """Return whose cases the call is about, if it may do what its route needs; the guard reads the header and refuses other schemes."""
    (scope,) = needed.scopes
    address = request.client.host if request.client else ""
    caller = await parts.guard.admit(request.headers.get("authorization"), scope=scope, address=address)
    request.scope[CALLER_KEY] = caller
    return caller.owner


def _still_valid(request: Request, parts: PartsOf) -> Callable[[], Awaitable[None]]:
    """Return what a long call asks before it says more: a key may have been revoked since it was let in."""
    return functools.partial(parts.guard.check, request.headers.get("authorization"))


Owner = Annotated[str, Security(_owner, scopes=[Scope.CASES_READ])]
WritingOwner = Annotated[str, Security(_owner, scopes=[Scope.CASES_WRITE])]
ModelsReader = Annotated[str, Security(_owner, scopes=[Scope.MODELS_READ])]
Operator = Annotated[str, Security(_owner, scopes=[Scope.ADMIN])]
StillValid = Annotated[Callable[[], Awaitable[None]], Depends(_still_valid)]
