"""Which addresses a webhook may go to."""

import pytest

from dermis.shared.addresses import check_webhook_url, is_listed, may_be_reached, networks_of
from dermis.shared.errors import DermisError

INSIDE = (
    "127.0.0.1",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - looked at, not bound
    "224.0.0.1",
    "::1",
    "fe80::1%eth0",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
)


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_never_reached_unless_it_is_listed(address: str) -> None:
    assert not may_be_reached(address, ())
    assert not may_be_reached(address, networks_of("203.0.113.0/24"))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_a_public_address_is_reached(address: str) -> None:
    assert may_be_reached(address, ())


def test_a_listed_network_is_reached() -> None:
    networks = networks_of("10.1.0.0/16, ::1/128")
    assert may_be_reached("10.1.2.3", networks)
    assert is_listed("::ffff:10.1.2.3", networks)
    assert not may_be_reached("10.2.2.3", networks)
    assert not is_listed("93.184.216.34", networks)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://u:p@example.org/",
        "https://example.org/#a",
        "https://example.org:99999/",
        "ftp://example.org/",
        "https:///x",
        "https://exa mple.org/\n",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_a_url_that_can_be_no_endpoint_is_refused_with_a_remedy(url: str) -> None:
    with pytest.raises(DermisError) as refused:
        check_webhook_url(url, ())
    assert (refused.value.reason, refused.value.pointer) == ("WEBHOOK_URL", "/url")


def test_http_is_for_listed_networks_alone() -> None:
    check_webhook_url("https://example.org/hook?tenant=1", ())
    check_webhook_url("http://127.0.0.1:9000/", networks_of("127.0.0.0/8"))
    check_webhook_url("http://receiver.internal/", networks_of("10.0.0.0/8"))
