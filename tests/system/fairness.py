"""Two keys: one sends the costliest images that are taken as fast as its rate lets it; how long does the other wait?

`python -m tests.system.fairness --seconds 60 --rounds 1`. In each round the other key sends small cases alone, then
beside the first, so that a machine that others load too weighs on both alike. It fails if a case of the other is
refused or does not end, or if its 99th percentile beside is more than three times what it is alone.
"""

import argparse
import io
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
from PIL import Image

from dermis.shared.api_keys import Scope, make_key, put_key
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.worker.core.decode import decode
from tests.system import stack
from tests.system.clients import small_images

SIDE = 8000
AT_MOST = 3.0
SENDERS = 8
RATE_PER_MINUTE = 600
PAUSE_S = 0.2


def large_images() -> Iterator[tuple[str, bytes]]:
    """Yield images of 64 megapixels, each a kind that costs much to decode for what it is to send."""
    ramp = Image.linear_gradient("L").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    image = Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))
    for kind, options in (
        ("PNG", {"compress_level": 1}),
        ("JPEG", {"progressive": True, "quality": 90}),
        ("WEBP", {"quality": 60, "method": 0}),
    ):
        out = io.BytesIO()
        image.save(out, kind, **options)
        yield kind, out.getvalue()


def costliest() -> tuple[str, bytes, float]:
    """Return the kind, the bytes and the decoding time in seconds of the slowest of `large_images`."""
    timed = []
    for kind, data in large_images():
        begun = time.perf_counter()
        decode(data)
        timed.append((time.perf_counter() - begun, kind, data))
    seconds, kind, data = max(timed, key=lambda each: each[0])
    return kind, data, seconds


def new_key(store: BlobStore, name: str) -> dict[str, str]:
    key, token = make_key(name=name, scopes=(Scope.CASES_WRITE, Scope.CASES_READ), at=datetime.now(UTC))
    put_key(store, key)
    return {"Authorization": f"Bearer {token}"}


def flood(url: str, key: dict[str, str], image: bytes, stop: Event, answers: "Queue[Counter[str]]") -> None:
    """Send cases of three such images, as many a minute as a key may.

    The process that sends leaves the cores to the system.
    """
    os.nice(10)
    due = threading.Semaphore(0)
    form = [("images", (f"{n}", image)) for n in range(3)]
    counts: Counter[str] = Counter()

    def send() -> None:
        with httpx.Client(base_url=url, headers=key, timeout=60) as http:
            while not stop.is_set():
                if due.acquire(timeout=0.5):
                    try:
                        counts[str(http.post("/v1/cases", files=form).status_code)] += 1
                    except httpx.HTTPError as error:
                        counts[type(error).__name__] += 1

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    while not stop.wait(60 / RATE_PER_MINUTE):
        due.release()
    for thread in threads:
        thread.join()
    answers.put(counts)


def waits(url: str, key: dict[str, str], *, seconds: float) -> tuple[list[float], Counter[str]]:
    """Submit a small case now and then; return the seconds from POST to outcome, and what was answered."""
    taken, answers, ends = [], Counter[str](), time.monotonic() + seconds
    image = small_images()[0]
    with httpx.Client(base_url=url, headers={**key, "Prefer": "wait=30"}, timeout=90) as http:
        while time.monotonic() < ends:
            begun = time.perf_counter()
            answer = http.post("/v1/cases", files=[("images", image)])
            answers[str(answer.status_code)] += 1
            taken.append(time.perf_counter() - begun)
            time.sleep(PAUSE_S)
    return taken, answers


def measure(url: str, store: BlobStore, *, seconds: float, rounds: int) -> bool:
    """Print both measurements and return whether the second is fair."""
    first, other = new_key(store, "first"), new_key(store, "other")
    kind, image, cost = costliest()
    print(f"costliest image: {kind}, {len(image) / 1e6:.1f} MB, {cost:.2f} s to decode", flush=True)
    waits(url, other, seconds=5)
    alone, beside, answers_alone, answers, floods = [], [], Counter[str](), Counter[str](), Counter[str]()
    for _ in range(rounds):
        with empty_queue(url, first):
            taken, answered = waits(url, other, seconds=seconds)
            alone += taken
            answers_alone += answered
            with flooded(url, first, image, floods):
                taken, answered = waits(url, other, seconds=seconds)
                beside += taken
                answers += answered
    (p50, p99), (p50_beside, p99_beside) = _show("alone", alone, answers_alone), _show("beside", beside, answers)
    print(
        f"the first key was answered {dict(floods)}; beside it the other's p50 is {p50_beside / p50:.2f} times and its "
        f"p99 {p99_beside / p99:.2f} times what it is alone (at most {AT_MOST:g})"
    )
    return p99_beside <= AT_MOST * p99 and set(answers) == {"200"}


@contextmanager
def flooded(url: str, key: dict[str, str], image: bytes, floods: Counter[str]) -> Iterator[None]:
    """Have a key send all that it may while the block runs, from ten seconds before; count how it was answered."""
    context = multiprocessing.get_context("spawn")
    stop, counted = context.Event(), context.Queue()
    flooding = context.Process(target=flood, args=(url, key, image, stop, counted))
    flooding.start()
    time.sleep(10)
    try:
        yield
    finally:
        stop.set()
        floods += counted.get(timeout=120)
        flooding.join()


@contextmanager
def empty_queue(url: str, key: dict[str, str]) -> Iterator[None]:
    """Erase all cases of a key after the block, so that none of them is still worked on."""
    try:
        yield
    finally:
        with httpx.Client(base_url=url, headers=key, timeout=60) as http:
            while cases := _patiently(http, "GET", "/v1/cases?limit=100").json()["cases"]:
                for case in cases:
                    _patiently(http, "DELETE", f"/v1/cases/{case['id']}")
        time.sleep(10)  # what is in work ends


def _patiently(http: httpx.Client, method: str, path: str) -> httpx.Response:
    while (answer := http.request(method, path)).status_code == httpx.codes.TOO_MANY_REQUESTS:
        time.sleep(1)
    return answer.raise_for_status()


def _show(name: str, taken: list[float], answers: Counter[str]) -> tuple[float, float]:
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    print(
        f"{name}: n={len(taken)} p50={cuts[49]:.3f} s p99={cuts[98]:.3f} s longest={max(taken):.3f} s, "
        f"answers {dict(answers)}",
        flush=True,
    )
    return cuts[49], cuts[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-fairness-"))
    try:
        with stack.running(folder, quick=False, own_mount=False) as running:
            store = open_store(running.store_url)
            fair = measure(running.url, store, seconds=arguments.seconds, rounds=arguments.rounds)
    finally:
        shutil.rmtree(folder)
    sys.exit(not fair)


if __name__ == "__main__":
    main()
