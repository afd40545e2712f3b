"""Signs clinicians in by OpenID Connect (authorization code with PKCE); who they are stands in a signed cookie.

The cookie is apart from people's sessions, is sent to the pages of second reads alone, and holds a pseudonym and the
roles, no name.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import FastAPI
from joserfc.errors import JoseError
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response

from dermis.gateway.settings import GatewaySettings
from dermis.shared.errors import DermisError, Kind
from dermis.shared.reviews import reader_id
from dermis.shared.secret import new_secret
from dermis.shared.telemetry import log

PATH = "/ops/reviews"
COOKIE = "dermis_reader"
_TIMEOUT_S = 10
_READER = "reader"


class Role(StrEnum):
    REVIEWER = "reviewer"
    ADJUDICATOR = "adjudicator"


class NotSignedInError(DermisError):
    """Nobody is signed in, or their time is over."""

    def __init__(self) -> None:
        super().__init__(Kind.UNAUTHENTICATED, "SIGN_IN", "sign in first, at /ops/reviews")

    def __reduce__(self) -> tuple[object, ...]:
        return (NotSignedInError, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who is signed in; `token` has to come with each form, so that no other page can send one."""

    reader_id: str
    roles: frozenset[Role]
    token: str

    def require(self, role: Role) -> None:
        """Raise PERMISSION without `role`."""
        if role not in self.roles:
            detail = f"this needs the role {role}; ask whoever runs the server to give it to you, then sign in again"
            raise DermisError(Kind.PERMISSION, "ROLE", detail)

    def check_form(self, token: str) -> None:
        """Raise PERMISSION for a form of another page, or of another session."""
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise DermisError(Kind.PERMISSION, "FORM_TOKEN", "this form is of another session; load the page again")


class SignIn:
    """The way to the provider and back, and who came back.

    `secret` shows the provider who we are; the cookies' key is derived from it, so that a new secret ends all sessions.
    """

    def __init__(self, settings: GatewaySettings, *, secret: str, clock: Callable[[], datetime]) -> None:
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._provider = OAuth().register(
            "dermis",
            client_id=settings.oidc_client_id,
            client_secret=secret,
            server_metadata_url=f"{settings.oidc_issuer}/.well-known/openid-configuration",
            client_kwargs={
                "scope": settings.oidc_scopes,
                "code_challenge_method": "S256",
                "timeout": _TIMEOUT_S,
            },
        )

    def install(self, app: FastAPI) -> None:
        """Have the application keep readers' cookies: host-only, signed, out of scripts' reach, for these pages alone.

        SameSite=Lax, as who comes back from the provider comes from another site.
        """
        app.add_middleware(
            SessionMiddleware,
            secret_key=hmac.new(self._secret.encode(), b"dermis reader cookie", hashlib.sha256).hexdigest(),
            session_cookie=COOKIE,
            max_age=round(self._settings.oidc_session_hours * 3600),
            path=PATH,
            same_site="lax",
            https_only=self._settings.oidc_issuer.startswith("https:"),
        )

    async def leave(self, request: Request) -> Response:
        """Send a browser to the provider; UNAVAILABLE if that doesn't answer."""
        try:
            await self._check_issuer()
            response: Response = await self._provider.authorize_redirect(
                request, str(request.url_for("reader_returns"))
            )
        except (OAuthError, httpx2.HTTPError, RuntimeError, ValueError, KeyError) as error:
            raise _provider_away(error) from error
        return response

    async def come_back(self, request: Request) -> None:
        """Keep who came back from the provider.

        PERMISSION where state, nonce, code or ID token is not right, or the person has no role here.
        """
        try:
            token = await self._provider.authorize_access_token(request)
            claims = dict(token.get("userinfo") or {})
            if claims and _at(claims, self._settings.oidc_roles_claim) is None:
                claims = await self._with_user_info(token, claims)
        except (OAuthError, JoseError) as error:
            log.warning("a sign-in was refused", reason=getattr(error, "error", type(error).__name__))
            raise _refused() from None
        except (httpx2.HTTPError, RuntimeError, ValueError, KeyError) as error:
            raise _provider_away(error) from error
        if not claims.get("sub"):
            raise _refused()
        self._keep(request, claims)

    def reader(self, request: Request) -> Reader:
        """Return who is signed in; raise `NotSignedInError` otherwise."""
        kept: Mapping[str, Any] = request.session.get(_READER) or {}
        if not kept or self._clock().timestamp() >= kept["ends_at"]:
            raise NotSignedInError
        return Reader(reader_id=kept["id"], roles=frozenset(map(Role, kept["roles"])), token=kept["token"])

    def _keep(self, request: Request, claims: Mapping[str, Any]) -> None:
        listed = _at(claims, self._settings.oidc_roles_claim)
        names = {listed} if isinstance(listed, str) else set(map(str, listed)) if isinstance(listed, list) else set()
        ours = {
            self._settings.oidc_reviewer_role: Role.REVIEWER,
            self._settings.oidc_adjudicator_role: Role.ADJUDICATOR,
        }
        roles = [role for name, role in ours.items() if name in names]
        request.session.clear()
        if not roles:
            detail = f"you have no role here; the provider has to name {' or '.join(ours)}"
            raise DermisError(Kind.PERMISSION, "ROLE", detail)
        ends_at = self._clock() + timedelta(hours=self._settings.oidc_session_hours)
        request.session[_READER] = {
            "id": reader_id(self._settings.oidc_issuer, claims["sub"]),
            "roles": roles,
            "token": new_secret(),
            "ends_at": ends_at.timestamp(),
        }

    async def _check_issuer(self) -> None:
        """Raise ValueError where the provider calls itself otherwise (OpenID Connect Discovery 1.0, 4.3)."""
        metadata = await self._provider.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self._settings.oidc_issuer:
            raise ValueError("the provider's issuer is not the one of DERMIS_GATEWAY_OIDC_ISSUER")

    async def _with_user_info(self, token: Mapping[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        """Add what UserInfo says of the same person."""
        metadata = await self._provider.load_server_metadata()
        if "userinfo_endpoint" not in metadata:
            return claims
        more = dict(await self._provider.userinfo(token=token))
        return {**more, **claims} if more.get("sub") == claims.get("sub") else claims


def _at(claims: Mapping[str, Any], path: str) -> Any:
    """Return the claim of this name, or the one that its dots lead to."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _refused() -> DermisError:
    return DermisError(Kind.PERMISSION, "SIGN_IN_REFUSED", "the sign-in could not be completed; begin it anew")


def _provider_away(error: Exception) -> DermisError:
    log.warning("the provider of sign-ins gives no proper answer", fault=type(error).__name__)
    return DermisError(Kind.UNAVAILABLE, "PROVIDER_AWAY", "the sign-in provider does not answer properly; try it later")


def sign_in_of(settings: GatewaySettings, clock: Callable[[], datetime]) -> SignIn | None:
    """Return how clinicians sign in, None where second reads are off; INVALID where the secret can't be read."""
    path = settings.oidc_client_secret_file
    if not settings.offers_second_read or path is None:
        return None
    fault = partial(DermisError, Kind.INVALID, "SETTINGS")
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        name = "DERMIS_GATEWAY_OIDC_CLIENT_SECRET_FILE"
        raise fault(f"{name}={str(path)!r} can't be read ({type(error).__name__}); name the secret's file") from None
    if not secret:
        raise fault(f"DERMIS_GATEWAY_OIDC_CLIENT_SECRET_FILE={str(path)!r} is empty; put the client's secret into it")
    return SignIn(settings, secret=secret, clock=clock)
