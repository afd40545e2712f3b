"""Says which addresses of webhooks are outside of the server's own network."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from ipaddress import IPv4Network as _IPv4Network
from urllib.parse import urlsplit

from dermis.shared.errors import DermisError, Kind

Network = _IPv4Network | IPv6Network
_NAT64 = IPv6Network("64:ff9b::/96")
LONGEST_URL = 2000


def networks_of(text: str) -> tuple[Network, ...]:
    """Return the networks of a list like `10.1.0.0/16,fd00::/8`; ValueError if one is none."""
    return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())


def is_listed(address: str, networks: Sequence[Network]) -> bool:
    """Return whether an IP address lies in one of `networks`."""
    plain = _plain(ip_address(address.partition("%")[0]))
    return any(plain in network for network in networks)


def may_be_reached(address: str, networks: Sequence[Network]) -> bool:
    """Return whether a webhook may go to an IP address: a public one, or one in `networks`.

    Private, loopback, link-local, shared and multicast addresses are not public, nor is an IPv6 address that carries
    such an IPv4 one (mapped, 6to4, Teredo, NAT64).
    """
    plain = _plain(ip_address(address.partition("%")[0]))
    return (plain.is_global and not plain.is_multicast) or any(plain in network for network in networks)


def check_webhook_url(url: str, networks: Sequence[Network]) -> None:
    """Raise INVALID if `url` can be no endpoint: https to a public address, or also http into one of `networks`.

    Of a name only its form is checked: what it stands for is looked up at each delivery.
    """
    if not url.isascii() or not url.isprintable() or len(url) > LONGEST_URL:
        raise _refused(url, f"use at most {LONGEST_URL} printable ASCII characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise _refused(url, f"{error}") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and networks):
        raise _refused(url, "use https://")
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused(url, "name a host, and neither a user, a password nor a fragment")
    try:
        reachable = may_be_reached(host, networks)
    except ValueError:  # a name
        reachable = host != "localhost" or bool(networks)
    if not reachable:
        raise _refused(url, "its address is not public; DERMIS_WORKER_WEBHOOK_NETWORKS lists those that are allowed")


def _refused(url: str, remedy: str) -> DermisError:
    plain = url.partition("?")[0][:100]
    return DermisError(Kind.INVALID, "WEBHOOK_URL", f"url: {plain!r} can't be delivered to: {remedy}", pointer="/url")


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address carries, if it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1]) or address
