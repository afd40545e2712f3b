"""Mutated uploads against real processes: `python -m tests.system.mutate --uploads 10000`.

Every answer must be a 202 or a problem of its own (RFC 9457), never a 5xx but a 503 that says when to come again; every
accepted case must end; the store must hold the accepted cases and nothing else.
"""

import argparse
import collections
import functools
import json
import random
import shutil
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import psutil

from dermis.shared.stores import open_store
from tests.system import stack
from tests.system.clients import small_images
from tests.system.verify import files_by_case

THREADS = 4
ENDS_WITHIN_S = 120
HEIC = Path(__file__).parents[1] / "support" / "generated.heic"
Request = dict[str, Any]


@dataclass
class Tally:
    answers: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    accepted: set[str] = field(default_factory=set)
    bad: list[str] = field(default_factory=list)


@functools.cache
def originals() -> tuple[tuple[str, bytes], ...]:
    pixels = cv2.imdecode(np.frombuffer(small_images()[0], np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    coded = [
        (f"image/{name}", cv2.imencode(f".{name}", pixels)[1].tobytes()) for name in ("jpeg", "png", "webp", "avif")
    ]
    return (*coded, ("image/heic", HEIC.read_bytes()))


def image(
    chance: random.Random, data: bytes | None = None, kind: str | None = None
) -> tuple[str, tuple[str, bytes, str]]:
    found_kind, original = chance.choice(originals())
    return "images", ("image", original if data is None else data, kind or found_kind)


def cut(chance: random.Random) -> Request:
    kind, data = chance.choice(originals())
    return {"files": [image(chance, data[: chance.randrange(len(data))], kind)]}


def flipped(chance: random.Random) -> Request:
    kind, data = chance.choice(originals())
    changed = bytearray(data)
    head = chance.random() < 0.5  # half of them in the headers, where it hurts most
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        changed[chance.randrange(min(len(data), 400) if head else len(data))] ^= 1 << chance.randrange(8)
    return {"files": [image(chance, bytes(changed), kind)]}


def mislabelled(chance: random.Random) -> Request:
    kind = chance.choice(("image/png", "image/jpeg", "image/heic", "application/pdf", "text/html", "", "x" * 300))
    data = chance.choice(
        [data for _, data in originals()]
        + [b"%PDF-1.7\n" + bytes(900), b"GIF89a" + bytes(99), b"MZ" + bytes(99), b"", b"\0"]
    )
    return {"files": [image(chance, data, kind)]}


def bomb(chance: random.Random) -> Request:
    width, height = (chance.choice((0, 1, 16_385, 60_000, 0x7FFFFFFF)) for _ in range(2))
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000), 9)
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    png += (
        struct.pack(">I", len(pixels))
        + b"IDAT"
        + pixels
        + struct.pack(">I", zlib.crc32(b"IDAT" + pixels))
        + bytes.fromhex("0000000049454e44ae426082")
    )
    webp = (
        b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
        + struct.pack("<I", width)[:3]
        + struct.pack("<I", height)[:3]
        + bytes(8)
    )
    jpeg = bytearray(originals()[0][1])
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    heic = bytearray(dict(originals())["image/heic"])
    at = heic.index(b"ispe")
    heic[at + 8 : at + 16] = struct.pack(">II", width, height)
    return {"files": [image(chance, bytes(chance.choice((png, webp, jpeg, heic))))]}


def polyglot(chance: random.Random) -> Request:
    kind, data = chance.choice(originals())
    other = chance.choice(
        (
            b"%PDF-1.7\n",
            b"PK\3\4" + bytes(200),
            b"<html><script>alert(1)</script>",
            b"#!/bin/sh\n",
            chance.choice(originals())[1],
        )
    )
    return {
        "files": [image(chance, chance.choice((data + other, other + data, data[:200] + other + data[200:])), kind)]
    }


def wrong_json(chance: random.Random) -> Request:
    values: tuple[str, ...] = (
        "null",
        "[]",
        "1",
        '"x"',
        "true",
        "{",
        "",
        "NaN",
        "[" * 5000,
        '{"textures": 1}',
        '{"textures": ["FLAT", null]}',
    )
    values += (
        '{"age_group": []}',
        '{"age_group": {"a": 1}}',
        '{"no_such": 1}',
        '{"textures": ["\\ud800"]}',
        '{"a":' * 200 + "1" + "}" * 200,
    )
    values += (
        '{"age_group": 1e999}',
        '{"age_group": "AGE_18_TO_29", "age_group": 7}',
        "\ufeff{}",
        "{}" * 2,
        " " * 60_000 + "{}",
    )
    data: dict[str, Any] = {"self_report": chance.choice(values)}
    if chance.random() < 0.3:
        data[chance.choice(("consent", "shot_types", "owner", "self_report[]"))] = chance.choice(
            ("", "X", "ASSESS_ONLY", "\0", "é" * 500)
        )
    return {"files": [image(chance)], "data": data}


def wrong_form(chance: random.Random) -> Request:
    part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n' + originals()[0][1] + b"\r\n"
    bodies: tuple[bytes, ...] = (
        part,
        part + b"--b--",
        part[:50],
        b"",
        b"--b--",
        b"\r\n" * 999,
        part.replace(b"form-data", b"x"),
        part * 4 + b"--b--",
        part * 40,
    )
    bodies += (
        b"--b\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b'--b\r\nContent-Disposition: form-data; name="self_report"\r\n\r\n' + b"x" * 70_000,
    )
    kinds = (
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "application/json",
        "text/plain",
        "",
    )
    headers = {"content-type": kinds[0] if chance.random() < 0.6 else chance.choice(kinds)}
    return {"content": chance.choice(bodies), "headers": headers}


def wrong_headers(chance: random.Random) -> Request:
    names = ("Idempotency-Key", "Prefer", "Last-Event-ID", "If-None-Match", "Accept")
    values = ("", "x" * 5000, "wait=x", "wait=-1", "wait=99999999999999999999", "\xff", '"', "0", "text/html;q=2")
    headers = {chance.choice(names): chance.choice(values).encode("latin-1") for _ in range(2)}
    return {"files": [image(chance) for _ in range(chance.choice((0, 1, 3, 4, 17)))], "headers": headers}


KINDS: tuple[Callable[[random.Random], Request], ...] = (
    cut,
    flipped,
    mislabelled,
    bomb,
    polyglot,
    wrong_json,
    wrong_form,
    wrong_headers,
)


def send(http: httpx.Client, tally: Tally, *, seed: int, n: int) -> None:
    """Send upload `n`, again as long as it is answered with 503 and a time to come again."""
    chance = random.Random(f"{seed}/{n}")  # noqa: S311
    kind = KINDS[n % len(KINDS)]
    request = kind(chance)
    route = "/v1/cases"
    if chance.random() < 0.05 and len(request.get("files", ())) == 1:
        route, request = "/v1/images:assess", {"files": [("image", request["files"][0][1])]}
    if "files" in request and not request["files"]:
        request["data"] = {"self_report": "{}"}
    while (answer := http.post(route, **request)).status_code == 503 and "retry-after" in answer.headers:
        tally.answers[kind.__name__, "503, sent again"] += 1
        time.sleep(0.5)
    reason = "accepted" if answer.status_code in (200, 202) else f"{answer.status_code}"
    if reason == "accepted":
        if route == "/v1/cases":
            tally.accepted.add(str(answer.json()["id"]))
    else:
        problem = answer.json() if answer.headers.get("content-type") == "application/problem+json" else {}
        reason += f" {problem.get('reason')}"
        if answer.status_code >= 500 or not (problem.get("reason") and problem.get("detail")):
            tally.bad.append(f"upload {n} ({kind.__name__}): {answer.status_code} {answer.text[:200]}")
    tally.answers[kind.__name__, reason] += 1


def run(parts: stack.Stack, tally: Tally, *, uploads: int, seed: int) -> None:
    todo = iter(range(uploads))
    lock = threading.Lock()
    start = time.monotonic()

    def work() -> None:
        with httpx.Client(base_url=parts.url, timeout=60) as http:
            while True:
                with lock:
                    n = next(todo, None)
                if n is None:
                    return
                if n and n % 500 == 0:
                    print(f"{time.monotonic() - start:7.1f} s  {n} sent, {len(tally.accepted)} accepted", flush=True)
                try:
                    send(http, tally, seed=seed, n=n)
                except Exception as fault:  # noqa: BLE001 - whatever a client sees must be counted
                    tally.bad.append(f"upload {n} ({KINDS[n % len(KINDS)].__name__}): {fault!r}")

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store, deadline = open_store(parts.store_url), time.monotonic() + ENDS_WITHIN_S
    while list(store.list("open/")) and time.monotonic() < deadline:
        time.sleep(0.5)
    tally.bad += [f"{key}: still open" for key in store.list("open/")]
    found = files_by_case(store)
    tally.bad += [f"{case_id}: in the store, but refused" for case_id in found.keys() - tally.accepted]
    for case_id in tally.accepted:
        ends = [name for name in found.get(case_id, ()) if name == "outcome.json" or name.startswith("failed/")]
        if len(ends) != 1:
            tally.bad.append(f"{case_id}: ends {ends}")
        tally.answers["cases that ended", ends[0] if ends else "not"] += 1
    tally.bad += [f"{key}: left over" for key in store.list("scratch/")]


def memory(parts: stack.Stack) -> dict[str, float]:
    """Return the resident memory of each part with its children, in MB."""
    found = {}
    for name, child in parts.supervisor.children.items():
        process = psutil.Process(child.pid)
        found[name] = sum(each.memory_info().rss for each in (process, *process.children(recursive=True))) / 1e6
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.mutate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--uploads", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    tally = Tally()
    folder = Path(tempfile.mkdtemp(prefix="dermis-mutate-"))
    try:
        with stack.running(folder, quick=True, own_mount=False) as parts:
            run(parts, Tally(), uploads=100, seed=0)  # what is loaded once is no leak
            shutil.rmtree(folder / "volume" / "store" / "cases")
            before = memory(parts)
            run(parts, tally, uploads=options.uploads, seed=options.seed)
            after = memory(parts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for (kind, answer), count in sorted(tally.answers.items()):
        print(f"{kind:<18}{answer:<32}{count:>7}")
    for name, held in before.items():
        print(f"resident memory of {name:<10}{held:8.1f} MB before, {after[name]:8.1f} MB after")
    for line in tally.bad[:50]:
        print(f"BAD  {line}")
    print(f"{options.uploads} uploads, {len(tally.accepted)} accepted as cases, {len(tally.bad)} BAD")
    if options.json:
        answers = {f"{kind}: {answer}": count for (kind, answer), count in sorted(tally.answers.items())}
        options.json.write_text(
            json.dumps(
                {"uploads": options.uploads, "answers": answers, "before": before, "after": after, "bad": tally.bad}
            )
        )
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
