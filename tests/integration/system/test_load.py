"""The load's own eyes: a refusal, a cut and a lost case are seen."""

import http.server
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.system.cluster import load

FINISHED = {"id": "case_1", "status": "FINISHED", "outcome": {"model": {"version": 4}}}
RECEIVED = {"id": "case_1", "status": "RECEIVED"}


@contextmanager
def answering(*answers: tuple[int, object]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Serve answers in turn, the last again and again; 0 closes the connection without one."""
    asked: list[tuple[str, str]] = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.headers.get("Idempotency-Key", "")))
            code, body = left.pop(0) if len(left) > 1 else left[0]
            if not code:
                self.close_connection = True
                return
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "key_x.y")


def test_a_case_is_followed_to_its_end() -> None:
    with answering((202, RECEIVED), (200, RECEIVED), (200, FINISHED)) as (url, asked):
        case = load.follow(url, b"photo", time.time())
    assert (case["id"], case["version"], case["refused"], case["cut"]) == ("case_1", 4, [], 0)
    assert [verb for verb, _ in asked] == ["POST", "GET", "GET"]
    assert 0 <= case["wait_s"] < 10


def test_a_refusal_counts_and_is_sent_again_as_the_same_case() -> None:
    with answering((503, {"reason": "FULL"}), (200, FINISHED)) as (url, asked):
        case = load.follow(url, b"photo", time.time())
    assert [refusal["why"][:3] for refusal in case["refused"]] == ["503"]
    assert case["wait_s"] >= load.AGAIN_S
    assert len({once for _, once in asked}) == 1


def test_a_connection_that_ends_without_an_answer_is_cut_not_refused() -> None:
    with answering((0, None), (200, FINISHED)) as (url, _):
        case = load.follow(url, b"photo", time.time())
    assert (case["cut"], case["refused"]) == (1, [])


def test_a_connection_that_is_not_taken_is_a_refusal_and_a_case_without_end_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "PATIENCE_S", 0.3)
    with answering((200, FINISHED)) as (url, _):
        pass
    case = load.follow(url, b"photo", time.time())
    assert case["wait_s"] is None
    assert {refusal["why"] for refusal in case["refused"]} == {"ConnectError"}


def test_cases_come_at_the_rate_whether_earlier_ones_are_answered_or_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "follow", lambda url, photo, due: {"due": due, "photo": photo.decode(), "url": url})
    load.offer("http://x", [b"a", b"b"], rate=50, seconds=0.1)
    said = sorted(map(json.loads, capsys.readouterr().out.splitlines()), key=lambda case: case["due"])
    assert [case["photo"] for case in said] == ["a", "b", "a", "b", "a", "b"]
    gaps = [round(later["due"] - earlier["due"], 3) for earlier, later in itertools.pairwise(said)]
    assert gaps == [0.02] * 5
