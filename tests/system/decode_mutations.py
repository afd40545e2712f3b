"""Puts thousands of mutated photos through `decode` in a child process under limits.

Counts crashes, peak memory, longest time.

`python -m tests.system.decode_mutations [--count 4000] [--seed 1] [--folder FOLDER ...] [--keep FOLDER]`

The photos are generated (tests/support/mutations.py), or those of the folders too. The child has RLIMIT_AS and, for
each photo, RLIMIT_CPU; one that dies is replaced and goes on behind the photo that killed it, which is named.
"""

import argparse
import multiprocessing
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import cv2

from dermis.shared.errors import DermisError
from dermis.shared.images.header import is_refusal
from dermis.worker.core.decode import decode
from tests.support.mutations import mutations, photos

MEMORY_BYTES = 3 << 30
CPU_SECONDS = 15
"""Three times what a photo may cost by its header."""


@dataclass(slots=True)
class Tally:
    """What became of the photos; `bad` names each that killed the child or raised what is no refusal."""

    answers: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    longest: tuple[float, str] = (0.0, "")
    peak_bytes: int = 0


def run(count: int, *, seed: int, seeds: dict[str, bytes] | None = None, keep: Path | None = None) -> Tally:
    """Decode `count` mutations and return what became of them."""
    tally, n = Tally(), 0
    while n < count:
        n = _run_child(tally, n, count, seed, seeds)
        if n < count:  # the child died of photo n
            name, data = next(each for index, each in enumerate(mutations(n + 1, seed=seed, seeds=seeds)) if index == n)
            if keep:
                (keep / f"{name.replace(' ', '_').replace('/', '_')}.bin").write_bytes(data)
            n += 1
    return tally


def _run_child(tally: Tally, first: int, count: int, seed: int, seeds: dict[str, bytes] | None) -> int:
    """Run photos from `first` on in a child; return the number of the one that it died of, or `count`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, first, count, seed, seeds))
    child.start()
    theirs.close()
    n, name = first, "the start"
    try:
        while True:
            n, name, answer, seconds, peak = ours.recv()
            if answer is None:
                continue
            tally.answers[f"{name.split()[1]}: {answer}"] += 1
            tally.longest = max(tally.longest, (seconds, name))
            tally.peak_bytes = max(tally.peak_bytes, peak)
            if answer.startswith("ERROR"):
                tally.bad.append(f"{name}: {answer}")
            n += 1
    except EOFError:
        child.join()
    if child.exitcode:
        why = signal.Signals(-child.exitcode).name if child.exitcode < 0 else f"exit code {child.exitcode}"
        tally.bad.append(f"{name}: the process died of {why}")
        tally.answers[f"{name.split()[1]}: CRASH"] += 1
        return n
    return count


def _child(pipe: Connection, first: int, count: int, seed: int, seeds: dict[str, bytes] | None) -> None:
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for n, (name, data) in enumerate(mutations(count, seed=seed, seeds=seeds)):
        if n < first:
            continue
        pipe.send((n, name, None, 0.0, 0))
        begun = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(begun) + CPU_SECONDS + 1, resource.RLIM_INFINITY))
        answer = _answer(data)
        pipe.send((n, name, answer, time.process_time() - begun, peak_memory()))


def peak_memory() -> int:
    """Return the most bytes of memory that this process held (VmHWM: getrusage's peak is its parent's too)."""
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def _answer(data: bytes) -> str:
    try:
        decode(data)
    except DermisError as error:
        return error.reason if is_refusal(error) else f"ERROR {error}"
    except Exception as error:  # noqa: BLE001 - whatever else comes out of decode is a fault of it
        return f"ERROR {type(error).__name__}: {error}"
    return "taken"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.decode_mutations", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--count", type=int, default=4000, help="mutations (4000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--folder", type=Path, action="append", default=[], help="photos to mutate too, with those of its sub-folders"
    )
    parser.add_argument("--keep", type=Path, help="folder for what killed the child")
    options = parser.parse_args(arguments)
    files = [
        path
        for folder in options.folder
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size < 1 << 20
    ]
    seeds = photos() | {f"file {path}": path.read_bytes() for path in files}
    tally = run(options.count, seed=options.seed, seeds=seeds, keep=options.keep)
    for answer, count in sorted(tally.answers.items()):
        print(f"{count:7}  {answer}")
    for line in tally.bad[:50]:
        print(f"BAD  {line}")
    crashes = sum(count for answer, count in tally.answers.items() if answer.endswith("CRASH"))
    print(
        f"{sum(tally.answers.values())} mutations of {len(seeds)} photos ({len(files)} of them files), "
        f"{crashes} crashes, {len(tally.bad)} BAD"
    )
    print(
        f"peak memory of the child {tally.peak_bytes / 1e6:.0f} MB, longest {tally.longest[0]:.2f} s of "
        f"processor time: {tally.longest[1]}"
    )
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
