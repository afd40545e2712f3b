"""A training run in containers, `python -m tests.load.compose_trainer`: started, stopped half-way, resumed, promoted, and the next case is answered by it."""

import argparse
import json
import subprocess
import sys
import time

import httpx

from tests.load.bench_system import CASE
from tests.load.compose_faults import Stack, run

# As many generated cases as the demo learned from: the gate refuses what is worse than the demo.
TRAIN = ("train", "demo", "--data", "generated:1:4400", "--quiet")
TEST = "generated:9:300"
STOP_AFTER = 2
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
        """Return how many epochs the store says are done, read where the gateway sees the store."""
        gateway = self._stack.containers("gateway")[0]
        return int(run(["docker", "exec", gateway, "sh", "-c", "ls /store/runs/*/epochs 2>/dev/null | grep -c json || true"]))

    def runs(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.command("models", "--json"))["runs"]
        return found


def go(stack: Stack, url: str) -> list[str]:
    trainer, bad = Trainer(stack), []
    container = trainer.start(*TRAIN)
    deadline = time.monotonic() + STEP_LIMIT_S
    while trainer.epochs() < STOP_AFTER:
        if time.monotonic() > deadline or run(["docker", "inspect", "-f", "{{.State.Running}}", container]) != "true":
            return [f"no {STOP_AFTER} epochs were done; the trainer said: {logs(container)}"]
        time.sleep(0.5)
    run(["docker", "stop", "-t", "60", container])
    code = run(["docker", "inspect", "-f", "{{.State.ExitCode}}", container])
    print(f"stopped after epoch {trainer.epochs()}, exit code {code}", flush=True)
    if code == "137":
        bad.append("it did not end within 60 s of SIGTERM and was killed")
    print(f"it said: {logs(container).splitlines()[-1]}", flush=True)
    (stopped,) = trainer.runs()
    print(f"models says: {stopped}", flush=True)

    said = trainer.command(*TRAIN)
    print(f"the same command again: {said.splitlines()[0]} ... {said.splitlines()[-1]}", flush=True)
    (finished,) = trainer.runs()
    print(f"models says: {finished}", flush=True)
    if stopped["run"] != finished["run"]:
        bad.append(f"run {finished['run']} was begun anew; {stopped['run']} was not resumed")
    version = said.splitlines()[-1].split()[1].partition("/")[2]

    for each in ("1", version):  # the gate compares with the current version, the demo, on the same cases
        print(f"evaluated {each}: {trainer.command('evaluate', '--model', each, '--data', TEST).splitlines()[-1]}", flush=True)
    waived = [word for scale in ("monk_bin", "fitzpatrick_self", "fitzpatrick_estimated") for word in ("--waive", scale)]
    try:
        promoted = trainer.command("promote", version, *waived, "--reason", "a rehearsal on generated cases")
    except RuntimeError as refused:
        return [*bad, f"version {version} was not promoted: {refused}"]
    print(f"promoted: {promoted.splitlines()[-1]}", flush=True)

    deadline = time.monotonic() + 60
    with httpx.Client(base_url=url, timeout=60) as http:
        while True:
            case = http.post("/v1/cases", headers={"Prefer": "wait=30"}, **CASE).raise_for_status().json()  # type: ignore[arg-type]
            answered_by = case["outcome"]["model"]["version"]
            if str(answered_by) == version:
                print(f"the next case is answered by version {answered_by}", flush=True)
                return bad
            if time.monotonic() > deadline:
                return [*bad, f"a minute after the promotion cases are still answered by version {answered_by}, not {version}"]
            time.sleep(1)


def logs(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", default="dermis-test", help="Compose project (dermis-test); it is taken down, with its volumes")
    stack = Stack(parser.parse_args().project, quick=True)
    with stack.running() as url:
        bad = go(stack, url)
        if bad:
            print(stack.compose("logs", "--tail", "40"))
    for line in bad:
        print(f"BAD  {line}")
    print("FAILED" if bad else "started, stopped, resumed, promoted, serving")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
