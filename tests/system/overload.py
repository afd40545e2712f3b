"""Four times what the system can do: `python -m tests.system.overload --seconds 120`.

The sustainable rate is found first, by clients that wait for their outcomes. Then cases come at a fixed multiple of it,
whether earlier ones were answered or not. Then the load ends, and lone cases show when all is as before.
"""

import argparse
import collections
import json
import queue
import shutil
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx

from dermis.shared.case import PUBLIC_OWNER, Outcome, Received, fact_key
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from tests.system import stack
from tests.system.clients import small_images
from tests.system.verify import files_by_case

SATURATING = 8
MOST_AT_ONCE = 128
FORM = {
    "files": [("images", (f"{n}.jpg", image, "image/jpeg")) for n, image in enumerate(small_images())],
    "data": {"self_report": "{}"},
}
RECOVERED_WITHIN_S = 30


@dataclass
class Result:
    sustainable_per_s: float = 0
    offered_per_s: float = 0
    offered: int = 0
    late: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    alone_ms: float = 0
    post_ms: dict[str, float] = field(default_factory=dict)
    refusal_ms: dict[str, float] = field(default_factory=dict)
    outcome_s: dict[str, float] = field(default_factory=dict)
    recovered_s: float | None = None
    drained_s: float | None = None
    bad: list[str] = field(default_factory=list)


def submit(http: httpx.Client, *, wait: int = 0) -> httpx.Response:
    return http.post("/v1/cases", headers={"Prefer": f"wait={wait}"} if wait else {}, **FORM)  # type: ignore[arg-type]


def alone(http: httpx.Client) -> float:
    """Return the seconds from POST to outcome, or infinity if the case was refused or not finished."""
    start = time.perf_counter()
    answer = submit(http, wait=20)
    return time.perf_counter() - start if answer.status_code == 200 else float("inf")


def saturated(url: str, *, seconds: float) -> float:
    end = time.monotonic() + seconds

    def work() -> int:
        with httpx.Client(base_url=url, timeout=60) as http:
            done = 0
            while time.monotonic() < end:
                done += submit(http, wait=30).status_code == 200
            return done

    with ThreadPoolExecutor(SATURATING) as pool:
        return sum(future.result() for future in [pool.submit(work) for _ in range(SATURATING)]) / seconds


def percentiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "longest": round(max(values), 3)}


def overload(url: str, result: Result, *, seconds: float, accepted: set[str]) -> None:
    """Offer cases at the result's rate; what finds no free client in time is offered late and counted so."""
    due: queue.Queue[float | None] = queue.Queue()
    answers: collections.Counter[str] = collections.Counter()
    posts: list[float] = []
    refusals: list[float] = []
    lock = threading.Lock()

    def work() -> None:
        with httpx.Client(base_url=url, timeout=60) as http:
            while (planned := due.get()) is not None:
                start = time.monotonic()
                try:
                    answer = submit(http)
                except httpx.TransportError as fault:
                    with lock:
                        answers[type(fault).__name__] += 1
                        result.bad.append(f"no answer: {fault!r}")
                    continue
                taken = (time.monotonic() - start) * 1000
                with lock:
                    answers[str(answer.status_code)] += 1
                    result.late += start - planned > 1
                    if answer.status_code == 202:
                        accepted.add(str(answer.json()["id"]))
                        posts.append(taken)
                    elif answer.status_code in (429, 503) and answer.headers.get("retry-after"):
                        refusals.append(taken)
                    else:
                        result.bad.append(f"{answer.status_code} {answer.text[:200]}")

    threads = [threading.Thread(target=work) for _ in range(MOST_AT_ONCE)]
    for thread in threads:
        thread.start()
    start, said = time.monotonic(), 0
    result.offered = int(result.offered_per_s * seconds)
    for n in range(result.offered):
        planned = start + n / result.offered_per_s
        time.sleep(max(0.0, planned - time.monotonic()))
        due.put(planned)
        if int(planned - start) // 10 > said:
            said = int(planned - start) // 10
            print(f"{planned - start:6.0f} s  {n} offered, {dict(answers)}", flush=True)
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    result.answers, result.post_ms, result.refusal_ms = dict(answers), percentiles(posts), percentiles(refusals)


def recover(url: str, store: BlobStore, result: Result) -> None:
    """Note when a lone case first takes no more than twice what it took before, and when nothing is open any more."""
    start = time.monotonic()
    with httpx.Client(base_url=url, timeout=60) as http:
        while time.monotonic() - start < 300 and (result.recovered_s is None or result.drained_s is None):
            if result.recovered_s is None and alone(http) * 1000 <= 2 * result.alone_ms:
                result.recovered_s = round(time.monotonic() - start, 1)
            if result.drained_s is None and not any(store.list("open/")):
                result.drained_s = round(time.monotonic() - start, 1)
            time.sleep(0.5)


def verify(store: BlobStore, result: Result, accepted: set[str]) -> None:
    found, taken = files_by_case(store), []
    for case_id in accepted:
        ends = [name for name in found.get(case_id, ()) if name == "outcome.json" or name.startswith("failed/")]
        if ends != ["outcome.json"]:
            result.bad.append(f"{case_id}: ends {ends}")
            continue
        received = Received.model_validate_json(store.get(fact_key(PUBLIC_OWNER, case_id, "received")))
        outcome = Outcome.model_validate_json(store.get(fact_key(PUBLIC_OWNER, case_id, "outcome")))
        taken.append((outcome.finished_at - received.received_at).total_seconds())
    result.outcome_s = percentiles(taken)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.overload", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=120, help="how long (120)")
    parser.add_argument("--times", type=float, default=4, help="multiple of the sustainable rate (4)")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    result, accepted = Result(), set[str]()
    folder = Path(tempfile.mkdtemp(prefix="dermis-overload-"))
    try:
        with stack.running(folder, quick=False, own_mount=False) as parts:
            store = open_store(parts.store_url)
            saturated(parts.url, seconds=2)
            with httpx.Client(base_url=parts.url, timeout=60) as http:
                result.alone_ms = round(statistics.median(alone(http) for _ in range(20)) * 1000, 1)
            result.sustainable_per_s = round(saturated(parts.url, seconds=10), 1)
            result.offered_per_s = options.times * result.sustainable_per_s
            print(
                f"alone {result.alone_ms} ms; sustainable {result.sustainable_per_s}/s; now {result.offered_per_s:g}/s",
                flush=True,
            )
            overload(parts.url, result, seconds=options.seconds, accepted=accepted)
            recover(parts.url, store, result)
            verify(store, result, accepted)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if (
        result.recovered_s is None
        or result.drained_s is None
        or max(result.recovered_s, result.drained_s) > RECOVERED_WITHIN_S
    ):
        result.bad.append(f"not recovered within {RECOVERED_WITHIN_S} s")
    print(
        f"\n{result.offered} offered ({result.late} later than 1 s, for want of a free client), answers "
        f"{result.answers}"
    )
    print(f"POST of accepted ones, ms: {result.post_ms}; of refused ones: {result.refusal_ms}")
    print(f"accepted to outcome, s: {result.outcome_s}; {len(accepted)} accepted")
    print(
        f"after the load: a lone case as before after {result.recovered_s} s, nothing open after {result.drained_s} s"
    )
    for line in result.bad[:20]:
        print(f"BAD  {line}")
    print("FAILED" if result.bad else "every accepted case has exactly one outcome")
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=2) + "\n")
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main())
