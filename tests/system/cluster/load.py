"""Cases at a steady rate, `python load.py http://dermis-gateway:8080 --photos FOLDER --rate 3`; the API key is KEY.

Runs in a pod beside the system, so it needs nothing but httpx. Each case is sent when it is due, whether earlier ones
are answered or not, over a connection of its own; what is refused is sent again with the same Idempotency-Key. A line
of JSON for each case goes to the output; the file STOP ends the load, then running cases are waited for.
"""

import argparse
import itertools
import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

STOP = Path("/tmp/stop")  # noqa: S108
PATIENCE_S = 240
"""After which a case counts as lost."""
AGAIN_S = 0.2
WAIT = {"Prefer": "wait=10"}


def follow(url: str, photo: bytes, due: float) -> dict[str, Any]:
    """Send one case and wait until it is finished.

    `due` and `at` are seconds since the epoch; `wait_s` counts from `due`, and `late_s` says how much later the load
    itself was; `cut` counts connections that ended without an answer, `refused` has each answer that was none and each
    connection that was not taken.
    """
    headers = {"Authorization": f"Bearer {os.environ['KEY']}"}
    late_s = round(time.time() - due, 3)
    case: dict[str, Any] = {"due": due, "late_s": late_s, "id": "", "wait_s": None, "refused": [], "cut": 0}
    again = {"Idempotency-Key": uuid.uuid4().hex, **WAIT}
    while time.time() < due + PATIENCE_S and case["wait_s"] is None:
        try:
            with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
                while not _finished(_ask(http, case["id"], photo, again), case):
                    pass
                case["wait_s"] = round(time.time() - due, 3)
        except (httpx.ConnectError, httpx.ConnectTimeout) as fault:
            _refused(case, type(fault).__name__)
        except httpx.TransportError:
            case["cut"] += 1
            time.sleep(AGAIN_S)
        except httpx.HTTPStatusError as fault:
            _refused(case, f"{fault.response.status_code} {fault.response.text[:200]}")
    return case


def _ask(http: httpx.Client, case_id: str, photo: bytes, again: dict[str, str]) -> httpx.Response:
    if case_id:
        return http.get(f"/v1/cases/{case_id}", headers=WAIT).raise_for_status()
    files = {"images": ("photo", photo)}
    return http.post("/v1/cases", headers=again, files=files, data={"self_report": "{}"}).raise_for_status()


def _finished(answer: httpx.Response, case: dict[str, Any]) -> bool:
    body = answer.json()
    case["id"], case["status"] = body["id"], body["status"]
    if body["status"] == "FINISHED" and (model := body["outcome"].get("model")):
        case["version"] = model["version"]
    return bool(body["status"] in ("FINISHED", "FAILED"))


def _refused(case: dict[str, Any], why: str) -> None:
    case["refused"].append({"at": time.time(), "why": why})
    time.sleep(AGAIN_S)


def reach(url: str) -> None:
    """Wait until the gateway answers: a network plugin lets a new pod through only after a moment."""
    end = time.time() + 60
    while True:
        try:
            httpx.get(f"{url}/livez", timeout=5).raise_for_status()
            return
        except httpx.HTTPError as fault:
            if time.time() > end:
                raise SystemExit(f"{url} is not to be reached: {fault}") from fault
            time.sleep(AGAIN_S)


def offer(url: str, photos: list[bytes], *, rate: float, seconds: float) -> None:
    said = threading.Lock()

    def one(photo: bytes, due: float) -> None:
        case = follow(url, photo, due)
        with said:
            print(json.dumps(case), flush=True)

    begun, threads = time.time(), []
    for number, photo in enumerate(itertools.cycle(photos)):
        due = begun + number / rate
        if due > begun + seconds or STOP.exists():
            break
        time.sleep(max(0.0, due - time.time()))
        threads.append(threading.Thread(target=one, args=(photo, due)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of the gateway")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos, sent in turn")
    parser.add_argument("--rate", type=float, default=3, help="cases a second (3)")
    parser.add_argument("--seconds", type=float, default=600, help="longest time (600)")
    options = parser.parse_args()
    photos = [path.read_bytes() for path in sorted(options.photos.glob("photo-*"))]
    reach(options.url)
    offer(options.url, photos, rate=options.rate, seconds=options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
