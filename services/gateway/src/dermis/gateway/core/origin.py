"""Whom a request is meant for, and which page sends it."""

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
_LOCAL = (".localhost", ".local", ".internal", ".svc")
READING = ("GET", "HEAD", "OPTIONS")


def host_name(host: str) -> str | None:
    """Return the name in a Host header (RFC 9110, 7.2) without its port, in lower case; None if it has none."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower().removesuffix(".") if match else None


def is_served(host: str, allowed: Collection[str]) -> bool:
    """Return whether a request for `host` is for this service.

    Addresses, names without a dot and names that no public DNS gives out are, as no page from elsewhere can stand
    behind them (DNS rebinding); so is what `allowed` names: a name, `*.example.org` for all below it, or `*` for any.
    """
    name = host_name(host)
    if name is None:
        return False
    if "*" in allowed or name in allowed or any(each.startswith("*.") and name.endswith(each[1:]) for each in allowed):
        return True
    if "." not in name or name.endswith(_LOCAL):
        return True
    return _is_address(name)


def is_cross_site(
    *, method: str, host: str, origin: str | None, fetch_site: str | None, allowed_origins: Collection[str]
) -> bool:
    """Return whether a page of another origin has a browser write here (Fetch Metadata; Origin, RFC 6454).

    A client that is no browser sends neither header. Another port of the same host is another origin.
    """
    if method in READING or origin in allowed_origins or "*" in allowed_origins:
        return False
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
