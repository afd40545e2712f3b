"""A training run in containers, `python -m tests.system.compose_trainer`.

It is started, stopped half-way, resumed and promoted, and the next case is answered by it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.system import CASE
from tests.system.compose_faults import Stack, run

# The demo that a new store holds is compared with nothing but demos: a short model takes its place by the constant
# list, then the real comparison is between two trained models. Enough cases that each tone group can be judged; only
# the scale that they don't have is waived.
TRAIN = ("train", "demo", "--set", "purpose=research", "--set", "stage.0.learning_rate=0.01", "--quiet")
SHORT = (*TRAIN, "--data", "generated:1:600", "--set", "stage.0.epochs=4")
LONG = (*TRAIN, "--data", "generated:2:1600", "--set", "stage.0.epochs=8")
TEST = ("--data", "generated:9:1000")
WAIVERS = ("--waive", "fitzpatrick_estimated", "--reason", "generated cases have no estimated type")
STOP_AFTER = 3
STOP_LIMIT_S = 30
STEP_LIMIT_S = 1200


class Trainer:
    """`docker compose run trainer`, with what it needs to be followed and stopped."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def command(self, *words: str) -> str:
        return self._stack.compose("--profile", "trainer", "run", "--rm", "-T", "trainer", *words)

    def start(self, *words: str) -> str:
        """Start in the background and return the container."""
        return self._stack.compose("--profile", "trainer", "run", "-d", "-T", "trainer", *words).splitlines()[-1]

    def epochs(self) -> int:
        """Return how many epochs the store says are done of all runs, read where the gateway sees the store."""
        gateway = self._stack.containers("gateway")[0]
        return int(
            run(["docker", "exec", gateway, "sh", "-c", "ls /store/runs/*/epochs 2>/dev/null | grep -c json || true"])
        )

    def runs(self) -> dict[str, dict[str, object]]:
        """Return what `dermis models` says, by run."""
        return {said["run"]: said for said in json.loads(self.command("models", "--json"))["runs"]}

    def promote(self, said: str, *words: str) -> str:
        """Measure and promote the version that a training said it published, and return its number."""
        version = said.splitlines()[-1].split()[1].partition("/")[2]
        print(f"measured {version}: {self.command('evaluate', '--model', version, *TEST).splitlines()[-1]}", flush=True)
        print(self.command("promote", version, *WAIVERS, *words), flush=True)
        return version


def go(stack: Stack, url: str) -> list[str]:
    trainer, bad = Trainer(stack), []
    trainer.promote(trainer.command(*SHORT), "--first")
    before, known = trainer.epochs(), set(trainer.runs())

    container = trainer.start(*LONG)
    deadline = time.monotonic() + STEP_LIMIT_S
    while trainer.epochs() < before + STOP_AFTER:
        if time.monotonic() > deadline or run(["docker", "inspect", "-f", "{{.State.Running}}", container]) != "true":
            return [f"no {STOP_AFTER} epochs were done; the trainer said: {logs(container)}"]
        time.sleep(0.5)
    asked = time.monotonic()
    run(["docker", "stop", "-t", str(STOP_LIMIT_S), container])
    took = time.monotonic() - asked
    code = run(["docker", "inspect", "-f", "{{.State.ExitCode}}", container])
    print(
        f"stopped after epoch {trainer.epochs() - before} in {took:.1f} s, exit code {code}: "
        f"{logs(container).splitlines()[-1]}",
        flush=True,
    )
    if code != "143":
        bad.append(f"exit code {code}: it was killed, or ended by something else than SIGTERM")
    ((name, stopped),) = ((name, one) for name, one in trainer.runs().items() if name not in known)
    print(f"models says: {stopped}", flush=True)

    said = trainer.command(*LONG)
    print(f"the same command again: {said.splitlines()[0]} ... {said.splitlines()[-1]}", flush=True)
    runs = trainer.runs()
    print(f"models says: {runs[name]}", flush=True)
    if set(runs) != {*known, name}:
        bad.append(f"run {', '.join(set(runs) - known - {name})} was begun anew; {name} was not resumed")
    try:
        version = trainer.promote(said)
    except RuntimeError as refused:
        return [*bad, f"the longer trained version was not promoted: {refused}"]

    deadline = time.monotonic() + 60
    with httpx.Client(base_url=url, timeout=60) as http:
        while True:
            case = http.post("/v1/cases", headers={"Prefer": "wait=30"}, **CASE).raise_for_status().json()  # type: ignore[arg-type]
            answered_by = case["outcome"]["model"]["version"]
            if str(answered_by) == version:
                print(f"the next case is answered by version {answered_by}", flush=True)
                return bad
            if time.monotonic() > deadline:
                return [
                    *bad,
                    f"a minute after the promotion cases are still answered by version {answered_by}, not {version}",
                ]
            time.sleep(1)


def logs(container: str) -> str:
    done = subprocess.run(
        ["docker", "logs", container], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--project", default="dermis-test", help="Compose project (dermis-test); it is taken down, with its volumes"
    )
    project = parser.parse_args().project
    with (
        tempfile.TemporaryDirectory() as controls,
        (stack := Stack(project, Path(controls), quick=True)).running() as url,
    ):
        bad = go(stack, url)
        if bad:
            print(stack.compose("logs", "--tail", "40"))
    for line in bad:
        print(f"BAD  {line}")
    print("FAILED" if bad else "started, stopped, resumed, promoted, serving")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
