"""Clinicians sign in at a real OpenID Connect provider; what is not right on the way back opens nothing."""

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from dermis.gateway.sign_in import COOKIE
from tests.support.oidc import provider, variables, way_back
from tests.unit.gateway.conftest import Browser, Gateway


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with provider() as address:
        yield address


@pytest.fixture
def gateway(issuer: str, tmp_path: Path) -> Iterator[Gateway]:
    with asyncio.Runner() as runner:
        gateway = Gateway(runner)
        values = variables(issuer, tmp_path)
        gateway.settings |= {name.removeprefix("DERMIS_GATEWAY_").lower(): value for name, value in values.items()}
        yield gateway


def left(browser: Browser) -> str:
    """Return where the gateway sends a browser that wants to sign in."""
    response = browser.get("/ops/reviews/sign-in")
    assert response.status_code == 302, response.text
    return str(response.headers["location"])


def returned(browser: Browser, address: str) -> Any:
    parts = urlsplit(address)
    assert (parts.netloc, parts.path) == ("test", "/ops/reviews/callback")
    return browser.get(f"{parts.path}?{parts.query}")


def test_a_reviewer_comes_in_by_code_and_pkce_and_is_known_by_a_pseudonym_alone(
    gateway: Gateway, issuer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    browser = Browser(gateway)
    address = left(browser)
    assert address.startswith(f"{issuer}/")
    asked = parse_qs(urlsplit(address).query)
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    assert all(len(asked[name][0]) >= 16 for name in ("state", "nonce", "code_challenge"))
    response = returned(browser, way_back(address, "ann"))
    assert (response.status_code, response.headers["location"]) == (303, "/ops/reviews")
    cookie = response.headers["set-cookie"].lower()
    assert all(part in cookie for part in (f"{COOKIE}=", "path=/ops/reviews", "httponly", "samesite=lax"))
    assert "domain" not in cookie
    assert browser.get("/ops/reviews").status_code == 200
    assert browser.get("/ops/reviews/adjudications").status_code == 403
    assert "ann" not in capsys.readouterr().out.replace("cannot", "")


def test_an_adjudicator_comes_in_and_a_visitor_does_not(gateway: Gateway) -> None:
    adjudicator, visitor = Browser(gateway), Browser(gateway)
    assert returned(adjudicator, way_back(left(adjudicator), "adj")).status_code == 303
    assert adjudicator.get("/ops/reviews/adjudications").status_code == 200
    assert returned(visitor, way_back(left(visitor), "eve")).status_code == 403
    assert visitor.get("/ops/reviews").status_code == 401


def test_a_way_back_works_in_its_own_browser_and_once(gateway: Gateway) -> None:
    browser, other = Browser(gateway), Browser(gateway)
    address = way_back(left(browser), "ann")
    assert returned(other, address).status_code == 403
    assert other.get("/ops/reviews").status_code == 401
    assert returned(browser, address).status_code == 303
    assert returned(browser, address).status_code == 403


@pytest.mark.parametrize("wrong", [{"state": "another"}, {"code": "another"}, {"error": "access_denied"}])
def test_another_state_or_code_and_a_refusal_open_nothing(gateway: Gateway, wrong: dict[str, str]) -> None:
    browser = Browser(gateway)
    parts = urlsplit(way_back(left(browser), "ann"))
    address = parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | wrong)).geturl()
    response = returned(browser, address)
    assert response.status_code == 403
    assert browser.get("/ops/reviews").status_code == 401


def test_an_id_token_for_another_nonce_opens_nothing(gateway: Gateway) -> None:
    browser = Browser(gateway)
    parts = urlsplit(left(browser))
    address = parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | {"nonce": "another"})).geturl()
    assert returned(browser, way_back(address, "ann")).status_code == 403
    assert browser.get("/ops/reviews").status_code == 401


def test_no_address_leads_elsewhere_after_the_sign_in(gateway: Gateway) -> None:
    browser = Browser(gateway)
    response = browser.get("/ops/reviews/sign-in?next=https://evil.example&return_to=//evil.example")
    assert "evil" not in response.headers["location"]
    back = way_back(response.headers["location"], "ann") + "&next=https://evil.example"
    assert returned(browser, back).headers["location"] == "/ops/reviews"


def test_a_provider_that_is_away_is_named_as_such(gateway: Gateway) -> None:
    gateway.settings["oidc_issuer"] = "http://127.0.0.1:9"
    assert Browser(gateway).get("/ops/reviews/sign-in").status_code == 503


def test_a_provider_that_calls_itself_otherwise_is_not_taken(gateway: Gateway) -> None:
    class Impostor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"http://{self.headers['Host']}"
            body = json.dumps({"issuer": "https://login.example.org", "authorization_endpoint": address}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Impostor) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        gateway.settings["oidc_issuer"] = f"http://127.0.0.1:{server.server_address[1]}"
        assert Browser(gateway).get("/ops/reviews/sign-in").status_code == 503
        server.shutdown()
