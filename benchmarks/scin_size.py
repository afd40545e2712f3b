"""What SCIN costs at full size: time and most memory of profile, images, split and training, as its rows become many.

    make scin-size TABLES=FOLDER [CASES="5033 20000"] [OUT=scin-size.md]

Rows of the tables are repeated under new names until there are enough; cases that share an image do so in each
repetition. Painted images stand under every name: what is measured is the work, never the skill. `train again`
finds their features in the cache. Memory is the sum over a command and its children of the pages that each has for
itself and its part of the shared ones (PSS).
"""

import argparse
import csv
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import about
from dermis.data.report.markdown import markdown_table
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE

DERMIS = Path(sys.executable).with_name("dermis")
MOST_MB, MOST_MINUTES = 2500, 9.4
LOOK_S = 0.25
STEPS = ("profile", "images", "split", "train", "train again")
IMAGES = tuple(f"image_{n}_path" for n in (1, 2, 3))
HEAD = f"""# SCIN at full size

What each command takes on SCIN's tables with painted images, at two numbers of cases. Aims: training within
{MOST_MB:,} MB, as much with more cases, and 5,033 cases within {MOST_MINUTES} minutes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCost:
    seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, required=True, help="folder with SCIN's two tables")
    parser.add_argument("--cases", type=int, nargs="+", default=(5033, 20000), help="how many cases")
    parser.add_argument("--longest", type=int, default=96, help="longer side of the painted images, in pixels")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS, help="which commands; paint is always one")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="a setting of training, NAME=VALUE")
    parser.add_argument("--write", type=Path, help="write the page, Markdown, here")
    options = parser.parse_args()
    load, rows = os.getloadavg(), []
    for count in options.cases:
        with tempfile.TemporaryDirectory(prefix="dermis-scin-") as folder:
            costs = measure(Path(folder), options, count)
        rows += [_cells(count, step, cost) for step, cost in costs.items()]
        print(table(rows), flush=True)
    packages = ("tensorflow-cpu", "keras", "pandas")
    page = f"{HEAD}\n{about('benchmarks.scin_size', load, packages=packages)}\n{table(rows)}\n"
    if options.write:
        options.write.write_text(page, encoding="utf-8")
    return 0


def _cells(count: int, step: str, cost: CommandCost) -> list[str]:
    numbers = (cost.seconds, cost.cpu_seconds, cost.peak_mb)
    return [f"{count:,}", step, *(f"{number:,.0f}" for number in numbers)]


def table(rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(["cases", "command", "seconds", "CPU seconds", "most memory, MB"], rows)


def measure(folder: Path, options: argparse.Namespace, count: int) -> dict[str, CommandCost]:
    """Return what each command costs on `count` cases; everything that they write lies in `folder`."""
    multiply(options.tables, folder / "tables", count)
    data, tables, store = ((folder / name).as_uri() for name in ("scin", "tables", "store"))
    split = str(folder / "split.json")
    train: tuple[str, ...] = ("train", "scin", "--data", data, "--store", store, "--cache", str(folder / "cache"))
    train += tuple(part for setting in options.settings for part in ("--set", setting))
    commands = {
        "paint": ("data", "paint", "--source", tables, "--longest", str(options.longest), str(folder / "scin")),
        "profile": ("data", "profile", "--data", data, "--out", str(folder / "profile")),
        "images": ("data", "images", "--data", data, "--local", "--processes", "2", "--out", str(folder / "look")),
        "split": ("data", "split", "--data", data, "--out", split),
        "train": train,
        "train again": (*train, "--set", "seed=1"),
    }
    commands = {step: command for step, command in commands.items() if step in ("paint", *options.steps)}
    costs = {}
    for step, arguments in commands.items():
        costs[step] = run(arguments, folder)
        print(f"{count:,} cases: {step}: {costs[step]}", file=sys.stderr, flush=True)
    return costs


def run(arguments: Sequence[str], folder: Path) -> CommandCost:
    """Run a `dermis` command and return its cost; CalledProcessError with its words where it fails."""
    start, cpu = time.monotonic(), _cpu_of_children()
    with (folder / "log.txt").open("w+", encoding="utf-8") as log:
        process = psutil.Popen([str(DERMIS), *arguments], stdout=log, stderr=log, cwd=folder)
        peak = [0.0]
        watcher = threading.Thread(target=lambda: peak.append(max(looks(process), default=0.0)))
        watcher.start()
        code = process.wait()
        seconds, cpu_seconds = time.monotonic() - start, _cpu_of_children() - cpu
        watcher.join()
        log.seek(0)
        if code:
            raise subprocess.CalledProcessError(code, arguments, stderr=log.read()[-2000:])
    return CommandCost(seconds=seconds, cpu_seconds=cpu_seconds, peak_mb=max(peak) / 2**20)


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def looks(process: psutil.Process) -> Iterator[float]:
    """Yield again and again how many bytes a process and its children hold, until it ends."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            yield float(sum(_bytes(each) for each in (process, *process.children(recursive=True))))
        except psutil.NoSuchProcess:
            return
        time.sleep(LOOK_S)


def _bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def multiply(tables: Path, folder: Path, count: int) -> None:
    """Write SCIN's two tables with `count` cases: their rows in order, again and again under new names."""
    folder.mkdir(parents=True)
    cases, labels = (list(_read(tables / file)) for file in (CASES_FILE, LABELS_FILE))
    label_of = {row["case_id"]: row for row in labels}
    repeated = [_renamed(cases[n % len(cases)], n // len(cases)) for n in range(count)]
    own = [
        {**label, "case_id": _id(label["case_id"], n // len(cases))}
        for n in range(count)
        if (label := label_of.get(cases[n % len(cases)]["case_id"]))
    ]
    for file, rows in ((CASES_FILE, repeated), (LABELS_FILE, own)):
        with (folder / file).open("w", encoding="utf-8", newline="") as text:
            writer = csv.DictWriter(text, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _renamed(row: Mapping[str, str], repetition: int) -> dict[str, str]:
    images = {name: _image(row[name], repetition) for name in IMAGES if row[name]}
    return {**row, **images, "case_id": _id(row["case_id"], repetition)}


def _image(key: str, repetition: int) -> str:
    folder, _, file = key.rpartition("/")
    return f"{folder}/{_id(file.removesuffix('.png'), repetition)}.png"


def _id(name: str, repetition: int) -> str:
    """Return a signed 64-bit integer as text, another for each repetition; the first keeps the name that it has."""
    digest = hashlib.sha256(f"{name} {repetition}".encode()).digest()
    return str(int.from_bytes(digest[:8], signed=True)) if repetition else name


if __name__ == "__main__":
    sys.exit(main())
