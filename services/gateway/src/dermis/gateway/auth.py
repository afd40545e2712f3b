"""Who calls, what they may do, and how often: API keys (RFC 6750), held for half a minute, and a rate for each."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from dermis.gateway.ports import Rates
from dermis.gateway.problems import RefusedError
from dermis.gateway.settings import GatewaySettings
from dermis.shared.api_keys import ApiKey, Scope, id_of, matches, read_key, read_revoked
from dermis.shared.case import PUBLIC_OWNER
from dermis.shared.errors import Kind
from dermis.shared.ports import BlobStore
from dermis.shared.telemetry import log

_MOST_HELD = 10_000
_REALM = 'Bearer realm="dermis"'
KEYLESS_SCOPES = frozenset({Scope.CASES_WRITE, Scope.CASES_READ, Scope.MODELS_READ})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`key_id` is the owner of all cases without a key where nobody named one."""

    key_id: str
    owner: str
    scope: str
    address: str = ""
    rate_headers: tuple[tuple[str, str], ...] = ()

    @property
    def keyless(self) -> bool:
        return self.key_id == PUBLIC_OWNER

    @property
    def line(self) -> str:
        """Who shares with others: a key's owner, or an address, which is kept as a digest."""
        return (
            f"{PUBLIC_OWNER}:{hashlib.sha256(self.address.encode()).hexdigest()[:16]}" if self.keyless else self.owner
        )


class AccessGuard:
    """Lets a call in or says why not; what it knows of a key it knows for `key_cache_seconds`, of unknown keys too."""

    def __init__(
        self, store: BlobStore, rates: Rates, settings: GatewaySettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._rates = rates
        self._settings = settings
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, ApiKey | None]] = OrderedDict()

    async def admit(self, authorization: str | None, *, scope: str, address: str) -> Caller:
        """Return who calls.

        UNAUTHENTICATED without a valid key, PERMISSION without the scope, EXHAUSTED for too many calls.

        `authorization` is the header; `address` the client's, for the rate of those without a key.
        """
        key = await self._key(authorization, address)
        if not (key.may(scope) if key else scope in KEYLESS_SCOPES):
            scopes_of_key = f"this key holds {', '.join(key.scopes)}" if key else "no key was sent"
            challenge = f'{_REALM}, error="insufficient_scope", scope="{scope}"'
            raise RefusedError(
                Kind.PERMISSION,
                "SCOPE",
                f"this needs the scope {scope}; {scopes_of_key}",
                {"WWW-Authenticate": challenge},
            )
        headers = await self._count(key, address)
        if key is None:
            return Caller(key_id=PUBLIC_OWNER, owner=PUBLIC_OWNER, scope=scope, address=address, rate_headers=headers)
        return Caller(key_id=key.key_id, owner=key.owner, scope=scope, rate_headers=headers)

    async def check(self, authorization: str | None, address: str) -> None:
        """Raise UNAUTHENTICATED if what let a long call in doesn't hold any more."""
        await self._key(authorization, address)

    async def close(self) -> None:
        await self._rates.close()

    async def _key(self, authorization: str | None, address: str) -> ApiKey | None:
        """Return the key that a call carries, or None for one without where that is allowed."""
        if authorization is None:
            if self._settings.keyless:
                return None
            detail = "send an API key as `Authorization: Bearer <key>`; `dermis keys create` makes one"
            raise RefusedError(Kind.UNAUTHENTICATED, "KEY_NEEDED", detail, {"WWW-Authenticate": _REALM})
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        key_id = id_of(token) if scheme.lower() == "bearer" else None
        key = await self._find(key_id, address) if key_id else None
        if key is None or not matches(key, token):
            if self._settings.unknown_keys_per_minute:
                await self._rates.hit(f"unknown:{address}", per_minute=self._settings.unknown_keys_per_minute)
            detail = "the API key is not known, or was revoked; send a valid one as `Authorization: Bearer <key>`"
            raise RefusedError(
                Kind.UNAUTHENTICATED, "KEY_INVALID", detail, {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}
            )
        return key

    async def _find(self, key_id: str, address: str) -> ApiKey | None:
        """Return a key.

        EXHAUSTED before any look into the store where the address sent too many unknown ones, and this is none that was
        known.
        """
        now = self._clock()
        until, key = self._held.get(key_id, (0.0, None))
        if now >= until:
            if key is None:
                await self._check_unknown(address)
            key = await run_in_threadpool(self._read, key_id)
            self._held[key_id] = (now + self._settings.key_cache_seconds, key)
            self._held.move_to_end(key_id)
            while len(self._held) > _MOST_HELD:
                self._held.popitem(last=False)
        return key

    async def _check_unknown(self, address: str) -> None:
        most = self._settings.unknown_keys_per_minute
        if most and (wait := await self._rates.wait(f"unknown:{address}", per_minute=most)):
            detail = (
                f"this address sent more than {most} unknown API keys a minute; come again in {wait} s with a valid one"
            )
            raise RefusedError(Kind.EXHAUSTED, "RATE_LIMIT", detail, {"Retry-After": str(wait)})

    def _read(self, key_id: str) -> ApiKey | None:
        try:
            key = read_key(self._store, key_id)
        except ValidationError:
            log.error("key is broken", key_id=key_id)
            return None
        return None if key is None or read_revoked(self._store, key_id) else key

    async def _count(self, key: ApiKey | None, address: str) -> tuple[tuple[str, str], ...]:
        """Count the call and return the headers that say how many are left.

        Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        name, most = (
            ("key", self._settings.rate_per_minute) if key else ("address", self._settings.keyless_rate_per_minute)
        )
        if not most:
            return ()
        rate = await self._rates.hit(f"{name}:{key.key_id if key else address}", per_minute=most)
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
