"""What one owner's cases cost as they become many, `python -m benchmarks.growth --cases 1000,10000,100000`: a list, a case, the sweep.

Cases are put as they lie in a store of `--layout`: `by-time` as it is written now, `flat` as an older version left it (which the sweep
then moves). Nothing is synced while they are made; what is measured afterwards is what the parts do.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typeid import TypeID
from uuid_utils import UUID

from dermis.gateway.core.listing import fold_keys
from dermis.shared.case import Consent, Outcome, OutcomeKind, Received, ReceivedImage, fact_key, image_key
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.shared.stores.disk_layout import path_of
from dermis.shared.vocabulary import SelfReport
from dermis.sweep.bootstrap import Sweep
from dermis.sweep.settings import SweepSettings

OWNER = "public"
PAGE = 20
TIMES = 7


class NoQueue:
    """Nothing is open, so nothing is sent."""

    def waiting(self) -> int:
        return 0

    def send(self, job: AssessJob) -> None:
        raise AssertionError(job)

    waiting_steps, send_step = waiting, send


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


def fill(store: BlobStore, root: Path | None, count: int, *, days: float, layout: str) -> list[str]:
    """Put `count` cases of the last `days` days; into a folder without syncing, into a bucket as ever."""
    begun, made = datetime.now(UTC) - timedelta(days=days), []
    for n in range(count):
        at = begun + timedelta(days=days) * (n / count)
        made.append(id_at(at, n))
        for key, data in objects_of(made[-1], at).items():
            if root is None:
                store.put_once(key, data)
                continue
            path = path_of(root, key) if layout == "by-time" else root / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return made


def milliseconds(call: Callable[[], object], times: int = TIMES) -> float:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(taken), 1)


def page(store: BlobStore, after: str) -> None:
    prefix = f"cases/{OWNER}/"
    rows = fold_keys(store.list(prefix, after=f"{prefix}{after}/~" if after else ""), prefix=prefix, size=PAGE)
    assert len(rows) == PAGE, rows


def measure(url: str, root: Path | None, count: int, *, days: float, layout: str) -> dict[str, float]:
    store = open_store(url)
    cases = fill(store, root, count, days=days, layout=layout)
    settings = SweepSettings.model_validate({"store_url": url, "reserve_bytes": 0})
    sweep = Sweep(store, NoQueue(), settings)
    middle = cases[count // 2]
    row = {
        "first page": milliseconds(lambda: page(store, "")),
        "middle page": milliseconds(lambda: page(store, middle)),
        "last page": milliseconds(lambda: page(store, cases[-PAGE - 1])),
        "one case": milliseconds(lambda: [store.get(key) for key in objects_of(middle, datetime.now(UTC))]),
        "first look": milliseconds(sweep.look, 1),
    }
    while layout == "flat" and root and any(entry.name.startswith("case_") for entry in (root / "cases" / OWNER).iterdir()):
        sweep.look()
    return row | {
        "look": milliseconds(sweep.look, 3),
        "middle page then": milliseconds(lambda: page(store, middle)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="1000,10000,100000", help="numbers of cases, each in a store of its own (1000,10000,100000)")
    parser.add_argument("--days", type=float, default=30, help="over which they were taken in (30)")
    parser.add_argument("--layout", choices=("by-time", "flat"), default="by-time")
    parser.add_argument("--url", help="bucket to measure in place of a folder: gs://bucket/prefix; each number below its own prefix")
    options = parser.parse_args()
    print(f"milliseconds, medians; {options.layout}, over {options.days:g} days, {PAGE} cases a page")
    for count in map(int, options.cases.split(",")):
        with tempfile.TemporaryDirectory(prefix="dermis-growth-") as folder:
            root = None if options.url else Path(folder)
            url = f"{options.url}/{count}" if options.url else Path(folder).as_uri()
            row = measure(url, root, count, days=options.days, layout=options.layout)
        print(f"{count:>8} cases  " + "  ".join(f"{name} {value:g}" for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
