"""Back up under load, destroy everything, restore: `python -m tests.system.recover --cases 200`.

While clients send cases, and erase some, the store is backed up twice and the backup made to forget what was erased
after that. Then every process is killed, and the store and Redis are removed. The backup is restored into a new store
and the system started on it: each case that was accepted before the backup's point must have its one outcome, those
that were erased must be gone, and no case that came along may stay without an end.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from tabulate import tabulate

from dermis.shared.case import PUBLIC_OWNER, fact_key
from dermis.shared.ports import BlobStore, has
from dermis.shared.stores import open_store
from tests.system import stack
from tests.system.clients import Clients

_SETTLE_S = 180.0
_AUDIT_S = 63
"""The gateway writes its audit once a minute."""
_BEGIN, _END = "<!-- recovery: begin -->", "<!-- recovery: end -->"


@dataclass
class Step:
    """A command and what it printed."""

    name: str
    seconds: float
    output: str
    cases: int = 0

    def number(self, pattern: str) -> str:
        match = re.search(pattern, self.output)
        return match[1] if match else ""


@dataclass
class Load:
    """Clients that send a case every `pause_s` until they are stopped, and when each was accepted."""

    clients: Clients
    pause_s: float
    accepted_at: dict[str, datetime] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        n = 0
        with httpx.Client(base_url=self.clients.url, timeout=15) as http:
            while not self.stop.wait(self.pause_s):
                n += 1
                if case_id := self.clients.submit(f"load-{threading.get_ident()}-{n}", http):
                    self.accepted_at[case_id] = datetime.now(UTC)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.recover", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cases", type=int, default=200, help="cases before the first backup (200)")
    parser.add_argument("--write", type=Path, help="page whose table of times and bytes is written anew")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-recover-"))
    try:
        steps, faults = rehearse(folder, options.cases)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = describe(steps)
    print(f"\n{table}\n")
    print("\n".join(faults) or "each case that was accepted before the point has its one outcome; erased ones are gone")
    if options.write and not faults:
        write(options.write, table)
    return 1 if faults else 0


def rehearse(folder: Path, cases: int) -> tuple[list[Step], list[str]]:
    """Return the steps and what is wrong afterwards."""
    backup_url, new_store = (folder / "backup").as_uri(), folder / "new" / "store"
    steps = []
    (folder / "old").mkdir()
    with stack.running(folder / "old", quick=True, own_mount=False, DERMIS_SWEEP_CHECKPOINT_SECONDS="5") as parts:
        load = Load(Clients(parts.url, seed=1), pause_s=0.05)
        threads = [threading.Thread(target=load.run) for _ in range(4)]
        for thread in threads:
            thread.start()
        _wait(lambda: len(load.accepted_at) >= cases)
        erased = set(_erase(parts.url, load, every=10))
        steps += [
            _dermis(name, "backup", backup_url, store_url=parts.store_url)
            for name in ("backup under load", "backup again, under load")
        ]
        point, in_backup = _point(steps[-1].output), dict(load.accepted_at)
        late = set(_erase(parts.url, load, every=7)) - erased
        load.stop.set()
        for thread in threads:
            thread.join()
        time.sleep(_AUDIT_S)
        head = _dermis("", "audit", "verify", store_url=parts.store_url).number(r"head (\w+)")
        steps.append(_dermis("backup --erasures", "backup", backup_url, "--erasures", store_url=parts.store_url))
        for part in parts.supervisor.children:
            parts.kill(part)
        shutil.rmtree(folder / "old", ignore_errors=True)  # the supervisor starts parts on nothing until the block ends
    shutil.rmtree(folder / "old", ignore_errors=True)
    steps.append(_dermis("restore", "restore", backup_url, store_url=new_store.as_uri()))
    steps.append(_dermis("audit verify", "audit", "verify", "--head", head, store_url=new_store.as_uri()))
    promised = {case_id for case_id, at in in_backup.items() if at < point}
    (folder / "new" / "run").mkdir()
    begun = time.monotonic()
    with stack.running(
        folder / "new" / "run", quick=True, own_mount=False, DERMIS_STORE_URL=new_store.as_uri()
    ) as parts:
        store = open_store(new_store.as_uri())
        _wait(lambda: not list(store.list("open/")))
        seconds = time.monotonic() - begun
        steps.append(Step("start on it, until no case is open", seconds, "", cases=len(promised - erased - late)))
        faults = [*load.clients.surprises, *_faults(parts.url, store, promised, erased | late)]
    faults += [f"{step.name}: {step.output}" for step in steps if "exit code" in step.output]
    return steps, faults


def _faults(url: str, store: BlobStore, promised: set[str], erased: set[str]) -> list[str]:
    """Return what is wrong with a restored and running store."""
    faults = []
    with httpx.Client(base_url=url, timeout=15) as http:
        for case_id in sorted(promised - erased):
            status = http.get(f"/v1/cases/{case_id}").json().get("status")
            if status != "FINISHED":
                faults.append(f"{case_id} was accepted before the point and is {status}")
    for case_id in erased:
        left = [key for key in store.list("") if case_id in key and not key.startswith("audit/")]
        if left not in ([], [fact_key(PUBLIC_OWNER, case_id, "erased")]):
            faults.append(f"{case_id} was erased and is back: {left}")
    received = [key.split("/")[2] for key in store.list("cases/") if key.endswith("/received.json")]
    faults += [
        f"{case_id} came along and has no end"
        for case_id in received
        if not has(store, fact_key(PUBLIC_OWNER, case_id, "outcome"))
    ]
    print(f"{len(promised)} accepted before the point, {len(erased)} erased, {len(received)} cases in the new store")
    return faults if promised - erased and erased else [*faults, "too few cases to show anything"]


def _erase(url: str, load: Load, *, every: int) -> list[str]:
    ids = list(load.accepted_at)[::every]
    with httpx.Client(base_url=url, timeout=15) as http:
        for case_id in ids:
            load.clients.erase(case_id, http)
    return ids


def _dermis(name: str, *arguments: str, store_url: str) -> Step:
    """Run a command on a store, with nothing else of this machine's settings."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DERMIS_")}
    begun = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-m", "dermis.standalone", *arguments, "--store", store_url],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    output = run.stdout + (f"exit code {run.returncode}: {run.stderr}" if run.returncode else "")
    print(f"$ dermis {' '.join(arguments)}\n{output}", flush=True)
    return Step(name, time.monotonic() - begun, output)


def _point(output: str) -> datetime:
    match = re.search(r"accepted before (\S+)", output)
    assert match, output
    return datetime.fromisoformat(match[1])


def _wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + _SETTLE_S
    while not until():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it did not come so far within {_SETTLE_S:.0f} s")
        time.sleep(0.2)


def describe(steps: list[Step]) -> str:
    """Return the table of the steps, as Markdown."""
    rows = [
        (
            step.name,
            f"{step.seconds:.1f}",
            step.number(r"([\d,]+) cases") or step.cases or "",
            step.number(r"([\d,]+) objects"),
            step.number(r"([\d,]+) bytes"),
            step.number(r"new ([\d,]+) objects"),
        )
        for step in steps
    ]
    headers = ("step", "seconds", "cases", "objects", "bytes", "new objects")
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)


def write(page: Path, table: str) -> None:
    """Put the table in place of the one between the page's marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
