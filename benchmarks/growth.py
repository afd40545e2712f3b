"""What one owner's cases cost as they become many: a list, a case, a look of the sweep, the start of the parts.

    make growth [ARGS="--cases 1000,10000,100000 --bucket-cases 1000,10000"] [OUT=growth.md]

Cases are put as they lie in a store of `--layout`: `by-time` as it is written now, `flat` as an older version left it
(which the sweep then moves). Nothing is synced while they are made, and a bucket's emulator is filled by plain uploads;
what is measured afterwards is what the parts do. A store's row is printed before the store is removed: to remove
100,000 cases takes longer than to make them.
"""

import argparse
import contextlib
import http.client
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlsplit

from typeid import TypeID
from uuid_utils import UUID

from benchmarks.machine import about
from dermis.data.report.markdown import markdown_table
from dermis.shared.batches import BatchJob
from dermis.shared.case import Consent, Outcome, OutcomeKind, Received, ReceivedImage, fact_key, image_key
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.jobs import AssessJob
from dermis.shared.listing import fold_keys
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.shared.stores.disk_layout import path_of
from dermis.shared.vocabulary import SelfReport
from dermis.shared.webhooks import DrainJob
from dermis.sweep.bootstrap import Sweep
from dermis.sweep.settings import SweepSettings
from tests.support.servers import BUCKET, fake_gcs, free_port, redis_server

OWNER = "public"
PAGE = 20
TIMES = 7
WRITERS = 8
Put = Callable[[str, bytes], object]
Milliseconds = dict[str, float]
HEAD = """# What cases cost as they become many

Stores of one owner's finished cases, of two facts, two images and a retention mark each, taken in evenly over
{days:g} days. Milliseconds, medians: a page of 20 cases from the names of their objects, one case with all its objects,
a look of the sweep, and the parts' start: of the gateway until `/readyz` answers 200, of the sweep until its first look
has ended. "Power" is the exponent by which a time grows from the smallest store to the largest: 0 does not grow, 1
grows as the cases do.
"""
TAIL = """
The sweep looks for missing retention marks in 500 cases at a look, and that is nearly all of its time; a store of
fewer takes less. The first look is the one after a start.

The bucket is an emulator (fake-gcs-server, in memory), which is no measure of Cloud Storage: none was to be had.
"""


class NoQueue:
    """Nothing is open, so nothing is sent."""

    def waiting(self) -> int:
        return 0

    def send(self, job: AssessJob) -> None:
        raise AssertionError(job)

    waiting_steps = waiting

    def waiting_drains(self) -> int:
        return 0

    def send_drain(self, job: DrainJob) -> None:
        raise AssertionError(job)

    def send_step(self, job: BatchJob) -> None:
        raise AssertionError(job)


def id_at(at: datetime, n: int) -> str:
    return str(TypeID.from_uuid(UUID(int=int(at.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | n), prefix="case"))


def objects_of(case_id: str, at: datetime) -> dict[str, bytes]:
    image = ReceivedImage(n=1, content_type="image/jpeg", bytes=5, sha256="0", width=1, height=1)
    received = Received(case_id=case_id, owner=OWNER, received_at=at, images=(image,), self_report=SelfReport())
    outcome = Outcome(case_id=case_id, finished_at=at, kind=OutcomeKind.REJECTION)
    return {
        fact_key(OWNER, case_id, "received"): received.model_dump_json().encode(),
        fact_key(OWNER, case_id, "outcome"): outcome.model_dump_json().encode(),
        image_key(OWNER, case_id, 1, "original"): b"image",
        image_key(OWNER, case_id, 1, "prepared"): b"image",
        retention_key(Consent.ASSESS_ONLY, case_id): RetentionMark(owner=OWNER).model_dump_json().encode(),
    }


def writes_files(root: Path, layout: str) -> Put:
    def put(key: str, data: bytes) -> None:
        path = path_of(root, key) if layout == "by-time" else root / key
        try:
            path.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    return put


@contextlib.contextmanager
def uploads(address: str, prefix: str) -> Iterator[Put]:
    """Put into an emulator's BUCKET over one connection, without what Google's client adds."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(address).netloc)) as connection:

        def put(key: str, data: bytes) -> None:
            connection.request(
                "POST",
                f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(f'{prefix}/{key}', safe='')}",
                data,
            )
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()

        yield put


def fill(put: Put, count: int, *, days: float) -> list[str]:
    """Put `count` cases of the last `days` days and return their ids, the oldest first."""
    begun, ids = datetime.now(UTC) - timedelta(days=days), []
    for n in range(count):
        at = begun + timedelta(days=days) * (n / count)
        ids.append(id_at(at, n))
        for key, data in objects_of(ids[-1], at).items():
            put(key, data)
    return ids


def milliseconds(call: Callable[[], object], times: int = TIMES) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(taken), 1)


def page(store: BlobStore, after: str) -> None:
    prefix = f"cases/{OWNER}/"
    keys = store.list(prefix, after=f"{prefix}{after}/~" if after else "")
    rows = list(islice(fold_keys(keys, prefix=prefix), PAGE))
    assert len(rows) == PAGE, rows


def started(part: str, env: dict[str, str], is_ready: Callable[[], bool]) -> float:
    """Return the milliseconds from starting a part to when it is ready; it is ended then."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", f"dermis.{part}"], env=os.environ | env, stdout=subprocess.DEVNULL
    )
    try:
        while not is_ready():
            assert process.poll() is None, f"{part} ended with {process.returncode}"
            assert time.perf_counter() - begun < 300, f"{part} is not ready after 300 s"
            time.sleep(0.02)
        return round((time.perf_counter() - begun) * 1000)
    finally:
        process.terminate()
        process.wait(30)


def answer(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:  # noqa: S310
            return str(reply.read().decode())
    except OSError:
        return ""


def starts(url: str, broker: str) -> Milliseconds:
    port, metrics = free_port(), f"127.0.0.1:{free_port()}"
    both = {"DERMIS_STORE_URL": url, "DERMIS_BROKER_URL": broker, "DERMIS_LOG_LEVEL": "WARNING"}
    gateway = both | {"DERMIS_GATEWAY_PORT": str(port)}
    sweep = both | {"DERMIS_SWEEP_METRICS_LISTEN": metrics, "DERMIS_SWEEP_RESERVE_BYTES": "0"}

    def looked() -> bool:
        lines = answer(f"http://{metrics}/metrics").splitlines()
        return any(
            line.startswith("dermis_sweep_last_look_timestamp_seconds ") and float(line.split()[1]) > 0
            for line in lines
        )

    return {
        "gateway's start": started("gateway", gateway, lambda: bool(answer(f"http://127.0.0.1:{port}/readyz"))),
        "sweep's start": started("sweep", sweep, looked),
    }


def measure(url: str, ids: list[str]) -> Milliseconds:
    store, middle = open_store(url), ids[len(ids) // 2]
    sweep = Sweep(store, NoQueue(), SweepSettings.model_validate({"store_url": url, "reserve_bytes": 0}))
    row = {
        "first page": milliseconds(lambda: page(store, "")),
        "middle page": milliseconds(lambda: page(store, middle)),
        "last page": milliseconds(lambda: page(store, ids[-PAGE - 1])),
        "one case": milliseconds(lambda: [store.get(key) for key in objects_of(middle, datetime.now(UTC))]),
        "first look": milliseconds(sweep.look, 1),
    }
    root = Path(urlsplit(url).path, "cases", OWNER)
    while url.startswith("file:") and any(entry.name.startswith("case_") for entry in root.iterdir()):
        sweep.look()  # of an older layout
    with redis_server() as broker:
        return row | {"look": milliseconds(sweep.look, 3)} | starts(url, broker)


def show(count: int, row: Milliseconds, begun: float) -> Milliseconds:
    print(f"{count:>8} cases  " + "  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)
    print(f"{time.monotonic() - begun:.0f} s so far", file=sys.stderr)
    return row


def on_disk(counts: list[int], *, folder: Path | None, days: float, layout: str) -> dict[int, Milliseconds]:
    rows, begun = {}, time.monotonic()
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="dermis-growth-", dir=folder) as root:
            ids = fill(writes_files(Path(root), layout), count, days=days)
            print(f"{count} cases put", file=sys.stderr)
            rows[count] = show(count, measure(Path(root).as_uri(), ids), begun)
    return rows


def in_emulator(counts: list[int], *, days: float) -> dict[int, Milliseconds]:
    """Measure in an emulator of its own for each count."""
    rows, begun = {}, time.monotonic()
    for count in counts:
        with fake_gcs() as address, uploads(address, "growth") as put:
            os.environ["STORAGE_EMULATOR_HOST"] = address
            ids = fill(put, count, days=days)
            print(f"{count} cases put", file=sys.stderr)
            rows[count] = show(count, measure(f"gs://{BUCKET}/growth", ids), begun)
    return rows


def in_bucket(url: str, counts: list[int], *, days: float) -> dict[int, Milliseconds]:
    """Measure in a bucket, each count below a prefix of its own, which stays."""
    rows, begun = {}, time.monotonic()
    for count in counts:
        ids = fill_bucket(open_store(f"{url}/{count}"), count, days=days)
        rows[count] = show(count, measure(f"{url}/{count}", ids), begun)
    return rows


def fill_bucket(store: BlobStore, count: int, *, days: float) -> list[str]:
    puts: list[Future[bool]] = []
    with ThreadPoolExecutor(WRITERS) as writers:
        ids = fill(lambda key, data: puts.append(writers.submit(store.put_once, key, data)), count, days=days)
    assert all(put.result() for put in puts), "the bucket held some of the cases before"
    return ids


def power(rows: dict[int, Milliseconds], name: str) -> float:
    """Return p where the time grows as cases ** p, from the smallest store to the largest."""
    least, most = min(rows), max(rows)
    return math.log(rows[most][name] / rows[least][name]) / math.log(most / least)


def table(title: str, rows: dict[int, Milliseconds]) -> str:
    head = [title, *(f"{count:,} cases" for count in rows), "power"]
    lines = []
    for name in next(iter(rows.values())):
        exponent = f"{power(rows, name):.2f}" if len(rows) > 1 else ""
        lines.append([name, *(f"{row[name]:,g}" for row in rows.values()), exponent])
    return markdown_table(head, lines, align=["left", *("right" for _ in head[1:])]) + "\n"


def main() -> None:
    def numbers(text: str) -> list[int]:
        return [int(each) for each in text.split(",") if each]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases",
        type=numbers,
        default="1000,10000,100000",
        help="numbers of cases on disk, each in a store of its own",
    )
    parser.add_argument(
        "--bucket-cases", type=numbers, default="1000,10000", help="and in a bucket's emulator; empty: none"
    )
    parser.add_argument("--days", type=float, default=29, help="over which they were taken in (29: none is over)")
    parser.add_argument("--layout", choices=("by-time", "flat"), default="by-time")
    parser.add_argument(
        "--folder", type=Path, help="make the stores below this folder, of a tmpfs for one (the system's temporary one)"
    )
    parser.add_argument(
        "--url", help="a bucket to take the emulator's place: gs://bucket/prefix; what is put there stays"
    )
    parser.add_argument("--write", type=Path, help="write the result, Markdown, here")
    options = parser.parse_args()
    load = os.getloadavg()
    tables = {"on disk": on_disk(options.cases, folder=options.folder, days=options.days, layout=options.layout)}
    if options.url:
        tables["in the bucket"] = in_bucket(options.url, options.bucket_cases, days=options.days)
    else:
        tables["in a bucket's emulator"] = in_emulator(options.bucket_cases, days=options.days)
    text = "\n".join(
        (
            HEAD.format(days=options.days),
            about("benchmarks.growth", load),
            *(table(*each) for each in tables.items() if each[1]),
        )
    )
    if options.write:
        options.write.write_text(text + TAIL, encoding="utf-8")


if __name__ == "__main__":
    main()
