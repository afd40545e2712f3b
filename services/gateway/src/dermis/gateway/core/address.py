"""Who is at the other end: the client's address, as the nearest proxies that are trusted say it."""

import ipaddress
from collections.abc import Sequence


def client_address(peer: str, forwarded: Sequence[str], *, proxies: int) -> str:
    """Return the address of the client behind `proxies` proxies.

    Each of them adds to X-Forwarded-For whom it was asked by.

    `peer` is who connected, `forwarded` the header's lines in order. What stands further left than the proxies wrote
    may be anything and is not looked at; without a proxy, or where an entry is missing or no address, it is `peer`. Of
    an IPv6 address the network is returned (/64), all of which one host has (RFC 6177).
    """
    entries = [entry.strip() for line in forwarded for entry in line.split(",")]
    if proxies and len(entries) >= proxies and (address := _address(entries[-proxies])):
        return address
    return _address(peer) or peer


def _address(text: str) -> str | None:
    """Return an address without port, brackets and zone; None if it is none."""
    bare = text.rpartition(":")[0] if text.count(":") == 1 else text
    bare = bare.removeprefix("[").partition("]")[0].partition("%")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False)) if not address.is_loopback else str(address)
    return str(address)
