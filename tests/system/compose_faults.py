"""Faults in containers, `python -m tests.system.compose_faults`.

While cases run each part is killed, Redis is cut off and its file damaged, the store becomes slow and holds objects
that nobody can read; every case must end with one outcome.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from dermis.shared.stores.disk import DiskStore
from tests.support.servers import free_port
from tests.system import verify
from tests.system.clients import Clients

WORKERS = 2
PARTS = ("worker", "serving", "metadata", "gateway", "sweep", "redis")
CUT_S = 8.0
SLOW_S = "2"
UNREADABLE = ("open", "scratch", "open-batches", "retention/ASSESS_ONLY")
DOWN_S = 1.0
RECOVERY_LIMIT_S = 150
DRAIN_LIMIT_S = 300
ROOT = Path(__file__).parents[2]


class Stack:
    """The system as Compose runs it, with the twin, under a project name of its own."""

    def __init__(self, project: str, controls: Path, *, quick: bool) -> None:
        self.project = project
        self.controls = controls
        self.quick = quick
        controls.chmod(0o755)  # the parts run as a user of their own
        self.port = free_port()  # a fixed one: it must be the same after a restart
        files = ["docker-compose.yml", "compose.twin.yaml", "tests/system/compose.faults.yaml"]
        files += ["tests/system/compose.quick.yaml"] if quick else []
        self._compose = [
            "docker",
            "compose",
            "--ansi",
            "never",
            "-p",
            project,
            *(word for file in files for word in ("-f", file)),
        ]

    @contextmanager
    def running(self) -> Iterator[str]:
        """Bring everything up and take it down again; yields the gateway's address."""
        try:
            self.compose("up", "-d", "--wait", "--scale", f"worker={WORKERS}", "gateway", "worker", "sweep")
            yield f"http://127.0.0.1:{self.port}"
        finally:
            self.compose("--profile", "*", "down", "-v", "-t", "5", "--remove-orphans")

    def compose(self, *words: str) -> str:
        return run([*self._compose, *words], DERMIS_PORT=str(self.port), CHAOS_CONTROLS=str(self.controls))

    def containers(self, part: str) -> list[str]:
        return self.compose("ps", "-aq", part).split()

    def kill(self, part: str) -> None:
        """SIGKILL one container of a part. Docker doesn't restart what it was told to kill, so that is done here."""
        container = self.containers(part)[0]
        run(["docker", "kill", container])
        time.sleep(DOWN_S)
        run(["docker", "start", container])

    def cut_redis(self) -> None:
        (container,) = self.containers("redis")
        run(["docker", "network", "disconnect", f"{self.project}_default", container])
        time.sleep(CUT_S)
        run(["docker", "network", "connect", "--alias", "redis", f"{self.project}_default", container])

    def damage_redis(self) -> None:
        """Put zeros into the midst of Redis' append-only file, then kill Redis and start it."""
        half = "half=$(($(stat -c %s $file) / 2))"
        mixed = "{ head -c $half $file; head -c 40 /dev/zero; tail -c +$((half + 1)) $file; } >/data/mixed"
        move = "cat /data/mixed >$file; rm /data/mixed"
        self.shell("redis", f"for file in /data/appendonlydir/*.incr.aof; do {half}; {mixed}; {move}; done")
        self.kill("redis")
        deadline = time.monotonic() + 10
        while "the queue is damaged" not in run(["sh", "-c", f"docker logs {self.containers('redis')[0]} 2>&1"]):
            if time.monotonic() > deadline:
                raise RuntimeError("Redis did not find its file damaged: this fault was none")

    def slow_store(self) -> None:
        """Let each operation of the store take 2 s longer, for 5 minutes (30 s in quick runs)."""
        switch = self.controls / "slow_s"
        switch.write_text(SLOW_S)
        switch.chmod(0o644)
        begun = time.monotonic()
        httpx.get(f"http://127.0.0.1:{self.port}/v1/cases/case_{'0' * 26}", timeout=60)
        if time.monotonic() - begun < float(SLOW_S):
            raise RuntimeError("the gateway's store is not slow: this fault was none")
        time.sleep(30 if self.quick else 300)
        switch.unlink()

    def unreadable_objects(self) -> None:
        """Let links to themselves and bytes that are no object of ours lie among the store's marks for some looks."""
        link, foreign = f"case_{'0' * 26}", f"case_7{'z' * 25}"
        folders = " ".join(f"/store/{prefix}" for prefix in UNREADABLE)
        plant = f"ln -s {link} $folder/{link}; echo no >$folder/{foreign}"
        self.shell("gateway", f"mkdir -p {folders}; for folder in {folders}; do {plant}; done")
        time.sleep(10 if self.quick else 60)
        self.shell("gateway", f"for folder in {folders}; do rm -f $folder/{link} $folder/{foreign}; done")

    def shell(self, part: str, script: str) -> str:
        return run(["docker", "exec", self.containers(part)[0], "sh", "-c", script])

    def copy_store(self, folder: Path) -> DiskStore:
        container = self.containers("gateway")[0]
        archive = subprocess.run(
            ["docker", "exec", container, "tar", "-C", "/store", "-cf", "-", "."], stdout=subprocess.PIPE, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        return DiskStore(folder)

    def open_cases(self) -> int:
        return int(self.shell("gateway", "find /store/open -type f -size +3c | wc -l"))

    def done_by(self) -> Counter[str]:
        """Return how many cases each worker says it has done."""
        done: Counter[str] = Counter()
        for line in self.compose("logs", "--no-color", "worker").splitlines():
            if named := re.search(r"(worker-\d+)\s*\|.*\"case done\"", line):
                done[named[1]] += 1
        return done


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip()


def suffer(
    stack: Stack, clients: Clients, http: httpx.Client, *, fault: str, happen: Callable[[], None], cases: int
) -> tuple[int, float | None]:
    """Put cases in, half before the fault and half during it.

    Return how many were open when it began, and the seconds from its end until a fresh case was finished (None: it was
    not).
    """
    for number in range(cases // 2):
        clients.todo.put(f"{fault}-{number}")
    deadline = time.monotonic() + 5
    while not (in_work := stack.open_cases()) and time.monotonic() < deadline:
        pass
    for number in range(cases // 2, cases):
        clients.todo.put(f"{fault}-{number}")
    happen()
    ended = time.monotonic()
    probe = clients.submit(f"{fault}-probe", http)
    while probe and time.monotonic() - ended < RECOVERY_LIMIT_S:
        if clients.finished(probe, http):
            return in_work, time.monotonic() - ended
        time.sleep(0.1)
    return in_work, None


def drain(stack: Stack, clients: Clients) -> float:
    begun = time.monotonic()
    while clients.todo.unfinished_tasks or stack.open_cases():
        if time.monotonic() - begun > DRAIN_LIMIT_S:
            break
        time.sleep(0.5)
    return time.monotonic() - begun


def go(stack: Stack, url: str, *, cases: int) -> list[str]:
    """Do every fault and return what is not as it must be."""
    clients = Clients(url=url, seed=1)
    clients.start(4)
    bad: list[str] = []
    with httpx.Client(base_url=url, timeout=15) as http:
        faults: dict[str, Callable[[], None]] = {f"{part} killed": partial(stack.kill, part) for part in PARTS}
        faults |= {
            "redis cut off": stack.cut_redis,
            "redis' file damaged": stack.damage_redis,
            "store slow": stack.slow_store,
            "unreadable objects": stack.unreadable_objects,
        }
        for fault, happen in faults.items():
            in_work, seconds = suffer(stack, clients, http, fault=fault, happen=happen, cases=cases)
            print(
                f"{fault:<20} {in_work:>3} open, "
                f"{'did NOT recover' if seconds is None else f'recovered after {seconds:.1f} s'}",
                flush=True,
            )
            if seconds is None:
                bad.append(f"{fault}: no fresh case was finished within {RECOVERY_LIMIT_S} s")
        seconds = drain(stack, clients)
        accepted = list(clients.accepted.values())
        print(
            f"{len(accepted)} cases accepted ({clients.retries} requests sent again); nothing open after "
            f"{seconds:.1f} s",
            flush=True,
        )
        bad += [f"{case}: GET does not say FINISHED" for case in accepted if not clients.finished(case, http)]
    clients.stop.set()
    with tempfile.TemporaryDirectory() as folder:
        bad += verify.wrong_cases(stack.copy_store(Path(folder)), accepted, [])
    done = stack.done_by()
    print(f"done by {json.dumps(done)}", flush=True)
    if len(done) < WORKERS:
        bad.append(f"{len(done)} of {WORKERS} workers did any case")
    return bad + clients.surprises


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--project", default="dermis-test", help="Compose project (dermis-test); it is taken down, with its volumes"
    )
    parser.add_argument("--cases", type=int, default=10, help="cases for each fault (10)")
    parser.add_argument(
        "--quick", action="store_true", help="let the sweep look every 2 s and resend after 5 s, not as it ships"
    )
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as controls,
        (stack := Stack(options.project, Path(controls), quick=options.quick)).running() as url,
    ):
        print(f"{url}: {WORKERS} workers, {options.cases} cases for each fault", flush=True)
        bad = go(stack, url, cases=options.cases)
        if bad:
            print(stack.compose("logs", "--tail", "60"))
    for line in bad:
        print(f"BAD  {line}")
    print("FAILED" if bad else "every accepted case has exactly one outcome")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
