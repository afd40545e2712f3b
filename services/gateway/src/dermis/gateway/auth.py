"""Who calls, what they may do, and how often: API keys (RFC 6750), sessions and links, and a rate for each.

Keys are cached for half a minute by default.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from dermis.gateway.ports import Rates
from dermis.gateway.problems import RefusedError
from dermis.gateway.sessions import session_owner
from dermis.gateway.settings import GatewaySettings
from dermis.gateway.shares import Shares, token_of
from dermis.shared.api_keys import ApiKey, Scope, id_of, matches, read_key, read_revoked
from dermis.shared.case import PUBLIC_OWNER, fact_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobStore, has
from dermis.shared.telemetry import log

_MOST_CACHED = 10_000
_REALM = 'Bearer realm="dermis"'
KEYLESS_SCOPES = frozenset({Scope.CASES_CREATE, Scope.CASES_WRITE, Scope.CASES_READ, Scope.MODELS_READ})


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request shows of who sends it: the header of a key, a session's secret, a link's token, its address."""

    authorization: str | None = None
    session: str | None = None
    link: str | None = None
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`key_id` is whoever calls: a key, a session, a link, or the owner of all cases where nobody is named."""

    key_id: str
    owner: str
    scope: str
    scopes: frozenset[str] = KEYLESS_SCOPES
    by_key: bool = False
    livemode: bool = True
    """False for a test key."""
    read_only: bool = False
    """Comes by a link that opens one case to read, and nothing else."""
    ends_at: datetime | None = None
    """When the link by which it comes ends."""
    address: str = ""
    rate_headers: tuple[tuple[str, str], ...] = ()

    @property
    def is_publishable(self) -> bool:
        """Whether the call comes by a key that many people's devices hold."""
        reads_or_erases = {Scope.CASES_READ, Scope.CASES_WRITE} & self.scopes
        return self.by_key and Scope.CASES_CREATE in self.scopes and not reads_or_erases

    @property
    def line(self) -> str:
        """Whose share of the queue and of bodies' room a call takes: a key's owner's, or an address's, as a digest.

        Of a key that many devices hold each address has its own.
        """
        if self.by_key and not self.is_publishable:
            return self.owner
        return f"{self.owner if self.by_key else PUBLIC_OWNER}:{hashlib.sha256(self.address.encode()).hexdigest()[:16]}"


class AccessGuard:
    """Lets a call in or says why not; it caches keys for `key_cache_seconds`, and that a key is unknown."""

    def __init__(
        self,
        store: BlobStore,
        rates: Rates,
        settings: GatewaySettings,
        *,
        shares: Shares,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._rates = rates
        self._settings = settings
        self._shares = shares
        self._clock = clock
        self._keys: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def admit(self, credentials: Credentials, *, scope: str, case_id: str | None = None) -> Caller:
        """Return who calls; `case_id` is the case that the call is about.

        UNAUTHENTICATED without a valid key, PERMISSION without the scope, EXHAUSTED for too many calls, NOT_FOUND by a
        link that opens this case no more.
        """
        caller = await self._caller(credentials, scope=scope, case_id=case_id)
        if scope not in caller.scopes:
            allowed = "no key was sent"
            if caller.by_key:
                allowed = f"this key holds {', '.join(sorted(caller.scopes))}"
            elif caller.read_only:
                allowed = "this link opens one case to read, and nothing else"
            challenge = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
            raise RefusedError(
                Kind.PERMISSION,
                "SCOPE",
                f"this needs the scope {scope}; {allowed}",
                {"WWW-Authenticate": challenge},
            )
        return replace(caller, rate_headers=await self._count(caller))

    async def check(self, credentials: Credentials, *, case_id: str | None = None) -> None:
        """Raise UNAUTHENTICATED, or NOT_FOUND for a link, if what let a long call in doesn't hold any more."""
        await self._caller(credentials, scope=Scope.CASES_READ, case_id=case_id)

    async def close(self) -> None:
        await self._rates.close()

    async def _caller(self, credentials: Credentials, *, scope: str, case_id: str | None) -> Caller:
        """Return who calls: by a key or link in the header, by a link's cookie, by a session, or without any."""
        authorization, address = credentials.authorization, credentials.address
        if authorization is not None:
            token = _bearer(authorization)
            if token.startswith("share_"):
                return await self._by_link(token, scope=scope, case_id=case_id, address=address)
            key = await self._key(token, address)
            return Caller(
                key_id=key.key_id,
                owner=key.owner,
                scope=scope,
                scopes=key.rights,
                by_key=True,
                livemode=key.livemode,
                address=address,
            )
        if credentials.link is not None:
            return await self._by_link(credentials.link, scope=scope, case_id=case_id, address=address)
        if self._settings.offers_page and (session := session_owner(credentials.session or "")):
            owner = session if await self._owns(case_id) else PUBLIC_OWNER
            return Caller(key_id=session, owner=owner, scope=scope, address=address)
        # Who may open the page may read of the models: it takes a cookie that anyone gets.
        if self._settings.keyless or (self._settings.sessions and scope == Scope.MODELS_READ):
            return Caller(key_id=PUBLIC_OWNER, owner=PUBLIC_OWNER, scope=scope, address=address)
        detail = "send an API key as `Authorization: Bearer <key>`; `dermis keys create` makes one" + (
            ", or open the page first and let it keep its cookie" if self._settings.sessions else ""
        )
        raise RefusedError(Kind.UNAUTHENTICATED, "KEY_NEEDED", detail, {"WWW-Authenticate": _REALM})

    async def _owns(self, case_id: str | None) -> bool:
        """Return whether a call by a session is about its own, and not about a case of callers without one."""
        if case_id is None or not self._settings.keyless or not is_id("case", case_id):
            return True
        public = [fact_key(PUBLIC_OWNER, case_id, name) for name in ("received", "erased")]
        return not any([await run_in_threadpool(has, self._store, key) for key in public])

    async def _by_link(self, text: str, *, scope: str, case_id: str | None, address: str) -> Caller:
        token, link = token_of(text), None
        await self._check_unknown(address)
        if token:
            link = await run_in_threadpool(self._shares.open, token)
        if token is None or link is None:
            await self._note_unknown(address)
            raise DermisError(
                Kind.NOT_FOUND, "LINK_NOT_FOUND", "this link opens nothing; what it showed may have been erased"
            )
        if case_id is not None and case_id != token.case_id:
            raise DermisError(Kind.NOT_FOUND, "CASE_NOT_FOUND", f"there is no case {case_id[:64]!r}")
        return Caller(
            key_id=link.share_id,
            owner=token.owner,
            scope=scope,
            scopes=link.rights if case_id else frozenset(),
            read_only=Scope.CASES_WRITE not in link.rights,
            ends_at=link.expires_at,
            address=address,
        )

    async def _key(self, token: str, address: str) -> ApiKey:
        """Return the key that a call carries."""
        key_id = id_of(token)
        key = await self._find(key_id, address) if key_id else None
        if key is None or not matches(key, token):
            await self._note_unknown(address)
            detail = "the API key is not known, or was revoked; send a valid one as `Authorization: Bearer <key>`"
            raise RefusedError(
                Kind.UNAUTHENTICATED, "KEY_INVALID", detail, {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}
            )
        return key

    async def _find(self, key_id: str, address: str) -> ApiKey | None:
        """Return a key.

        EXHAUSTED, before the store is read, where the address has sent too many unknown keys and this one is not in the
        cache.
        """
        now = self._clock()
        until, key = self._keys.get(key_id, (0.0, None))
        if now >= until:
            if key is None:
                await self._check_unknown(address)
            key = await run_in_threadpool(self._read, key_id)
            self._keys[key_id] = (now + self._settings.key_cache_seconds, key)
            self._keys.move_to_end(key_id)
            while len(self._keys) > _MOST_CACHED:
                self._keys.popitem(last=False)
        return key

    async def _note_unknown(self, address: str) -> None:
        if self._settings.unknown_keys_per_minute:
            await self._rates.hit(f"unknown:{address}", per_minute=self._settings.unknown_keys_per_minute)

    async def _check_unknown(self, address: str) -> None:
        most = self._settings.unknown_keys_per_minute
        if most and (wait := await self._rates.wait(f"unknown:{address}", per_minute=most)):
            what = f"this address sent more than {most} unknown API keys or links a minute"
            detail = f"{what}; come again in {wait} s with a valid one"
            raise RefusedError(Kind.EXHAUSTED, "RATE_LIMIT", detail, {"Retry-After": str(wait)})

    def _read(self, key_id: str) -> ApiKey | None:
        try:
            key = read_key(self._store, key_id)
        except ValidationError:
            log.error("key is broken", key_id=key_id)
            return None
        return None if key is None or read_revoked(self._store, key_id) else key

    async def _count(self, caller: Caller) -> tuple[tuple[str, str], ...]:
        """Count the call and return the headers that say how many are left, of the last of its limits.

        Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        limits = [("address", caller.address, self._settings.keyless_rate_per_minute)]
        if caller.by_key:
            who = f"{caller.key_id}:{caller.address}" if caller.is_publishable else caller.key_id
            limits = [("key", who, self._settings.rate_per_minute)]
        elif is_id("session", caller.key_id):
            limits.append(("session", caller.key_id, self._settings.session_rate_per_minute))
        headers: tuple[tuple[str, str], ...] = ()
        for name, who, most in limits:
            headers = await self._hit(name, who, most) if most else headers
        return headers

    async def _hit(self, name: str, who: str, most: int) -> tuple[tuple[str, str], ...]:
        rate = await self._rates.hit(f"{name}:{who}", per_minute=most)
        headers = (
            ("RateLimit-Policy", f'"{name}";q={most};w=60'),
            ("RateLimit", f'"{name}";r={rate.left};t={rate.reset_s}'),
        )
        if rate.refused:
            detail = f"this {name} sent more than {most} calls a minute; come again in {rate.reset_s} s"
            raise RefusedError(
                Kind.EXHAUSTED, "RATE_LIMIT", detail, {"Retry-After": str(rate.reset_s), **dict(headers)}
            )
        return headers


def _bearer(authorization: str) -> str:
    """Return the token of an Authorization header (RFC 6750), empty for another scheme."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
