"""Whom a request is for, where it comes from, and whose address counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.address import client_address
from dermis.gateway.core.origin import host_name, is_cross_site, is_served
from tests.unit.gateway.conftest import new_key

SUBMIT = ("POST", "/v1/cases")


class TestHosts:
    @pytest.mark.parametrize(
        "host",
        [
            "localhost:8080",
            "127.0.0.1",
            "192.168.1.7:8080",
            "[::1]:8080",
            "gateway:8080",
            "dermis-gateway.dermis.svc:8080",
            "dermis-gateway.dermis.svc.cluster.local",
            "printer.local",
            "a.localhost",
            "Localhost.",
        ],
    )
    def test_addresses_and_names_that_no_page_from_elsewhere_can_have_are_served(self, gateway: Any, host: str) -> None:
        assert gateway.get("/livez", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a@localhost", "a b", "", "[::1"]
    )
    def test_others_are_refused_with_the_remedy(self, gateway: Any, host: str) -> None:
        response = gateway.get("/livez", headers={"Host": host})
        assert (response.status_code, response.json()["reason"]) == (421, "HOST")
        assert "DERMIS_GATEWAY_ALLOWED_HOSTS" in response.json()["detail"]

    def test_names_that_are_set_are_served(self, gateway: Any) -> None:
        gateway.settings["allowed_hosts"] = "Dermis.example.org, *.clinic.example"
        hosts = ("dermis.example.org", "a.clinic.example:443", "clinic.example", "example.org", "evilclinic.example")
        assert [gateway.get("/livez", headers={"Host": host}).status_code for host in hosts] == [
            200,
            200,
            421,
            421,
            421,
        ]
        gateway.settings["allowed_hosts"] = "*"
        assert gateway.get("/livez", headers={"Host": "anything.example"}).status_code == 200

    @given(st.text(max_size=40))
    def test_any_text_is_a_host_or_none(self, text: str) -> None:
        assert is_served(text, ()) <= (host_name(text) is not None)


class TestRedirects:
    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
    @pytest.mark.parametrize(
        "path",
        [
            "/v1/cases/",
            "/v1/images:assess/",
            "/v1/batches/",
            "/v1/models/",
            "/assets",
            "/assets/",
            "/models/",
            "http://gateway//v1/cases",
        ],
    )
    def test_no_path_is_redirected(self, gateway: Any, jpeg: bytes, method: str, path: str) -> None:
        for headers in ({}, {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example"}):
            response = gateway.call(method, path, files={"images": jpeg}, headers=headers)
            assert response.status_code in (404, 405)
            assert "location" not in response.headers
        assert gateway.keys == []

    def test_locations_name_no_host(self, gateway: Any, jpeg: bytes) -> None:
        assert gateway.submit(jpeg, headers={"Host": "gateway"}).headers["location"].startswith("/v1/cases/case_")


class TestCrossSite:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://test:9999", "Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://test.evil.example"},
        ],
    )
    def test_a_page_of_another_origin_writes_nothing_without_a_key(
        self, gateway: Any, jpeg: bytes, headers: dict[str, str]
    ) -> None:
        location = gateway.submit(jpeg).headers["location"]
        stored = gateway.keys
        for method, path in (
            SUBMIT,
            ("POST", "/v1/images:assess"),
            ("DELETE", location),
            ("POST", f"{location}/feedback"),
        ):
            response = gateway.call(method, path, headers=headers)
            assert (response.status_code, response.json()["reason"]) == (403, "CROSS_SITE")
        assert gateway.keys == stored

    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://test", "Sec-Fetch-Site": "same-origin"},
            {"Sec-Fetch-Site": "none"},
            {"Origin": "http://test"},
            {},
        ],
    )
    def test_its_own_page_and_other_clients_do(self, gateway: Any, jpeg: bytes, headers: dict[str, str]) -> None:
        assert gateway.submit(jpeg, headers=headers).status_code == 202

    def test_reading_origins_that_are_set_and_keys_are_not_refused(self, gateway: Any, jpeg: bytes) -> None:
        other = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
        assert gateway.get("/livez", headers=other).status_code == 200
        _, key = new_key(gateway)
        assert gateway.submit(jpeg, headers=other | key).status_code == 202
        gateway.settings["cors_origins"] = "https://app.example"
        assert gateway.submit(jpeg, headers=other).status_code == 202

    @given(st.sampled_from(["GET", "HEAD", "OPTIONS"]), st.text(), st.text(), st.text())
    def test_reading_is_never_cross_site(self, method: str, host: str, origin: str, site: str) -> None:
        assert not is_cross_site(method=method, host=host, origin=origin, fetch_site=site, allowed_origins=())


class TestAddresses:
    @pytest.mark.parametrize(
        ("forwarded", "proxies", "address"),
        [
            ([], 0, "10.0.0.1"),
            (["192.0.2.1"], 0, "10.0.0.1"),
            (["192.0.2.1"], 1, "192.0.2.1"),
            (["6.6.6.6, 192.0.2.1"], 1, "192.0.2.1"),
            (["6.6.6.6", "192.0.2.1, 10.0.0.9"], 2, "192.0.2.1"),
            (["192.0.2.1"], 2, "10.0.0.1"),
            (["nonsense"], 1, "10.0.0.1"),
            (["192.0.2.1:4711"], 1, "192.0.2.1"),
            (["[2001:db8:1:2:3:4:5:6]:4711"], 1, "2001:db8:1:2::/64"),
            (["2001:db8:1:2::9%eth0"], 1, "2001:db8:1:2::/64"),
            (["::ffff:192.0.2.1"], 1, "192.0.2.1"),
        ],
    )
    def test_only_what_trusted_proxies_wrote_counts(self, forwarded: list[str], proxies: int, address: str) -> None:
        assert client_address("10.0.0.1", forwarded, proxies=proxies) == address

    def test_nobody_escapes_a_rate_by_a_header(self, gateway: Any) -> None:
        gateway.settings |= {"keyless": False, "unknown_keys_per_minute": 2}
        answers = [
            gateway.get(
                "/v1/models",
                headers={
                    "Authorization": f"Bearer key_01k9x4q7e8f3rtw5m2c6b0dv{n:02d}.x",
                    "X-Forwarded-For": f"192.0.2.{n}",
                },
            ).status_code
            for n in range(10, 15)
        ]
        assert answers == [401, 401, 429, 429, 429]
