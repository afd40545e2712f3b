"""People without a key: each browser sees its own cases alone, by every route, and is counted."""

import asyncio
import secrets
from typing import Any

import pytest

from dermis.gateway.sessions import session_owner
from dermis.shared.case import case_key
from dermis.shared.ids import is_id, new_id
from tests.unit.gateway.conftest import Browser, visiting
from tests.unit.gateway.test_auth import GUARDED, SHARE, body_of, fill, keep_upload, scope_of

OF_CASES = [(method, path) for method, path in GUARDED if path.startswith(("/v1/cases", "/v1/uploads"))]


class TestCookie:
    def test_the_first_view_of_the_page_makes_a_session_that_no_script_reads(self, offered: Any) -> None:
        response = offered.get("/")
        cookie = response.headers["set-cookie"]
        assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=2592000"} <= set(cookie.split("; "))
        assert "Secure" not in cookie
        assert response.headers["cache-control"] == "private, no-cache"
        assert len({offered.get("/").headers["set-cookie"] for _ in range(3)}) == 3

    def test_under_tls_it_is_sent_by_tls_alone_and_set_by_this_host_alone(self, offered: Any) -> None:
        offered.settings["trusted_proxies"] = 1
        cookie = offered.get("/", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
        assert cookie.startswith("__Host-dermis_session=")
        assert "Secure" in cookie.split("; ")
        assert "Domain" not in cookie
        offered.settings["trusted_proxies"] = 0  # nobody vouches for what the header says
        assert "Secure" not in offered.get("/", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]

    def test_a_later_view_keeps_it_for_as_long_again(self, browser: Browser) -> None:
        secret = browser.jar["dermis_session"]
        response = browser.get("/cases/case_x")
        assert f"dermis_session={secret};" in response.headers["set-cookie"]

    @pytest.mark.parametrize("kept", ["", "short", "../public", "s" * 44, "public"])
    def test_a_cookie_that_is_none_of_ours_is_nobodys(self, offered: Any, jpeg: bytes, kept: str) -> None:
        browser = Browser(offered, Cookie=f"dermis_session={kept}")
        assert browser.call("POST", "/v1/cases", files={"images": jpeg}).json()["reason"] == "KEY_NEEDED"
        assert session_owner(kept) is None

    def test_what_another_page_embeds_changes_no_session(self, offered: Any) -> None:
        for embedded in ("image", "iframe", "empty"):
            assert "set-cookie" not in offered.get("/", headers={"Sec-Fetch-Dest": embedded}).headers

    def test_where_the_page_is_closed_there_is_no_session(self, gateway: Any, jpeg: bytes) -> None:
        gateway.settings["keyless"] = False
        assert "set-cookie" not in gateway.get("/").headers
        secret = {"Cookie": f"dermis_session={'s' * 43}"}
        assert gateway.submit(jpeg, headers=secret).status_code == 401

    def test_the_owner_tells_nothing_of_the_secret_and_neither_is_logged(
        self, browser: Browser, jpeg: bytes, capsys: pytest.CaptureFixture[str]
    ) -> None:
        case_id = browser.case(jpeg)
        browser.call("DELETE", f"/v1/cases/{case_id}")
        browser.gateway.audit.flush()
        secret = browser.jar["dermis_session"]
        stored = b"".join(browser.gateway.store.get(key) for key in browser.gateway.keys)
        assert is_id("session", browser.owner)
        assert browser.owner.encode() in stored
        assert secret.encode() not in stored
        assert secret not in capsys.readouterr().out
        assert secret not in " ".join(browser.gateway.keys)


class TestOwnership:
    def test_whoever_sent_a_case_sees_lists_and_erases_it(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        assert browser.get(f"/v1/cases/{case_id}").json()["access"] == "OWNER"
        assert [case["id"] for case in browser.get("/v1/cases").json()["cases"]] == [case_id]
        assert browser.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
        assert browser.get(f"/v1/cases/{case_id}").json()["reason"] == "CASE_ERASED"

    @pytest.mark.parametrize(("method", "path"), OF_CASES)
    def test_another_browser_and_none_see_and_change_nothing_by_any_route(
        self, offered: Any, jpeg: bytes, method: str, path: str
    ) -> None:
        mine, other = visiting(offered), visiting(offered)
        case_id = mine.case(jpeg)
        keep_upload(offered.store, mine.owner, jpeg)
        share_id = mine.call("POST", f"/v1/cases/{case_id}/shares", json={}).json()["id"]
        folders = (f"{case_key(mine.owner, case_id)}/", f"uploads/{mine.owner}/")
        before = [key for folder in folders for key in offered.store.list(folder)]
        body = body_of(method, path, jpeg)
        place = fill(path, case_id).replace(SHARE, share_id)
        for who in (other, Browser(offered)):
            response = who.call(method, place, **body)
            if who is other and "{case_id}" in path:
                assert (response.status_code, response.json()["reason"]) == (404, "CASE_NOT_FOUND")
            elif who is not other:
                assert (response.status_code, response.json()["reason"]) == (401, "KEY_NEEDED")
            assert case_id not in response.text.replace(f"no case '{case_id}'", "")
        assert [key for folder in folders for key in offered.store.list(folder)] == before
        if method == "GET":
            assert mine.call(method, place, **body).is_success

    def test_a_key_is_no_session_and_a_session_needs_no_key(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        refused = browser.get(f"/v1/cases/{case_id}", headers={"Authorization": "Bearer key_x.y"})
        assert refused.json()["reason"] == "KEY_INVALID"

    def test_a_session_may_do_no_more_than_people_may(self, browser: Browser) -> None:
        for method, path in GUARDED:
            if scope_of(method, path) == "admin":
                response = browser.call(method, fill(path, new_id("case")))
                assert (response.status_code, response.json()["reason"]) == (403, "SCOPE")

    def test_models_can_be_read_before_there_is_a_cookie(self, offered: Any) -> None:
        assert offered.get("/v1/conditions").status_code == 200
        assert offered.get("/ops/models").status_code == 200


class TestKeyless:
    """Where callers without a key are served, whoever knows the id of one of theirs may see and erase it, as before."""

    def test_cases_without_a_session_stay_readable_by_id_and_erasable_for_a_browser(
        self, gateway: Any, jpeg: bytes
    ) -> None:
        case_id = gateway.submit(jpeg).json()["id"]
        browser = visiting(gateway)
        assert browser.get(f"/v1/cases/{case_id}").json()["id"] == case_id
        assert browser.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
        assert browser.get(f"/v1/cases/{case_id}").json()["reason"] == "CASE_ERASED"

    def test_what_a_browser_sends_is_its_own_all_the_same(self, gateway: Any, jpeg: bytes) -> None:
        mine, other = visiting(gateway), visiting(gateway)
        case_id = mine.case(jpeg)
        assert mine.get(f"/v1/cases/{case_id}").status_code == 200
        for who in (other, Browser(gateway)):
            assert who.get(f"/v1/cases/{case_id}").status_code == 404
            assert who.call("DELETE", f"/v1/cases/{case_id}").status_code == 404


class TestForeignPages:
    WRITES = (("POST", "/v1/cases"), ("POST", "/v1/uploads"), ("DELETE", "/v1/cases/case_01k9x4q7e8f3rtw5m2c6b0dvza"))

    @pytest.mark.parametrize(("method", "path"), WRITES)
    @pytest.mark.parametrize(
        "sent",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://elsewhere.example"},
            {"Origin": "null"},
        ],
    )
    def test_no_other_origin_writes_with_a_session_whatever_it_may_without(
        self, browser: Browser, method: str, path: str, sent: dict[str, str]
    ) -> None:
        browser.gateway.settings["cors_origins"] = "*"
        response = browser.call(method, path, headers=sent)
        assert (response.status_code, response.json()["reason"]) == (403, "CROSS_SITE")

    def test_its_own_page_does(self, browser: Browser, jpeg: bytes) -> None:
        own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://test"}
        assert browser.call("POST", "/v1/cases", files={"images": jpeg}, headers=own).status_code == 202

    def test_no_page_of_elsewhere_may_read_with_a_session(self, browser: Browser, jpeg: bytes) -> None:
        browser.gateway.settings["cors_origins"] = "https://elsewhere.example"
        case_id = browser.case(jpeg)
        headers = browser.get(f"/v1/cases/{case_id}", headers={"Origin": "https://elsewhere.example"}).headers
        assert "access-control-allow-credentials" not in headers
        assert headers["cross-origin-resource-policy"] == "same-origin"


class TestRates:
    def test_sessions_and_addresses_are_counted_unless_that_is_off(self, browser: Browser) -> None:
        response = browser.get("/v1/cases")
        assert response.headers["ratelimit-policy"] == '"session";q=240;w=60'
        assert set(browser.gateway.rates.calls) == {f"session:{browser.owner}", "address:127.0.0.1"}
        browser.gateway.guard = None
        browser.gateway.settings |= {"keyless_rate_per_minute": 0, "session_rate_per_minute": 0}
        assert "ratelimit" not in browser.get("/v1/cases").headers

    def test_a_session_that_calls_too_often_is_refused_and_another_goes_on(self, offered: Any) -> None:
        offered.settings["session_rate_per_minute"] = 2
        first, other = visiting(offered), visiting(offered)
        assert [first.get("/v1/cases").status_code for _ in range(3)] == [200, 200, 429]
        assert first.get("/v1/cases").headers["retry-after"] == "7"
        assert other.get("/v1/cases").status_code == 200

    def test_new_sessions_are_no_way_around_the_rate_of_an_address(self, offered: Any) -> None:
        offered.settings["keyless_rate_per_minute"] = 3
        answers = [
            Browser(offered, Cookie=f"dermis_session={secrets.token_urlsafe(32)}").get("/v1/cases").status_code
            for _ in range(5)
        ]
        assert answers == [200, 200, 200, 429, 429]


def test_two_browsers_at_once_never_get_each_others_case(offered: Any, jpeg: bytes) -> None:
    browsers = [visiting(offered) for _ in range(4)]

    async def send_all() -> list[str]:
        async with offered.client() as client:
            calls = [
                client.post(
                    "/v1/cases",
                    files={"images": jpeg},
                    headers={"Cookie": f"dermis_session={each.jar['dermis_session']}", "Idempotency-Key": "k"},
                )
                for each in browsers
            ]
            return [(await call).json()["id"] for call in asyncio.as_completed(calls)]

    ids = offered.runner.run(send_all())
    assert len(set(ids)) == 4
    seen = [{case["id"] for case in each.get("/v1/cases").json()["cases"]} for each in browsers]
    assert sorted(map(len, seen)) == [1] * 4
    assert set.union(*seen) == set(ids)
