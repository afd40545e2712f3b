"""What a caller without a key can do to others at the edge of a running system.

`python -m tests.system.edge --url http://127.0.0.1:8080`, or without a URL at one that is started for it. Each check
sends what no client sends and meanwhile asks as an ordinary one does, whose wait and answer count. The system must take
callers without a key, and its address must be this machine's: more connections are opened than one address may have.
"""

import argparse
import http.client
import re
import resource
import shutil
import socket
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.jpegs import scan_bomb
from tests.system import stack
from tests.system.clients import small_images

MOST_S = 2.0
"""Longest wait of an ordinary caller meanwhile."""
SOCKETS = 1000
AMONG = 40
OPENED_S = 10.0
EQUAL = 50
MB = 1_000_000
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
PART = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"'
CHUNKED = (
    b"POST /v1/cases HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
TWO_LENGTHS = {
    "a length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "another coding": b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "no coding": b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 36\r\n\r\n",
    "a length with a sign": b"Content-Length: +0\r\n\r\n",
    "a folded line": b"Content-Length: 0\r\nX: a\r\n b\r\n\r\n",
    "a bare line feed in a chunk's size": b"Transfer-Encoding: chunked\r\n\r\n0;a\n\r\n\r\n",
}


@dataclass
class Edge:
    """The system at `url`; `bad` gets a line for each thing that is not as it must be."""

    url: str
    bad: list[str] = field(default_factory=list)

    def connect(self) -> socket.socket:
        place = urlsplit(self.url)
        return socket.create_connection((place.hostname, place.port), timeout=5)

    def submit(self, image: bytes, *, key: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return httpx.post(f"{self.url}/v1/cases", files={"images": image}, headers=headers, timeout=30)

    def check(self, name: str, *, right: bool, what: object) -> None:
        print(f"{'ok ' if right else 'BAD'}  {name}: {what}", flush=True)
        if not right:
            self.bad.append(name)

    @contextmanager
    def others(self, name: str, ask: Callable[[], int]) -> Iterator[None]:
        """Have an ordinary caller ask again and again while the block runs: it must get 200 or 202 in time."""
        waits, answers, done = [0.0], Counter[object](), threading.Event()

        def probe() -> None:
            while True:
                begun = time.monotonic()
                try:
                    answers[ask()] += 1
                except (OSError, httpx.HTTPError, http.client.HTTPException) as error:
                    answers[type(error).__name__] += 1
                waits.append(time.monotonic() - begun)
                if done.wait(0.05):
                    return

        thread = threading.Thread(target=probe)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        right = set(answers) <= {200, 202} and max(waits) < MOST_S
        self.check(f"{name}: others", right=right, what=f"{dict(answers)}, longest wait {max(waits):.2f} s")

    def live(self) -> int:
        return httpx.get(f"{self.url}/livez", timeout=10).status_code


def send_all(wire: socket.socket, data: bytes, *, times: int = 1) -> bytes:
    """Send `data` until the other end has enough; return the beginning of its answer, b"" if there is none."""
    with suppress(OSError):
        for _ in range(times):
            wire.sendall(data)
    with suppress(OSError):
        return wire.recv(4096)
    return b""


def status_of(answer: bytes) -> int:
    return int(answer.split()[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def endless_header(edge: Edge) -> None:
    with edge.others("a header of 100 MB", edge.live), edge.connect() as wire:
        wire.sendall(LIVEZ[:-2] + b"X: ")
        status = status_of(send_all(wire, bytes(MB).replace(b"\0", b"a"), times=100))
    edge.check("a header of 100 MB", right=status in (0, 431), what=status)


def endless_part(edge: Edge) -> None:
    with edge.others("a part's header of 100 MB", edge.live), edge.connect() as wire:
        wire.sendall(CHUNKED + b"%x\r\n" % len(PART) + PART + b"\r\n")
        status = status_of(send_all(wire, b"%x\r\n" % MB + b"a" * MB + b"\r\n", times=100))
    edge.check("a part's header of 100 MB", right=status in (0, 413, 422), what=status)


def idle_sockets(edge: Edge) -> None:
    wires: list[socket.socket] = []
    try:
        with edge.others(f"{SOCKETS} idle sockets", edge.live):
            for _ in range(SOCKETS):
                with suppress(OSError):
                    wires.append(edge.connect())
                    wires[-1].sendall(LIVEZ[:10])
            time.sleep(2)
    finally:
        for wire in wires:
            wire.close()


def late_requests(edge: Edge) -> None:
    """Open an ordinary connection after every 40 idle sockets, and send its request once all are open."""
    wires: list[socket.socket] = []
    try:
        ordinary = []
        for n in range(SOCKETS):
            wires.append(edge.connect())
            if n % AMONG == 0:
                ordinary.append(edge.connect())
        time.sleep(0.4)
        statuses = Counter(status_of(send_all(wire, LIVEZ)) for wire in ordinary)
        edge.check(f"requests of those among {SOCKETS} idle sockets", right=set(statuses) == {200}, what=dict(statuses))
        wires += ordinary
    finally:
        for wire in wires:
            wire.close()


def held_uploads(edge: Edge, image: bytes) -> None:
    """Say that 64 MB come, and send a byte now and then."""
    wires = [edge.connect() for _ in range(5)]
    head = CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 63900000") + PART + b"\r\n\r\n"
    try:
        with edge.others("5 uploads that send nothing", lambda: edge.submit(image).status_code):
            for wire in wires:
                wire.sendall(head)
            for _ in range(5):
                time.sleep(1)
                for wire in wires:
                    with suppress(OSError):
                        wire.sendall(b"x")
    finally:
        for wire in wires:
            wire.close()


def streams(edge: Edge) -> None:
    """Follow an open case on more connections than one address may have, which costs as many requests."""
    case_id = edge.submit(scan_bomb(80, 8000)).json()["id"]
    ask = b"GET /v1/cases/" + case_id.encode() + b"/events HTTP/1.1\r\nHost: a\r\n\r\n"
    wires: list[socket.socket] = []
    try:
        for _ in range(SOCKETS):
            with suppress(OSError):
                wires.append(edge.connect())
                wires[-1].sendall(ask)
        time.sleep(OPENED_S)
        with edge.others(f"{SOCKETS} streams", edge.live):
            time.sleep(2)
    finally:
        for wire in wires:
            wire.close()


def smuggled(edge: Edge) -> None:
    """Send a second request within one whose length can be read in two ways: it must not be answered."""
    for name, rest in TWO_LENGTHS.items():
        with edge.connect() as wire:
            answer = send_all(wire, b"POST /v1/cases HTTP/1.1\r\nHost: a\r\n" + rest + LIVEZ)
            with suppress(OSError):
                wire.settimeout(0.5)
                answer += wire.recv(4096)
        right = status_of(answer) in (400, 501) and b"HTTP/1.1 200" not in answer
        edge.check(f"smuggling, {name}", right=right, what=answer.partition(b"\r\n")[0].decode())


def wait_for_rate(edge: Edge) -> None:
    """Wait until an address without a key may call 200 times, as the checks before took most of its minute's calls."""
    while True:
        rate = httpx.get(f"{edge.url}/v1/conditions", timeout=30).headers.get("RateLimit", "")
        left = re.search(r"r=(\d+);t=(\d+)", rate)
        if not left or int(left[1]) >= 200:
            return
        time.sleep(int(left[2]) + 1)


def equal_requests(edge: Edge, image: bytes) -> None:
    """Send one case 50 times at once with one key, then again while it is erased."""
    wait_for_rate(edge)
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(EQUAL) as callers:
        answers = list(callers.map(lambda _: edge.submit(image, key=key), range(EQUAL)))
        ids = {answer.json().get("id") for answer in answers}
        statuses = Counter(answer.status_code for answer in answers)
        edge.check(f"{EQUAL} equal requests", right=set(statuses) <= {200, 202} and len(ids) == 1, what=dict(statuses))
        (case_id,) = ids
        again = [callers.submit(edge.submit, image, key=key) for _ in range(10)]
        erased = httpx.delete(f"{edge.url}/v1/cases/{case_id}", timeout=30).status_code
        statuses = Counter(each.result().status_code for each in again)
    after = httpx.get(f"{edge.url}/v1/cases/{case_id}", timeout=30).status_code
    right = erased == 204 and after == 404 and set(statuses) <= {200, 202, 404}
    edge.check("erased while equal requests come", right=right, what=f"{dict(statuses)}, then {after}")


def scan_bomb_refused(edge: Edge) -> None:
    status = edge.submit(scan_bomb(1000, 8000)).status_code
    edge.check("a JPEG of 1,000 scans", right=status == 422, what=status)


def run(edge: Edge) -> None:
    image = small_images()[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, SOCKETS + 500)), hard))
    endless_header(edge)
    endless_part(edge)
    idle_sockets(edge)
    late_requests(edge)
    held_uploads(edge, image)
    scan_bomb_refused(edge)
    streams(edge)
    smuggled(edge)
    equal_requests(edge, image)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--url", help="of a system on this machine that takes callers without a key; else one is started"
    )
    url = parser.parse_args().url
    edge = Edge(url or "")
    if url:
        run(edge)
    else:
        folder = Path(tempfile.mkdtemp(prefix="dermis-edge-"))
        try:
            with stack.running(
                folder, quick=False, own_mount=False, DERMIS_GATEWAY_KEYLESS_RATE_PER_MINUTE="600"
            ) as parts:
                edge.url = parts.url
                run(edge)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print("FAILED" if edge.bad else "others felt nothing")
    return 1 if edge.bad else 0


if __name__ == "__main__":
    sys.exit(main())
