"""Which addresses may be an OpenID Connect issuer."""

from urllib.parse import urlsplit

_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


def is_issuer(url: str) -> bool:
    """Return whether `url` is https, or http on this machine alone, without query, fragment and password.

    As OpenID Connect Discovery 1.0, section 3, has it, but for http on a machine to try it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.query or parts.fragment or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _THIS_MACHINE)
