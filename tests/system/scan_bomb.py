"""What one caller's costly JPEGs do to another's cases: `python -m tests.system.scan_bomb [--bombs 2] [--cases 40]`.

All parts run as processes with two workers. One key sends progressive JPEGs with 1,000 scans of 64 megapixels
(libjpeg-turbo's advisory LJT-01-004); another sends a small case every second and waits for its outcome.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx

from dermis.shared.api_keys import Scope, make_key, put_key
from dermis.shared.stores import open_store
from tests.support.jpegs import scan_bomb
from tests.system import stack
from tests.system.clients import small_images

ENDED = ("FINISHED", "FAILED")
MOST_S = 180.0


def end_of(http: httpx.Client, images: Sequence[bytes]) -> tuple[float, str]:
    """Submit a case; return the seconds until it ended and how, or how it was refused."""
    begun = time.monotonic()
    answer = http.post(
        "/v1/cases", files=[("images", ("a.jpg", image, "image/jpeg")) for image in images], data={"self_report": "{}"}
    )
    if answer.status_code not in (200, 202):
        return time.monotonic() - begun, f"{answer.status_code} {answer.json()['reason']}"
    while time.monotonic() - begun < MOST_S:
        case = http.get(f"/v1/cases/{answer.json()['id']}").json()
        if case["status"] in ENDED:
            return time.monotonic() - begun, str(case["status"])
        time.sleep(0.05)
    return time.monotonic() - begun, "open"


def client(parts: stack.Stack, name: str) -> httpx.Client:
    key, token = make_key(name=name, scopes=(Scope.CASES_READ, Scope.CASES_WRITE), at=datetime.now(UTC), owner=None)
    put_key(open_store(parts.store_url), key)
    return httpx.Client(base_url=parts.url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def run(parts: stack.Stack, *, bombs: int, cases: int) -> list[tuple[float, str]]:
    """Return how long each of the second key's cases took; what became of the bombs is printed."""
    bomb, images = scan_bomb(1000, 8000), list(small_images())[:1]
    with client(parts, "ordinary") as http:
        for _ in range(3):
            end_of(http, images)  # what is loaded once is no part of it

    def send() -> None:
        with client(parts, "costly") as http:
            print("bomb of {:,} bytes: {:.1f} s, {}".format(len(bomb), *end_of(http, [bomb])), flush=True)

    ends: list[tuple[float, str]] = []

    def ordinary() -> None:
        with client(parts, "ordinary") as http:
            ends.append(end_of(http, images))

    threads = [threading.Thread(target=send) for _ in range(bombs)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    for _ in range(cases):
        threads.append(threading.Thread(target=ordinary))
        threads[-1].start()
        time.sleep(1)
    for thread in threads:
        thread.join()
    return ends


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.scan_bomb", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--bombs", type=int, default=2)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="dermis-bomb-"))
    try:
        with stack.running(folder, quick=False, own_mount=False, DERMIS_WORKER_CONCURRENCY="2") as parts:
            ends = run(parts, bombs=options.bombs, cases=options.cases)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    seconds = sorted(taken for taken, _ in ends)
    finished = sum(end == "FINISHED" for _, end in ends)
    print(f"{len(ends)} ordinary cases, {finished} finished")
    print(
        f"p50 {statistics.median(seconds):.1f} s, p95 {seconds[int(0.95 * (len(seconds) - 1))]:.1f} s, "
        f"longest {seconds[-1]:.1f} s"
    )
    return 0 if finished == len(ends) else 1


if __name__ == "__main__":
    sys.exit(main())
