"""Secrets that we make: of API keys, sessions and links. Who holds one is known by its digest alone.

A secret is 32 random bytes, so a plain SHA-256 is the right hash: there is nothing to guess, and a slow hash (argon2,
bcrypt), which protects what people choose, would only cost each request its time.
"""

import hashlib
import hmac
import re
import secrets

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


def new_secret() -> str:
    return secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Return whether a text has the form of a secret of ours."""
    return _SECRET.fullmatch(text) is not None


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, digest: str) -> bool:
    """Return whether a secret is that of a digest, in a time that tells nothing of it."""
    return hmac.compare_digest(digest_of(secret), digest)
