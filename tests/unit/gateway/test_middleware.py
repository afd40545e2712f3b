"""What holds for every answer: problems, headers, health, the page."""

import re
import subprocess
import sys
from typing import Any

import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id


def test_it_lives_and_is_ready_with_the_store_whatever_the_broker_does(gateway: Any) -> None:
    assert gateway.get("/livez").json() == {"status": "OK"}
    assert gateway.get("/readyz").json() == {"store": "OK", "broker": "OK"}
    gateway.broker.up = False
    assert gateway.get("/readyz").json() == {"store": "OK", "broker": "UNREACHABLE"}


def test_without_the_store_it_is_not_ready(gateway: Any) -> None:
    def refuse(_key: str) -> None:
        raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the store refused: no such device")

    gateway.store.get_versioned = refuse
    response = gateway.get("/readyz")
    assert (response.status_code, response.json()["reason"]) == (503, "STORE_UNAVAILABLE")
    assert gateway.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/x", 404, "NOT_FOUND"),
        ("PUT", "/v1/cases", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/assets/no.js", 404, "NOT_FOUND"),
    ],
)
def test_the_frameworks_own_errors_are_problems_too(
    gateway: Any, method: str, path: str, status: int, reason: str
) -> None:
    response = gateway.call(method, path)
    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert response.headers["content-type"] == "application/problem+json"


def test_head_is_get_without_the_body(gateway: Any, jpeg: bytes) -> None:
    path = f"/v1/cases/{gateway.submit(jpeg).json()['id']}"
    for place in (path, f"{path}/events", "/", "/assets/style.css", "/v1/cases/x", "/openapi.json"):
        head, get = gateway.call("HEAD", place), gateway.get(place) if "events" not in place else None
        assert head.content == b""
        assert get is None or head.status_code == get.status_code
        assert get is None or head.headers.get("content-length") == get.headers.get("content-length")
        assert get is None or head.headers.get("etag") == get.headers.get("etag")
    assert gateway.call("HEAD", f"{path}/events").headers["content-type"].startswith("text/event-stream")
    assert gateway.call("HEAD", "/v1/images:assess").status_code == 405


def test_every_answer_and_its_line_in_the_log_have_one_id(gateway: Any, capsys: Any) -> None:
    for path in ("/", "/v1/cases/x", "/nowhere"):
        request_id = gateway.get(path).headers["x-request-id"]
        assert is_id("request", request_id)
        assert capsys.readouterr().out.count(request_id) == 1


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/cases", {"GET", "HEAD", "POST"}),
        ("/v1/cases/x", {"GET", "HEAD", "DELETE"}),
        ("/v1/images:assess", {"POST"}),
        ("/", {"GET", "HEAD"}),
    ],
)
def test_405_names_every_method_that_a_path_has(gateway: Any, path: str, allowed: set[str]) -> None:
    response = gateway.call("PATCH", path)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == allowed


def test_an_unforeseen_error_is_a_problem_and_nothing_personal_is_logged(
    gateway: Any, capsys: pytest.CaptureFixture[str], jpeg: bytes
) -> None:
    def fail(_key: str, _data: bytes) -> bool:
        raise ValueError("SECRET of a person")

    gateway.store.put_once = fail
    response = gateway.submit(jpeg)
    logged = capsys.readouterr().out
    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL")
    assert "SECRET" not in response.text + logged
    assert "ValueError" in logged
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/livez", "/nope", "/openapi.json", "/assets/app.js"])
def test_every_answer_has_the_security_headers(gateway: Any, path: str) -> None:
    headers = gateway.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_what_is_personal_is_never_cached(gateway: Any, jpeg: bytes) -> None:
    location = gateway.submit(jpeg).headers["location"]
    assert gateway.get(location).headers["cache-control"] == "no-store"
    assert gateway.get("/assets/app.js").headers["cache-control"] == "no-cache"


def test_the_page_needs_nothing_from_elsewhere_and_has_no_inline_code(gateway: Any) -> None:
    page = gateway.get("/").text
    linked = re.findall(r'(?:src|href)="(?!tel:)([^"#]+)"', page)
    assert {"/assets/app.js", "/assets/style.css"} <= set(linked)
    assert all(gateway.get(link).status_code == 200 for link in linked)
    assert not re.search(r"https?://|<script>|<style|\son\w+=|\sstyle=|\$", page)
    assert "not a medical device" in page


def test_no_heavy_package_is_loaded() -> None:
    code = "import sys, dermis.gateway.__main__; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "fastapi" in loaded
    assert not {"numpy", "cv2", "grpc", "tensorflow"} & set(loaded)
