"""What a backup and a restore of many cases take: `python -m benchmarks.backup --cases 100000`.

Each case has three small facts and no photo, taken in evenly over 29 days: what is measured is what a case costs, and
photos add their bytes. The store is made without syncing; the commands are those that an operator types, each in a
process of its own, whose peak of memory is told by the kernel.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from benchmarks.growth import OWNER, id_at, objects_of, writes_files
from benchmarks.machine import measured_at
from dermis.data.report.markdown import markdown_table

DAYS = 29
_BEGIN, _END = "<!-- many cases: begin -->", "<!-- many cases: end -->"
_HEAD = ("step", "seconds", "cases", "objects", "bytes", "new objects", "peak memory, MB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command, what it printed, and the most memory that it took."""

    name: str
    seconds: float
    output: str
    peak_mb: float

    def row(self) -> tuple[str, ...]:
        numbers = (r"([\d,]+) cases", r"([\d,]+) objects", r"([\d,]+) bytes", r"new ([\d,]+) objects")
        matches = [re.search(pattern, self.output) for pattern in numbers]
        counts = (match[1] if match else "" for match in matches)
        return (self.name, f"{self.seconds:.1f}", *counts, f"{self.peak_mb:.0f}")


def fill(root: Path, count: int) -> list[str]:
    """Put `count` cases without photos below `root` and return their ids, the oldest first."""
    put, begun, ids = writes_files(root, "by-time"), datetime.now(UTC) - timedelta(days=DAYS), []
    for n in range(count):
        at = begun + timedelta(days=DAYS) * (n / count)
        ids.append(id_at(at, n))
        for key, data in objects_of(ids[-1], at).items():
            if "/images/" not in key:
                put(key, data)
    return ids


def dermis(name: str, *arguments: str, store: Path) -> Step:
    """Run a command on a store, with nothing else of this machine's settings; RuntimeError if it fails."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DERMIS_")}
    command = [sys.executable, "-m", "dermis.standalone", *arguments, "--store", store.as_uri()]
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as faults:
        child = subprocess.Popen(command, env=environ, stdout=output, stderr=faults)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        text, fault = _text(output), _text(faults)
    if child.returncode:
        raise RuntimeError(f"dermis {arguments[0]} ended with {child.returncode}: {fault[-2000:]}")
    print(f"$ dermis {' '.join(arguments[:3])}\n{text.splitlines()[-1]}  [{seconds:.1f} s]", flush=True)
    return Step(name=name, seconds=seconds, output=text, peak_mb=usage.ru_maxrss / 1024)


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def measure(folder: Path, count: int) -> list[Step]:
    """Back up, back up again, erase 500 cases at most and have the backup forget them, restore."""
    store, backup, new = folder / "store", folder / "backup", folder / "new"
    ids = fill(store, count)
    print(f"{count} cases of {OWNER} put", flush=True)
    target = backup.as_uri()
    steps = [dermis("backup", "backup", target, store=store), dermis("backup again", "backup", target, store=store)]
    dermis("erase", "cases", "erase", *ids[:: max(count // 500, 100)], "--yes", store=store)
    steps.append(dermis("backup --erasures", "backup", target, "--erasures", store=store))
    steps.append(dermis("restore", "restore", target, store=new))
    return steps


def write(page: Path, table: str) -> None:
    """Put the table in place of the one between the page's marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="make the stores below this folder (the system's temporary one)")
    parser.add_argument("--write", type=Path, help="page whose table is written anew")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-backup-", dir=options.folder))
    load = os.getloadavg()[0]
    try:
        steps = measure(folder, options.cases)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = [step.row() for step in steps]
    where = f"{measured_at()}; load average {load:.1f} before, {os.getloadavg()[0]:.1f} after."
    table = f"{markdown_table(_HEAD, rows, align=['left', *('right' for _ in _HEAD[1:])])}\n\n{where}"
    print(f"\n{table}")
    if options.write:
        write(options.write, table)


if __name__ == "__main__":
    main()
