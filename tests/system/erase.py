"""Erase under load: `python -m tests.system.erase`.

Cases are erased at any moment of their way, then store, Redis and logs are searched.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import redis

from dermis.shared.case import PUBLIC_OWNER, fact_key
from dermis.shared.ids import without_case_ids
from dermis.shared.stores import open_store
from dermis.standalone import demo
from tests.system import stack

_SETTLE_S = 90.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.erase", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=60, help="cases, half of them erased (60)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dermis-erase-"))
    image = min(demo.CASE.glob("*.jpg")).read_bytes()
    dice = random.Random(1)  # noqa: S311
    try:
        with (
            stack.running(folder, quick=True, own_mount=False, DERMIS_LOG_LEVEL="DEBUG") as parts,
            httpx.Client(base_url=parts.url, timeout=60) as http,
        ):

            def one(n: int, wait_s: float) -> str:
                case_id: str = http.post(
                    "/v1/cases", files={"images": image}, headers={"Idempotency-Key": f"k{n}"}
                ).json()["id"]
                if n % 2:
                    time.sleep(wait_s)
                    assert http.delete(f"/v1/cases/{case_id}").status_code == 204
                return case_id

            with ThreadPoolExecutor(6) as clients:
                ids = list(clients.map(one, range(options.cases), [dice.uniform(0, 1.5) for _ in range(options.cases)]))
            erased, kept = set(ids[1::2]), set(ids[::2])
            store, deadline = open_store(parts.store_url), time.monotonic() + _SETTLE_S
            while list(store.list("open/")) and time.monotonic() < deadline:
                time.sleep(1)
            left = {key: store.get(key) for key in store.list("") if not key.startswith("audit/")}
            tombstones = {fact_key(PUBLIC_OWNER, case_id, "erased") for case_id in erased}
            found = [
                f"store: {key}"
                for key, data in left.items()
                if key not in tombstones and any(i in key or i.encode() in data for i in erased)
            ]
            found += [f"no tombstone: {key}" for key in tombstones - set(left)]
            found += [f"lost: {i}" for i in kept if fact_key(PUBLIC_OWNER, i, "outcome") not in left]
            with redis.Redis.from_url(parts.broker_url) as client:
                time.sleep(2)  # the jobs of erased cases are taken up and found closed
                held = {key: client.dump(key) or b"" for key in client.keys("*")}
            found += [
                f"redis: {key!r}"
                for key, data in held.items()
                if any(i.encode() in key or i.encode() in data for i in erased)
            ]
        logs = "".join(path.read_text(errors="replace") for path in folder.glob("*.log"))
        assert any(without_case_ids(i) in logs for i in kept), "no log was found to be searched"
        found += [f"logs: {i}" for i in ids if i in logs]
        found += [
            f"logs: {word}"
            for word in (image[:64].hex(), min(demo.CASE.glob("*.jpg")).name, "Idempotency")
            if word in logs
        ]
        print(
            f"{len(erased)} of {len(ids)} cases erased on their way; {len(left)} objects and {len(held)} keys "
            "of Redis searched"
        )
        print("\n".join(found) or "nothing of them is left but their tombstones")
        return 1 if found else 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
