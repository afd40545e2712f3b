"""How much for how many cases: `make sizing`.

It fits the queueing formula on three measured loads, predicts a fourth and carries it on. Cases arrive at random
(Poisson) at a share of what the cores can do, whether earlier ones are done or not. What a case costs each part is read
from the processes' own CPU time; what it asks of the store is counted by an emulator of Google Cloud Storage.
"""

import argparse
import itertools
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import httpx
import psutil

from benchmarks import system as bench
from benchmarks.machine import measured_at
from benchmarks.queueing import Fit, fit, needed, time_in_system
from dermis.data.report.markdown import markdown_table, with_measured
from tests.support.servers import BUCKET, fake_gcs

FITTED = (0.3, 0.45, 0.6)
PREDICTED = 0.75
ROUNDS = 3
"""Of all loads in turn, so that a machine that grows slower or faster meanwhile does so for each of them."""
WITHIN = 0.20
BUSY = 0.6
"""Share of its cores that a part is sized for."""
RATES = (1, 10, 100, 1000)
AT_ONCE = 128
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "sizing.md"
# Google Cloud Storage, standard class in one region, as last known (prices change): class A (writes, lists) and class B
# (reads) for 10,000; deletes are free.
DOLLARS = {"write": 0.05 / 10_000, "list": 0.05 / 10_000, "read": 0.004 / 10_000, "delete": 0.0}
METHODS = {"POST": "write", "PUT": "write", "GET": "read", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A load of `cases` in `wall_s` seconds, at a `share` of the cores.

    `taken`: seconds from POST to outcome of each case that counts; `cpu_s`: by part, for all cases.
    """

    share: float
    cases: int
    wall_s: float
    taken: tuple[float, ...]
    cpu_s: dict[str, float]

    @property
    def rate(self) -> float:
        return self.cases / self.wall_s

    @property
    def mean_s(self) -> float:
        return statistics.fmean(self.taken)

    @property
    def p95_s(self) -> float:
        return sorted(self.taken)[int(0.95 * (len(self.taken) - 1))]

    @property
    def cpu_ms(self) -> dict[str, float]:
        return {part: seconds * 1000 / self.cases for part, seconds in self.cpu_s.items()}

    @property
    def work_s(self) -> float:
        return sum(self.cpu_s.values()) / self.cases

    def __add__(self, other: "Load") -> "Load":
        return replace(
            self,
            cases=self.cases + other.cases,
            wall_s=self.wall_s + other.wall_s,
            taken=self.taken + other.taken,
            cpu_s={part: seconds + other.cpu_s[part] for part, seconds in self.cpu_s.items()},
        )


def measure(system: bench.System, *, share: float, rate: float, seconds: float, seed: int) -> Load:
    """Send cases at `rate` for so long; the first tenth is not counted."""
    chance = random.Random(seed)  # noqa: S311
    client = httpx.Client(base_url=system.url, timeout=60, limits=httpx.Limits(max_connections=AT_ONCE))
    taken: list[float] = []
    lock = threading.Lock()

    def one(due: float) -> None:
        answer = client.post("/v1/cases", headers={"Prefer": "wait=30"}, **bench.CASE)  # type: ignore[arg-type]
        if answer.status_code != 200:
            raise SystemExit(
                f"at {rate:.1f} cases/s the gateway answered {answer.status_code}: is something else running here?"
            )
        with lock:
            taken.append(time.perf_counter() - due)  # from when it was due: a late client is no relief

    parts = system.parts()
    before = bench.cpu_seconds(parts)
    start = due = time.perf_counter()
    with client, ThreadPoolExecutor(AT_ONCE) as pool:
        futures = []
        while due < start + seconds:
            due += chance.expovariate(rate)
            time.sleep(max(0.0, due - time.perf_counter()))
            futures.append(pool.submit(one, due))
        for future in futures:
            future.result()
    wall = time.perf_counter() - start
    after = bench.cpu_seconds(parts)
    cpu_s = {part: after[part] - before[part] for part in parts}
    return Load(share=share, cases=len(taken), wall_s=wall, taken=tuple(taken[len(taken) // 10 :]), cpu_s=cpu_s)


def saturated(system: bench.System, *, seconds: float) -> float:
    """Return CPU seconds a case while all cores are busy."""
    parts = system.parts()
    before = bench.cpu_seconds(parts)
    cases = bench.drive(system.url, seconds=seconds)
    return (sum(bench.cpu_seconds(parts).values()) - sum(before.values())) / cases


def store_operations(cases: int = 20) -> dict[str, float]:
    """Return requests a case to a bucket by kind, counted by the emulator's log."""
    with (
        tempfile.TemporaryDirectory(prefix="dermis-sizing-") as folder,
        fake_gcs(log=Path(folder) / "gcs.log") as address,
    ):
        log = Path(folder) / "gcs.log"
        environ = {
            **os.environ,
            "STORAGE_EMULATOR_HOST": address,
            "DERMIS_STORE_URL": f"gs://{BUCKET}/sizing?anonymous=true",
        }
        command = [sys.executable, "-m", "dermis.standalone", "up", "--state", folder, "--port", "0"]
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            ready = (re.search(r"ready.*?(http://[\w.:\[\]]+)", line) for line in process.stdout)
            address = next(match[1] for match in ready if match)
            threading.Thread(target=process.stdout.read, daemon=True).start()
            with httpx.Client(base_url=address, timeout=60) as client:
                client.post("/v1/cases", headers={"Prefer": "wait=30"}, **bench.CASE).raise_for_status()  # type: ignore[arg-type]
                begun = len(log.read_text().splitlines())
                for _ in range(cases):
                    client.post("/v1/cases", headers={"Prefer": "wait=30"}, **bench.CASE).raise_for_status()  # type: ignore[arg-type]
                time.sleep(1)
            lines = log.read_text().splitlines()[begun:]
        finally:
            process.terminate()
            process.wait(60)
    counted = dict.fromkeys(DOLLARS, 0)
    for line in lines:
        if asked := re.search(r'\\"(GET|POST|PUT|DELETE) (\S+)', line):
            is_list = asked[1] == "GET" and re.search(r"/o\?", asked[2])
            counted["list" if is_list else METHODS[asked[1]]] += 1
    return {kind: count / cases for kind, count in counted.items()}


def report(loads: list[Load], *, fitted: Fit, operations: dict[str, float]) -> str:
    """Return the measured part of the page."""
    parts = loads[-1].cpu_ms
    works = ", ".join(f"{load.work_s * 1000:.1f} at {load.rate:.1f} cases/s" for load in loads)
    by_part = ", ".join(f"{part} {ms:.1f}" for part, ms in parts.items())
    cost = 1e6 * sum(operations[kind] * DOLLARS[kind] for kind in operations)
    asked = ", ".join(f"{operations[kind]:.1f} {kind}s" for kind in operations)
    machine = f"{measured_at()}. Cases of 3 images, the twin, store on disk, all parts and the client"
    line = (
        f"Fitted on three loads: S = {fitted.service_s * 1000:.1f} ms + {fitted.idle_s * 1000:.0f} ms / (cases/s), "
        f"which says {fitted.work_s(loads[-1].rate) * 1000:.1f} ms at the fourth; "
        f"T0 = {fitted.fixed_s * 1000:.0f} ms, V = {fitted.spread:.2f}, c = {fitted.servers}."
    )
    dollars = f"At Google's list prices as last known: {cost:,.0f} dollars for a million cases"
    paragraphs = (
        f"{machine} that makes the load on the same cores.",
        f"CPU milliseconds a case, S: {works}. At the last one: {by_part}.",
        line,
        loads_table(loads, fitted),
        f"Requests to the bucket a case: {asked}. {dollars}, without storage and traffic.",
        f"Carried on, each part at {BUSY:.0%} of its cores:",
        growth_table(parts, fitted, requests=sum(operations.values())),
    )
    return "\n\n".join(paragraphs)


def loads_table(loads: list[Load], fitted: Fit) -> str:
    rows = []
    for load in loads:
        predicted = time_in_system(fitted, load.rate)
        times = (f"{seconds * 1000:.0f}" for seconds in (load.mean_s, load.p95_s, predicted))
        off = f"{predicted / load.mean_s - 1:+.0%}"
        note = "fitted" if load.share != PREDICTED else "**predicted**"
        rows.append([f"{load.rate:.1f}", f"{load.share:.0%}", load.cases, *times, off, note])
    return markdown_table(["cases/s", "of the cores", "cases", "mean ms", "p95 ms", "formula ms", "off by", ""], rows)


def growth_table(cpu_ms: dict[str, float], fitted: Fit, *, requests: float) -> str:
    parts = ("gateway", "worker", "metadata", "serving")
    rows = []
    for rate in RATES:
        cores = {part: needed(rate=rate, service_s=cpu_ms[part] / 1000, busy=BUSY) for part in parts}
        work_s = cpu_ms["worker"] / 1000
        workers = Fit(service_s=work_s, fixed_s=0, spread=fitted.spread, servers=cores["worker"])
        wait_ms = 1000 * (time_in_system(workers, rate) - work_s)
        redis = f"{rate * cpu_ms['redis'] / 1000:.0%}"
        rows.append([f"{rate:,}", *cores.values(), redis, f"{rate * requests:,.0f}", f"{wait_ms:.1f}"])
    columns = ["gateway cores", "worker cores", "metadata cores", "serving cores (twin)"]
    rest = ["of Redis' one core", "store requests/s", "wait for a worker, ms"]
    return markdown_table(["cases/s", *columns, *rest], rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="length of each load, in all rounds (120)")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals (1)")
    parser.add_argument("--write", action="store_true", help="put the result into docs/explanation/sizing.md")
    options = parser.parse_args()
    cores = psutil.cpu_count() or 1
    with bench.running() as system:
        print(f"cost of a case, {options.seconds / 4:g} s with all cores busy ...", flush=True)
        cost = saturated(system, seconds=options.seconds / 4)
        by_share: dict[float, list[Load]] = {share: [] for share in (*FITTED, PREDICTED)}
        for number, (_, (share, measured)) in enumerate(itertools.product(range(ROUNDS), by_share.items()), start=1):
            seconds, seed = options.seconds / ROUNDS, options.seed + number
            measured.append(measure(system, share=share, rate=share * cores / cost, seconds=seconds, seed=seed))
            mean_ms = measured[-1].mean_s * 1000
            print(f"{share:.0%} of {cores} cores: {measured[-1].rate:.1f} cases/s, mean {mean_ms:.0f} ms", flush=True)
    loads = [reduce(add, rounds) for rounds in by_share.values()]
    fitted = fit([(load.rate, load.work_s, load.mean_s) for load in loads[:-1]], servers=cores)
    print("requests to the store ...", flush=True)
    text = report(loads, fitted=fitted, operations=store_operations())
    print(f"\n{text}\n")
    off = abs(time_in_system(fitted, loads[-1].rate) / loads[-1].mean_s - 1)
    met = math.isfinite(off) and off <= WITHIN
    print(f"the fourth load is predicted {'within' if met else 'NOT within'} {WITHIN:.0%}: off by {off:.0%}")
    if options.write:
        page = with_measured(PAGE.read_text(encoding="utf-8"), "benchmarks/sizing.py --write", text)
        PAGE.write_text(page, encoding="utf-8")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
