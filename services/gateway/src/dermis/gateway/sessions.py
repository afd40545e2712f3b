"""A browser's session: a cookie with a secret, of which the owner of its cases is a digest; the store holds neither."""

from starlette.requests import Request
from starlette.responses import Response

from dermis.shared.ids import id_of_digest
from dermis.shared.secret import digest_of, is_secret, new_secret

_NAME = "dermis_session"


def session_owner(secret: str) -> str | None:
    """Return whose cases a session's secret opens, None for text that is no secret of ours.

    The secret is 32 random bytes and the owner 16 bytes of its SHA-256: who sees the owner, in a key of the store or in
    an audit record, can't tell the secret.
    """
    if not is_secret(secret):
        return None
    return id_of_digest("session", bytes.fromhex(digest_of(secret)))


def cookie_of(request: Request) -> str | None:
    """Return the session's secret that a request carries."""
    return request.cookies.get(_cookie_name(request))


def keep_session(request: Request, response: Response, *, days: int) -> None:
    """Have the browser keep its session for `days` from now on, a new one if it has none.

    Only where a person opens the page: what a page of elsewhere embeds must not change whose the browser's cases are.
    `__Host-` keeps a neighbour's page from setting it (RFC 6265bis, 4.1.3.2); it needs TLS.
    """
    if request.headers.get("sec-fetch-dest", "document") != "document":
        return
    kept = cookie_of(request) or ""
    secret = kept if session_owner(kept) else new_secret()
    response.set_cookie(
        _cookie_name(request),
        secret,
        max_age=days * 24 * 3600,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",  # strict would give whoever comes by a link of elsewhere a new session in place of theirs
    )
    response.headers["Cache-Control"] = "private, no-cache"


def has_session(cookies: str) -> bool:
    """Return whether a Cookie header may hold a session."""
    return _NAME in cookies


def _cookie_name(request: Request) -> str:
    return f"__Host-{_NAME}" if request.url.scheme == "https" else _NAME
