"""A link to a case: who has it sees that one case until it ends, is revoked or its case is erased, by every route."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dermis.gateway.shares import MOST_LINKS, Shares, token_of
from dermis.shared.case import case_key
from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from tests.unit.gateway.conftest import Browser, new_key, visiting
from tests.unit.gateway.test_auth import GUARDED, READS, SHARE, UPLOAD, body_of, fill

OF_CASE = [(method, path) for method, path in GUARDED if "{case_id}" in path]
SEES = [(method, path) for method, path in OF_CASE if method in READS and not path.endswith("/shares")]
CHANGES = [each for each in OF_CASE if each not in SEES]


def share(owner: Browser, case_id: str, **asked: Any) -> dict[str, Any]:
    response = owner.call("POST", f"/v1/cases/{case_id}/shares", json=asked)
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def bearer(link: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {link['url'].removeprefix('/shared/')}"}


def opened(gateway: Any, link: dict[str, Any]) -> Browser:
    """Return another browser, in which the link was opened."""
    other = visiting(gateway)
    response = other.get(link["url"])
    assert response.status_code == 303, response.text
    return other


def asked_by(gateway: Any, way: str, link: dict[str, Any]) -> Browser:
    return opened(gateway, link) if way == "browser" else Browser(gateway, **bearer(link))


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["reason"]


class TestOpening:
    def test_a_browser_keeps_the_token_for_this_case_alone_out_of_reach_of_scripts(
        self, browser: Browser, jpeg: bytes
    ) -> None:
        case_id = browser.case(jpeg)
        response = visiting(browser.gateway).get(share(browser, case_id)["url"] + "?lang=es")
        assert response.headers["location"] == f"/cases/{case_id}?lang=es"
        cookies = response.headers.get_list("set-cookie")
        paths = {f"Path=/v1/cases/{case_id}", f"Path=/cases/{case_id}"}
        assert [set(cookie.split("; ")) & paths for cookie in cookies] == [{path} for path in sorted(paths)[::-1]]
        assert all({"HttpOnly", "SameSite=lax"} <= set(cookie.split("; ")) for cookie in cookies)
        assert response.headers["referrer-policy"] == "no-referrer"

    def test_its_owner_stays_the_owner(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        assert "set-cookie" not in browser.get(share(browser, case_id)["url"]).headers
        assert browser.get(f"/v1/cases/{case_id}").json()["access"] == "OWNER"

    def test_where_callers_need_a_key_a_link_opens_all_the_same(self, gateway: Any, jpeg: bytes) -> None:
        gateway.settings["keyless"] = False
        _, key = new_key(gateway)
        case_id = gateway.submit(jpeg, headers=key).json()["id"]
        link = gateway.call("POST", f"/v1/cases/{case_id}/shares", json={}, headers=key).json()
        visitor = Browser(gateway)
        assert visitor.get(link["url"]).status_code == 303
        assert visitor.get(f"/cases/{case_id}").status_code == 200
        assert visitor.get(f"/v1/cases/{case_id}").json()["access"] == "READ"
        assert visitor.get("/v1/cases").status_code == 401

    @pytest.mark.parametrize("wrong", ["x", "a.b.c.d", "share_.", "x" * 3000])
    def test_what_is_no_link_says_so_as_a_page(self, offered: Any, wrong: str) -> None:
        response = offered.get(f"/shared/{wrong}")
        assert response.status_code == 404
        assert "<main" in response.text

    def test_a_changed_link_opens_nothing_and_is_counted(self, browser: Browser, jpeg: bytes) -> None:
        browser.gateway.settings["unknown_keys_per_minute"] = 4
        browser.gateway.guard = None
        case_id, other_id = browser.case(jpeg), browser.case(jpeg)
        token = share(browser, case_id)["url"].removeprefix("/shared/")
        share_id, case_part, owner, secret = token.split(".")
        stranger = visiting(browser.gateway)
        for parts in (
            (share_id, case_part, owner, "A" * 43),
            (new_id("share"), case_part, owner, secret),
            (share_id, other_id.removeprefix("case_"), owner, secret),
            (share_id, case_part, stranger.owner, secret),
        ):
            assert stranger.get(f"/shared/{'.'.join(parts)}").status_code == 404
        assert stranger.get(f"/shared/{token}").status_code == 429

    def test_what_it_costs_is_two_looks_at_the_store(self, browser: Browser, jpeg: bytes) -> None:
        token = token_of(share(browser, browser.case(jpeg))["url"].removeprefix("/shared/"))
        assert token
        store: Any = browser.gateway.store
        looks: list[str] = []
        get, written_at = store.get, store.written_at
        store.list = None
        store.get = lambda key, **most: (looks.append(key), get(key, **most))[1]
        store.written_at = lambda key: (looks.append(key), written_at(key))[1]
        assert Shares(store=store, clock=browser.gateway.clock).open(token)
        assert len(looks) == 2


@pytest.mark.parametrize("way", ["browser", "header"])
class TestMatrix:
    def test_who_has_it_sees_the_case_by_every_route(self, browser: Browser, jpeg: bytes, way: str) -> None:
        case_id = browser.case(jpeg)
        visitor = asked_by(browser.gateway, way, share(browser, case_id))
        for method, path in SEES:
            response = visitor.call(method, fill(path, case_id))
            assert response.is_success, (path, response.text)
        assert visitor.get(f"/v1/cases/{case_id}").json()["access"] == "READ"
        assert '"access":"READ"' in visitor.get(f"/v1/cases/{case_id}/events").text

    def test_a_browser_without_scripts_sees_it_and_is_offered_no_erasure(
        self, browser: Browser, jpeg: bytes, way: str
    ) -> None:
        case_id = browser.case(jpeg)
        page = asked_by(browser.gateway, way, share(browser, case_id)).get(f"/cases/{case_id}/plain")
        assert page.status_code == 200
        assert "/erase" not in page.text
        assert "/erase" in browser.get(f"/cases/{case_id}/plain").text
        erased = asked_by(browser.gateway, way, share(browser, case_id)).call("POST", f"/cases/{case_id}/erase")
        assert erased.status_code == 403

    @pytest.mark.parametrize(("method", "path"), CHANGES)
    def test_and_changes_nothing(self, browser: Browser, jpeg: bytes, way: str, method: str, path: str) -> None:
        case_id = browser.case(jpeg)
        link = share(browser, case_id)
        visitor = asked_by(browser.gateway, way, link)
        before = browser.gateway.kept
        response = visitor.call(method, fill(path, case_id).replace(SHARE, link["id"]), **body_of(method, path, jpeg))
        assert problem(response) == (403, "SCOPE")
        assert browser.gateway.kept == before

    def test_it_opens_no_other_case_and_no_list(self, browser: Browser, jpeg: bytes, way: str) -> None:
        case_id, other_id = browser.case(jpeg), browser.case(jpeg)
        visitor = asked_by(browser.gateway, way, share(browser, case_id))
        assert problem(visitor.get(f"/v1/cases/{other_id}")) == (404, "CASE_NOT_FOUND")
        listed = visitor.get("/v1/cases")
        assert other_id not in listed.text
        assert case_id not in listed.text
        assert not visitor.call("DELETE", f"/v1/uploads/{UPLOAD}", headers=bearer(share(browser, case_id))).is_success

    @pytest.mark.parametrize("end", ["revoked", "expired", "erased"])
    @pytest.mark.parametrize(("method", "path"), OF_CASE)
    def test_once_it_has_ended_it_opens_nothing_by_any_route(
        self, browser: Browser, jpeg: bytes, way: str, end: str, method: str, path: str
    ) -> None:
        case_id = browser.case(jpeg)
        link = share(browser, case_id, may_erase=True, expires_in_seconds=3600)
        visitor = asked_by(browser.gateway, way, link)
        assert visitor.get(f"/v1/cases/{case_id}").status_code == 200
        reason = end_it(browser, case_id, link, end)
        place = fill(path, case_id).replace(SHARE, link["id"])
        before = browser.gateway.kept
        response = visitor.call(method, place, **body_of(method, path, jpeg))
        assert problem(response) == (404, reason)
        assert browser.gateway.kept == before
        page = visiting(browser.gateway).get(link["url"])
        assert page.status_code == 404
        assert "set-cookie" not in page.headers


def end_it(owner: Browser, case_id: str, link: dict[str, Any], end: str) -> str:
    """End a link and return what is answered by it from then on."""
    if end == "revoked":
        for _ in range(2):
            assert owner.call("DELETE", f"/v1/cases/{case_id}/shares/{link['id']}").status_code == 204
        return "LINK_REVOKED"
    if end == "expired":
        owner.gateway.clock = lambda: datetime.now(UTC) + timedelta(seconds=3601)
        return "LINK_EXPIRED"
    assert owner.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
    return "LINK_NOT_FOUND"


class TestOwnersLink:
    def test_it_may_do_all_that_its_owner_may_with_the_case(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        tablet = opened(browser.gateway, share(browser, case_id, may_erase=True))
        assert tablet.get(f"/v1/cases/{case_id}").json()["access"] == "OWNER"
        assert tablet.call("POST", f"/v1/cases/{case_id}/feedback", json={"helpful": True}).status_code == 201
        assert share(tablet, case_id)["may_erase"] is False
        assert tablet.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
        assert browser.get(f"/v1/cases/{case_id}").json()["reason"] == "CASE_ERASED"


class TestManaging:
    def test_the_owner_sees_all_links_without_their_secrets(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        first, second = share(browser, case_id), share(browser, case_id, expires_in_seconds=60)
        browser.call("DELETE", f"/v1/cases/{case_id}/shares/{first['id']}")
        response = browser.get(f"/v1/cases/{case_id}/shares")
        shares = response.json()["shares"]
        assert [(each["id"], each["revoked_at"] is not None) for each in shares] == [
            (first["id"], True),
            (second["id"], False),
        ]
        assert second["url"].rpartition(".")[2] not in response.text
        stored = b"".join(map(browser.gateway.store.get, browser.gateway.keys)).decode("latin-1")
        assert second["url"].rpartition(".")[2] not in stored

    def test_links_are_bounded_in_number_and_time(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        for seconds in (59, 400 * 24 * 3600 + 1, "x"):
            asked = {"expires_in_seconds": seconds}
            assert browser.call("POST", f"/v1/cases/{case_id}/shares", json=asked).status_code == 422
        for _ in range(MOST_LINKS):
            share(browser, case_id)
        assert problem(browser.call("POST", f"/v1/cases/{case_id}/shares", json={})) == (409, "LINKS_FULL")

    def test_there_are_none_of_a_case_that_is_erased_or_never_was(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        share(browser, case_id)
        browser.call("DELETE", f"/v1/cases/{case_id}")
        assert not list(browser.gateway.store.list(f"{case_key(browser.owner, case_id)}/shares/"))
        for place, reason in ((case_id, "CASE_ERASED"), (new_id("case"), "CASE_NOT_FOUND"), ("x", "CASE_NOT_FOUND")):
            assert problem(browser.call("POST", f"/v1/cases/{place}/shares", json={})) == (404, reason)
            assert problem(browser.get(f"/v1/cases/{place}/shares")) == (404, reason)

    def test_one_that_is_made_while_the_case_is_erased_does_not_stay(self, browser: Browser, jpeg: bytes) -> None:
        case_id = browser.case(jpeg)
        store: Any = browser.gateway.store
        put_once = store.put_once

        def erased_meanwhile(key: str, data: bytes, **options: Any) -> bool:
            if "/shares/" in key:
                store.put_once = put_once
                browser.call("DELETE", f"/v1/cases/{case_id}")
            return bool(put_once(key, data, **options))

        store.put_once = erased_meanwhile
        shares = Shares(store=store, clock=browser.gateway.clock)
        with pytest.raises(DermisError, match="erased"):
            shares.create(case_id, owner=browser.owner, lasts=timedelta(hours=1), may_erase=False)
        assert not list(store.list(f"{case_key(browser.owner, case_id)}/shares/"))
