"""Rows on the whole system: `dermis up` on a state folder of its own, the demo's case of three images, one client."""

import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.measure import Result, Row, Times, interleaved, number, quartiles
from dermis.standalone import demo

PARTS = ("gateway", "worker", "metadata", "serving", "sweep", "redis")
LIBRARIES = {
    "gateway": "fastapi, uvicorn, uvloop, httptools, prometheus_client, redis, celery, google.cloud.storage",
    "worker": "celery, redis, grpc, numpy, cv2, simplejpeg, pydantic, google.cloud.storage",
    "metadata": "grpc, numpy, pydantic, google.cloud.storage",
    "serving": "grpc, numpy, openvino, pydantic, google.cloud.storage",
}
STARTS, SINGLE_CASES, CLIENTS, SATURATED_S, ROUNDS = 3, 60, 8, 10.0, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    url: str
    store: Path
    ready_s: float
    process: "subprocess.Popen[str]"

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Return each part's processes, a prefork parent with its children."""
        processes: dict[str, list[psutil.Process]] = {}
        for process in psutil.Process(self.process.pid).children():
            command = " ".join(process.cmdline())
            named = re.search(r"-m dermis\.(\w+)|(redis)-server", command)
            if named:
                processes[named[1] or named[2]] = [process, *process.children(recursive=True)]
        return processes


def run() -> Result:
    started = []
    for n in range(STARTS):
        with running() as system:
            started.append(system.ready_s)
            if n < STARTS - 1:
                continue
            with httpx.Client(base_url=system.url, timeout=60) as client:
                for _ in range(10):
                    _submit(client)
                memory = _memory(system)
                alone = _alone(system, client)
            saturated = _saturated(system)
    floor = _import_floor()
    ready = statistics.median(started)
    rows = (
        *saturated.rows,
        *alone.rows,
        Row(
            bench="f",
            what="`dermis up` to ready",
            ours=f"{ready:.1f} s ({min(started):.1f}-{max(started):.1f})",
            peer=f"one process that imports all of the parts' libraries: {floor / 1000:.1f} s",
            ratio=f"{ready / floor * 1000:.1f}",
            aim="<= 8 s",
            met=ready <= 8,
            n=f"{STARTS}",
        ),
        *memory,
    )
    return Result(rows=rows, notes=(*saturated.notes, *alone.notes))


def _case() -> dict[str, object]:
    images = sorted(demo.CASE.glob("*.jpg"))
    return {
        "files": [("images", (image.name, image.read_bytes(), "image/jpeg")) for image in images],
        "data": {"self_report": (demo.CASE / "answers.json").read_text()},
    }


CASE = _case()


def _submit(client: httpx.Client) -> dict[str, object] | None:
    """Put the case through; None if it was refused or had no outcome in time."""
    response = client.post("/v1/cases", headers={"Prefer": "wait=30"}, **CASE)  # type: ignore[arg-type]
    if response.status_code in (429, 503):
        time.sleep(0.2)
        return None
    case: dict[str, object] = response.raise_for_status().json()
    return case if case["status"] == "FINISHED" else None


def _alone(system: System, client: httpx.Client) -> Result:
    """Time POST to outcome with nothing else under way, less what the case's own stages took."""
    whole, overhead, stages = [], [], dict[str, list[float]]()
    for _ in range(SINGLE_CASES):
        start = time.perf_counter()
        case = _submit(client)
        ms = (time.perf_counter() - start) * 1000
        assert case is not None, "a lone case had no outcome"
        (path,) = system.store.glob(f"cases/**/{case['id']}/outcome.json")
        taken = {stage["name"]: stage["ms"] for stage in json.loads(path.read_bytes())["stages"]}
        for name, stage_ms in taken.items():
            stages.setdefault(name, []).append(stage_ms)
        whole.append(ms)
        overhead.append(ms - sum(taken.values()))
    bare = interleaved({"livez": lambda: client.get("/livez")}, rounds=SINGLE_CASES)["livez"]
    ours = Times(ms=tuple(overhead))
    named = ", ".join(f"{name} {number(statistics.median(ms))}" for name, ms in stages.items())
    p99 = number(sorted(overhead)[int(len(overhead) * 0.99)])
    return Result(
        rows=(
            Row(
                bench="c",
                what="POST to outcome under `Prefer: wait` at load 1, less the case's own stages (Predict included)",
                ours=str(ours),
                peer=f"GET /livez over the same connection: {bare}",
                ratio=f"{ours.p50 / bare.p50:.1f}",
                aim="<= 25 ms",
                met=ours.p50 <= 25,
                n=f"{SINGLE_CASES} cases",
            ),
        ),
        notes=(
            (
                f"(c) POST to outcome took {Times(ms=tuple(whole))} in all; p99 of the part that is not a stage: "
                f"{p99} ms. The stages' p50 in ms: {named}."
            ),
        ),
    )


def _saturated(system: System) -> Result:
    """Keep all cores busy with cases; compare their rate with what the parts' own CPU time would allow."""
    cores = psutil.cpu_count() or 1
    ratios, rates, costs, shares, others, idle = [], [], [], [], [], []
    per_part: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        parts = system.parts()
        before, busy_before, own_before = cpu_seconds(parts), _busy(), sum(os.times()[:2])
        start = time.perf_counter()
        done = drive(system.url, seconds=SATURATED_S)
        wall = time.perf_counter() - start
        after, busy, own = cpu_seconds(parts), _busy() - busy_before, sum(os.times()[:2]) - own_before
        cost = {part: (after[part] - before[part]) * 1000 / done for part in parts}
        for part, ms in cost.items():
            per_part.setdefault(part, []).append(ms)
        costs.append(sum(cost.values()))
        rates.append(done / wall)
        ratios.append(rates[-1] * costs[-1] / 1000 / cores)
        shares.append(own * 1000 / done)
        others.append((busy - own - sum(after[part] - before[part] for part in parts)) / (wall * cores))
        idle.append(1 - busy / (wall * cores))
    low, high = quartiles(ratios)
    ratio, cost_ms = statistics.median(ratios), statistics.median(costs)
    named = ", ".join(f"{part} {number(statistics.median(per_part[part]))}" for part in PARTS if part in per_part)
    with_client = statistics.median(
        rate * (cost + share) / 1000 / cores for rate, cost, share in zip(rates, costs, shares, strict=True)
    )
    return Result(
        rows=(
            Row(
                bench="b",
                what=f"throughput at saturation, {CLIENTS} callers that wait, cases of 3 images",
                ours=f"{statistics.median(rates):.1f} cases/s",
                peer=f"{cores} cores / {number(cost_ms)} ms of CPU a case: {cores * 1000 / cost_ms:.1f} cases/s",
                ratio=f"{ratio:.2f} ({low:.2f}-{high:.2f})",
                aim=">= 0.80",
                met=ratio >= 0.8,
                n=f"{ROUNDS} runs of {SATURATED_S:g} s",
            ),
        ),
        notes=(
            (
                f"(b) CPU milliseconds a case, median of the runs: {named}; together {number(cost_ms)}. The client "
                f"that makes the load runs on the same cores and takes {number(statistics.median(shares))} ms a case: "
                f"counted with the parts, {with_client:.2f} of the cores are used. Processes that are not of this run "
                f"took {statistics.median(others):.0%} of the cores meanwhile; {statistics.median(idle):.0%} was idle."
            ),
        ),
    )


def drive(url: str, *, seconds: float) -> int:
    end = time.monotonic() + seconds

    def work() -> int:
        done = 0
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < end:
                done += _submit(client) is not None
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(future.result() for future in [pool.submit(work) for _ in range(CLIENTS)])


def cpu_seconds(parts: dict[str, list[psutil.Process]]) -> dict[str, float]:
    def seconds(process: psutil.Process) -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    return {part: sum(seconds(process) for process in processes) for part, processes in parts.items()}


def _busy() -> float:
    times = psutil.cpu_times()
    return float(
        sum(times)
        - times.idle
        - getattr(times, "iowait", 0)
        - getattr(times, "guest", 0)
        - getattr(times, "guest_nice", 0)
    )


def _memory(system: System) -> list[Row]:
    rows = []
    for part, processes in sorted(system.parts().items()):
        memory = [process.memory_full_info() for process in processes]
        rss, pss = sum(one.rss for one in memory) / 2**20, sum(one.pss for one in memory) / 2**20
        libraries = _import_mb(LIBRARIES[part]) if part in LIBRARIES else None
        rows.append(
            Row(
                bench="f",
                what=f"memory of {part}, {len(memory)} process{'es' * (len(memory) > 1)}, after 10 cases",
                ours=f"PSS {pss:.0f} MB (RSS {rss:.0f} MB)",
                peer=f"one process that imports its libraries only: RSS {libraries:.0f} MB" if libraries else "",
                ratio=f"{pss / libraries:.2f}" if libraries else "",
                aim="none",
                met=None,
                n="1",
            )
        )
    return rows


def _import_mb(modules: str) -> float:
    # ru_maxrss would start at this process's own
    code = f"import {modules}, psutil; print(psutil.Process().memory_info().rss)"
    return (
        int(subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout) / 2**20
    )


def _import_floor() -> float:
    command = [sys.executable, "-c", f"import {', '.join(sorted(set(', '.join(LIBRARIES.values()).split(', '))))}"]
    return interleaved({"import": lambda: subprocess.run(command, check=True)}, rounds=STARTS)["import"].p50


@contextlib.contextmanager
def running() -> Iterator[System]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")} | {
        "DERMIS_LOG_LEVEL": "WARNING"
    }
    with tempfile.TemporaryDirectory(prefix="dermis-bench-") as folder:
        start = time.perf_counter()
        command = [sys.executable, "-m", "dermis.standalone", "up", "--state", folder, "--port", "0"]
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready_s = time.perf_counter() - start
            address = re.search(r"ready.*?(http://[\w.:\[\]]+)", line)
            assert address, f"dermis up said {line!r}"
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield System(url=address[1], store=Path(folder) / "store", ready_s=ready_s, process=process)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
