"""What the routes depend on: settings, use-cases, broker, access and metrics of one application."""

import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.concurrency import run_in_threadpool

from dermis.gateway import sessions
from dermis.gateway.auth import AccessGuard, Caller, Credentials
from dermis.gateway.bodies import Bodies
from dermis.gateway.core.accept import best_language
from dermis.gateway.core.admission import refused_for, too_little
from dermis.gateway.form import Form, FormReading, FormRules, check_length, read_form
from dermis.gateway.metrics import GatewayMetrics
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.pipeline import CasePipeline
from dermis.gateway.ports import Broker
from dermis.gateway.problems import BusyError, RefusedError
from dermis.gateway.reviews import ReviewDesk
from dermis.gateway.settings import GatewaySettings
from dermis.gateway.sign_in import SignIn
from dermis.gateway.web.languages import LANGUAGES
from dermis.shared.api_keys import Scope
from dermis.shared.audit import Audit
from dermis.shared.case import Received
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.test_images import ForcedKind, forced_by
from dermis.shared.tracing import span


@dataclass(kw_only=True)
class Dependencies:
    settings: GatewaySettings
    pipeline: CasePipeline
    broker: Broker
    guard: AccessGuard
    audit: Audit
    sign_in: SignIn | None = None
    """How clinicians sign in; None where second reads are off."""
    metrics: GatewayMetrics = field(default_factory=GatewayMetrics)
    _judging: Counter[str] = field(default_factory=Counter, init=False)

    @contextlib.asynccontextmanager
    async def form(self, request: Request, rules: FormRules, read: FormReading = read_form) -> AsyncIterator[Form]:
        """Give what `read` makes of a body, and hold it in memory for as long as the context lasts.

        BusyError if there is no room for it.
        """
        most = self.settings.max_image_bytes
        check_length(request.headers, rules=rules, max_image_bytes=most)
        caller: Caller = request.scope[CALLER_KEY]
        with self.bodies.open(caller.line, by_key=caller.by_key) as body:
            with span("read form"):
                form = await body.read(
                    read(request.headers, body.booked(request.stream()), rules=rules, max_image_bytes=most)
                )
            yield form

    @functools.cached_property
    def bodies(self) -> Bodies:
        settings = self.settings
        return Bodies(
            most_bytes=settings.max_upload_bytes,
            most_bytes_per_key=settings.max_key_upload_bytes,
            # Without a proxy that is trusted, all of them may have one address.
            most_per_address=settings.max_address_uploads if settings.trusted_proxies else 0,
            show=self.metrics.body_bytes.set,
        )

    @functools.cached_property
    def reviews(self) -> ReviewDesk:
        return ReviewDesk(
            self.pipeline.store, readers_per_case=self.settings.readers_per_case, clock=self.pipeline.clock
        )

    async def check_room(self) -> None:
        """Raise FULL if the store has too little free.

        What is accepted must be able to end, and a case can always be erased.
        """
        room = await run_in_threadpool(self.pipeline.store.room)
        if room and too_little(
            room, least_bytes=self.settings.min_free_bytes, least_inodes=self.settings.min_free_inodes
        ):
            detail = (
                "the store is almost full, so that no new case is taken; come again later; cases can be read and "
                "erased meanwhile"
            )
            raise DermisError(Kind.FULL, "STORE_FULL", detail)

    @contextlib.contextmanager
    def judging(self, request: Request) -> Iterator[str]:
        """Give the caller's line while an image of theirs is judged.

        EXHAUSTED if too many are: the queue of images is everybody's.
        """
        caller: Caller = request.scope[CALLER_KEY]
        if self._judging[caller.line] >= self.settings.max_judging:
            detail = f"{self.settings.max_judging} of your images are being judged; wait for one to end"
            raise RefusedError(Kind.EXHAUSTED, "JUDGING_TOO_MANY", detail, {"Retry-After": "1"})
        self._judging[caller.line] += 1
        try:
            yield caller.line
        finally:
            self._judging[caller.line] -= 1
            if not self._judging[caller.line]:
                del self._judging[caller.line]

    async def admit(self, request: Request) -> None:
        """Raise BusyError if the caller has too much in the queue; without a broker to ask, a case may come in."""
        caller: Caller = request.scope[CALLER_KEY]
        if load := await self.broker.load(caller.line):
            most, age = self.settings.max_queue_depth, self.settings.max_queue_seconds
            wait = refused_for(depth=load.depth, line=load.line, line_age=load.line_age, max_depth=most, max_age=age)
            if wait:
                detail = (
                    f"{load.line} of your cases wait, the first for {load.line_age:.0f} s, of {load.depth} in "
                    f"all; come again in {wait} s"
                )
                raise BusyError("QUEUE_BUSY", detail, retry_after=wait)

    async def enqueue(self, received: Received, request: Request) -> None:
        """Send the job of a case that came in; the sweep sends it later where the broker is away or a test is slow."""
        caller: Caller = request.scope[CALLER_KEY]
        job = AssessJob(case_id=received.case_id, owner=received.owner, line=caller.line)
        forced = forced_by(received)
        slow = forced is not None and forced.kind is ForcedKind.SLOW
        queued = not slow and await self.broker.send(job)
        (self.metrics.cases if received.livemode else self.metrics.test_cases).labels(queued).inc()
        await self.broker.send_deliveries(self.pipeline.outbox.jobs(received, owner=received.owner))


def _parts(request: Request) -> Dependencies:
    parts: Dependencies = request.app.state.parts
    return parts


PartsOf = Annotated[Dependencies, Depends(_parts)]


_LANGUAGES = f"languages of what people read, of {', '.join(LANGUAGES)} (RFC 9110, 12.5.4)"


def _language(
    request: Request, _: Annotated[str | None, Header(alias="Accept-Language", description=_LANGUAGES)] = None
) -> str:
    """Return the language that a caller likes best; the header may come in several lines."""
    return best_language(",".join(request.headers.getlist("accept-language")), LANGUAGES)


Language = Annotated[str, Depends(_language)]
LINK_COOKIE = "dermis_link"
"""A link's token, which a browser sends about the link's case alone (Path)."""
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="api_key", bearerFormat="key id.secret", description="made by `dermis keys create`"
)


async def _owner(
    request: Request, parts: PartsOf, needed: SecurityScopes, _bearer: Annotated[object, Depends(_BEARER)]
) -> str:
    """Return whose cases the call is about, if it may do what its route needs.

    The guard reads the header and refuses other schemes.
    """
    (scope,) = needed.scopes
    case_id = request.path_params.get("case_id")
    caller = await parts.guard.admit(credentials_of(request), scope=scope, case_id=case_id)
    request.scope[CALLER_KEY] = caller
    return caller.owner


def _still_valid(request: Request, parts: PartsOf) -> Callable[[], Awaitable[None]]:
    """Return what a long call asks before it says more: a key or link may have been revoked since it was let in."""
    return functools.partial(parts.guard.check, credentials_of(request), case_id=request.path_params.get("case_id"))


def credentials_of(request: Request) -> Credentials:
    return Credentials(
        authorization=request.headers.get("authorization"),
        session=sessions.cookie_of(request),
        link=request.cookies.get(LINK_COOKIE),
        address=request.client.host if request.client else "",
    )


Owner = Annotated[str, Security(_owner, scopes=[Scope.CASES_READ])]
CreatingOwner = Annotated[str, Security(_owner, scopes=[Scope.CASES_CREATE])]
WritingOwner = Annotated[str, Security(_owner, scopes=[Scope.CASES_WRITE])]
ModelsReader = Annotated[str, Security(_owner, scopes=[Scope.MODELS_READ])]
WebhookOwner = Annotated[str, Security(_owner, scopes=[Scope.WEBHOOKS_WRITE])]
Operator = Annotated[str, Security(_owner, scopes=[Scope.ADMIN])]
StillValid = Annotated[Callable[[], Awaitable[None]], Depends(_still_valid)]
