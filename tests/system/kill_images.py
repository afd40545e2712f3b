"""`python -m tests.system.kill_images --count 2000` profiles generated PNGs in a bucket.

Two workers do it, one of them is killed half-way.
"""

import argparse
import csv
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil

from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.scin.fetch import rows_of
from dermis.data.scin.tables import read_tables
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from tests.support.servers import BUCKET, fake_gcs, redis_server
from tests.unit.data.scin_rows import files, labelled

ROOT = Path(__file__).parents[2]
DISTINCT = 40
"""Images that differ in their pixels.

The others are these with another text in their header, so no two files are alike.
"""


@dataclass(kw_only=True)
class Seen:
    """What a run showed; `peaks` are VmHWM in MB by process."""

    rows: list[dict[str, str]] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    corrupted: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    shards_done: Counter[tuple[str, int]] = field(default_factory=Counter)
    results_at_kill: int = 0
    results: int = 0
    peaks: dict[str, float] = field(default_factory=dict)
    seconds: float = 0
    png_mb: float = 0
    log: str = ""

    def check(self) -> None:
        """Every image once, and each planted fault with its reason."""
        assert [row["image"] for row in self.rows] == self.keys
        assert len(set(self.keys)) == len(self.keys)
        assert {row["image"] for row in self.rows if row["fault"] == "MISSING"} == self.missing
        faults = {row["image"]: row["fault"] for row in self.rows if row["fault"] not in ("", "MISSING")}
        assert set(faults) == self.corrupted
        assert set(faults.values()) <= {"IMAGE_DAMAGED", "IMAGE_FORMAT"}
        assert all(row["verdict"] and row["phash"] for row in self.rows if not row["fault"])
        assert 0 < self.results_at_kill < self.results
        assert {shard for _, shard in self.shards_done} <= set(range(self.results))


def run(folder: Path, *, count: int, width: int, height: int, size: int, lost_after: int) -> Seen:
    """Do it in `folder`, with about `count` images and shards of `size`.

    The names are SCIN's own where REAL_DATA is set.

    A lost worker's shards are given to the other after `lost_after` seconds.
    """
    os.environ["PATH"] += f":{ROOT / '.venv/bin'}:{ROOT / '.venv/redis/bin'}"
    with fake_gcs() as gcs, redis_server() as redis:
        os.environ["STORAGE_EMULATOR_HOST"] = gcs
        source, store = f"gs://{BUCKET}/dataset", f"gs://{BUCKET}/store"
        seen = _fill(source, count=count, width=width, height=height)
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")},
            "DERMIS_STORE_URL": store,
            "DERMIS_BROKER_URL": redis,
        }
        with _worker("a", folder, environ, lost_after) as first, _worker("b", folder, environ, lost_after) as second:
            began = time.monotonic()
            _profile(
                folder, source, environ, seen, {"worker a": first, "worker b": second}, size=size, lost_after=lost_after
            )
            seen.seconds = time.monotonic() - began
    with (folder / "out/images.csv").open(newline="") as file:
        seen.rows = list(csv.DictReader(file))
    for name in "ab":
        for line in (folder / f"{name}.log").read_text().splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "step done" and "shard" in event and event["count"]:
                    seen.shards_done[name, event["shard"]] += 1
    return seen


def _fill(source: str, *, count: int, width: int, height: int) -> Seen:
    cases, labels = _tables(count)
    store = open_store(source)
    store.put_once(CASES_FILE, cases)
    store.put_once(LABELS_FILE, labels)
    listed = read_tables(cases, labels).cases["images"]
    keys = list(dict.fromkeys(key for images in listed for key, _ in images))
    few = max(1, len(keys) // 100)
    planted = np.random.default_rng(1).permutation(keys)
    seen = Seen(keys=keys, missing=set(planted[:few]), corrupted=set(planted[few : 2 * few]))
    images = [_png(n, width, height) for n in range(min(DISTINCT, len(keys)))]
    seen.png_mb = sum(map(len, images)) / len(images) / 1e6

    def put(place: int) -> None:
        key = keys[place]
        data = _with_text(images[place % len(images)], str(place))
        if key in seen.corrupted:
            data = b"<html>Not found</html>" if place % 2 else data[: len(data) // 2]
        if key not in seen.missing:
            store.put_once(key, data)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, range(len(keys))))
    return seen


def _tables(count: int) -> tuple[bytes, bytes]:
    """Return tables of cases with `count` images in all.

    They are SCIN's own rows, or made by hand under names of the same form.
    """
    if real := os.environ.get("REAL_DATA"):
        cases, labels = ((Path(real) / "scin" / name).read_bytes() for name in (CASES_FILE, LABELS_FILE))
        typed = read_tables(cases, labels).cases
        sizes = typed["images"].map(len)
        wanted = set(typed.loc[sizes.cumsum() - sizes < count, "case_id"])
        return rows_of(cases, wanted), rows_of(labels, wanted)
    ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 2 * count)
    rows = [
        labelled(
            int(ids[n]),
            {"Eczema": 1.0},
            images=tuple(map(int, ids[count + n : count + n + 3])),
            monk_skin_tone_label_us=str(n % 10 + 1),
        )
        for n in range(0, count, 3)
    ]
    return files(rows)


def _png(seed: int, width: int, height: int) -> bytes:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(110 + seed, 30, (height // 16, width // 16, 3)).clip(0, 255).astype(np.float32)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 1, (height, width, 1))
    return bytes(cv2.imencode(".png", pixels.clip(0, 255).astype(np.uint8))[1].tobytes())


def _with_text(png: bytes, text: str) -> bytes:
    """Add a tEXt chunk after the header, which is 33 bytes long."""
    body = b"tEXt" + b"n\x00" + text.encode()
    return png[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + png[33:]


@contextmanager
def _worker(name: str, folder: Path, environ: dict[str, str], lost_after: int) -> "Iterator[subprocess.Popen[bytes]]":
    more = {
        "DERMIS_WORKER_CONCURRENCY": "1",
        "DERMIS_WORKER_QUEUES": "shards",
        "DERMIS_WORKER_SOFT_TIME_LIMIT_SECONDS": str(lost_after - 2),
        "DERMIS_WORKER_HARD_TIME_LIMIT_SECONDS": str(lost_after - 1),
        "DERMIS_WORKER_VISIBILITY_TIMEOUT_SECONDS": str(lost_after),
    }
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dermis.worker"], env=environ | more, stderr=log, stdout=log, start_new_session=True
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _profile(
    folder: Path,
    source: str,
    environ: dict[str, str],
    seen: Seen,
    workers: "dict[str, subprocess.Popen[bytes]]",
    *,
    size: int,
    lost_after: int,
) -> None:
    """Run the command; kill the second worker with all its processes once half of the results are there."""
    options = [
        "--data",
        source,
        "--out",
        str(folder / "out"),
        "--resend-after",
        str(lost_after + 5),
        "--shard-size",
        str(size),
        "--policy",
        "scin-all",
    ]
    command = [sys.executable, "-m", "dermis.standalone", "data", "images", *options]
    store = open_store(environ["DERMIS_STORE_URL"])
    with (folder / "command.log").open("w") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
    every = {"command": process, **workers}
    shards = -(-(len(seen.keys) - len(seen.missing)) // size)
    while process.poll() is None:
        for name, part in every.items():
            _peak(seen, name, part.pid)
        if not seen.results_at_kill and _done(folder) >= shards / 2:
            os.killpg(workers["worker b"].pid, signal.SIGKILL)
            seen.results_at_kill = _results(store)
        time.sleep(0.02)  # small shards take little longer
    seen.log = (folder / "command.log").read_text()
    seen.results = _results(store)
    assert process.returncode == 0, seen.log


def _done(folder: Path) -> int:
    """Return how many shards the workers say they have done; their logs are read faster than the store is listed."""
    return sum((folder / f"{name}.log").read_bytes().count(b'"step done"') for name in "ab")


def _results(store: BlobStore) -> int:
    return sum(key.endswith(".ndjson") for key in store.list("profiles/"))


def _peak(seen: Seen, name: str, pid: int) -> None:
    with suppress(psutil.Error):
        parent = psutil.Process(pid)
        for n, process in enumerate([parent, *parent.children(recursive=True)]):
            with suppress(OSError):
                peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
                label = name if n == 0 else f"{name}, child {n}"
                if peak:
                    seen.peaks[label] = max(seen.peaks.get(label, 0), int(peak[1]) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.system.kill_images", description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--size", default="1632x1224", help="pixels of an image")
    parser.add_argument("--shard-size", type=int, default=16)
    parser.add_argument(
        "--lost-after", type=int, default=25, help="seconds until a lost worker's shards are given to the other"
    )
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    folder = Path(tempfile.mkdtemp())
    seen = run(
        folder,
        count=arguments.count,
        width=width,
        height=height,
        size=arguments.shard_size,
        lost_after=arguments.lost_after,
    )
    seen.check()
    by_worker = Counter(name for name, _ in seen.shards_done.elements())
    twice = [shard for shard, n in Counter(shard for _, shard in seen.shards_done.elements()).items() if n > 1]
    print(seen.log)
    print(
        f"{len(seen.rows):,} rows of {len(seen.keys):,} images ({arguments.size} PNG, {seen.png_mb:.2f} MB), each "
        f"once, in {seen.seconds:.0f} s"
    )
    print(f"{len(seen.missing)} missing and {len(seen.corrupted)} corrupted, each with its reason")
    print(
        f"killed at {seen.results_at_kill} of {seen.results} results; shards by worker {dict(by_worker)}, "
        f"worked on twice: {twice}"
    )
    print("peak memory (VmHWM):", ", ".join(f"{name} {mb:.0f} MB" for name, mb in seen.peaks.items()))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
