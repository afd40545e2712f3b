"""Rows on the tools for data sets, in the environment that has the extra `data`: prints them as JSON."""

import dataclasses
import functools
import io
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import simplejpeg

from benchmarks.images import Image, photo
from benchmarks.measure import Result, Row, Times, interleaved, number, of_pairs
from dermis.data.generated import cases as generated
from dermis.data.generated import skin
from dermis.data.images.measure import load_quality_policy
from dermis.data.profile.profile import profile
from dermis.data.report.report import Report, as_html
from dermis.data.scin.label_policy import apply_policy
from dermis.data.scin.source import load_policy
from dermis.data.scin.tables import read_tables
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core import shard
from dermis.worker.core.quality import Policy
from tests.unit.data.scin_rows import case, files, labelled

ROUNDS = 5
IMAGES = {"512 x 384": (512, 384, 60), "1632 x 1224": (1632, 1224, 24), "4000 x 3000": (4000, 3000, 8)}
"""Width, height and number of JPEGs, distinct in their pixels."""
CASES = 5033
PEER = "CLEANVISION_PYTHON"
_CLEANVISION = """
import json, logging, sys, time
logging.disable(logging.CRITICAL)
from cleanvision import Imagelab
for folder in sys.stdin:
    lab = Imagelab(data_path=folder.strip())
    start = time.perf_counter()
    lab.find_issues(n_jobs=1, verbose=False)
    print(json.dumps([time.perf_counter() - start, len(lab.issues)]), file=sys.stderr, flush=True)
"""


def run() -> Result:
    """Measure on one core; the rows against CleanVision need `CLEANVISION_PYTHON`, an interpreter that has it."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        rows = [_png(), *_tables()]
        peer = os.environ.get(PEER)
        notes = () if peer else ("(g) CleanVision was not measured: it could not be installed.",)
        return Result(rows=(*rows, *(_against_cleanvision(peer) if peer else ())), notes=notes)
    finally:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(threads)


def _png() -> Row:
    policy = load_quality_policy(None)
    png = cv2.imencode(".png", photo(1632, 1224)[..., ::-1])[1].tobytes()
    taken = interleaved(
        {
            "row": lambda: shard.measure("a.png", png, policy),
            "bare": lambda: cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED),
        },
        rounds=40,
    )
    ratio, text = of_pairs(taken["row"], taken["bare"])
    return Row(
        bench="g",
        what=f"`dermis data images`, one row: 2-megapixel PNG of {number(len(png) / 1e6)} MB",
        ours=str(taken["row"]),
        peer=f"bare cv2.imdecode: {taken['bare']}",
        ratio=text,
        aim="<= 1.3",
        met=ratio <= 1.3,
        n="40",
    )


def _against_cleanvision(python: str) -> list[Row]:
    """Time folders of JPEGs in turn, each image as often as the other side; what CleanVision imports is not counted."""
    rows = []
    policy = load_quality_policy(None)
    with tempfile.TemporaryDirectory() as place, _peer(python) as peer:
        for name, (width, height, n) in IMAGES.items():
            folder = Path(place) / name.replace(" ", "")
            folder.mkdir()
            for k in range(n):
                data = simplejpeg.encode_jpeg(_scene(k, width, height), quality=90, colorsubsampling="420")
                (folder / f"{k}.jpg").write_bytes(data)
            ours, theirs = _in_turn(
                n, functools.partial(_ours, folder, policy), functools.partial(_theirs, peer, folder, n)
            )
            ratio, text = of_pairs(theirs, ours)
            rows.append(
                Row(
                    bench="g",
                    what=f"`dermis data images` core, an image of {n} JPEGs of {name}, read from disk, one core",
                    ours=str(ours),
                    peer=f"CleanVision, all its checks, n_jobs=1: {theirs}",
                    ratio=f"{text} times faster",
                    aim=">= 4 times faster",
                    met=ratio >= 4,
                    n=f"{ROUNDS} runs",
                )
            )
    return rows


def _in_turn(n: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[Times, Times]:
    ours(), theirs()
    pairs = [(ours() * 1000 / n, theirs() * 1000 / n) for _ in range(ROUNDS)]
    return Times(ms=tuple(mine for mine, _ in pairs)), Times(ms=tuple(other for _, other in pairs))


def _ours(folder: Path, policy: Policy) -> float:
    start = time.perf_counter()
    lines = shard.as_lines(
        shard.rows((path.name for path in sorted(folder.iterdir())), lambda key: (folder / key).read_bytes(), policy)
    )
    assert lines
    return time.perf_counter() - start


def _peer(python: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [python, "-c", _CLEANVISION],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _theirs(peer: "subprocess.Popen[str]", folder: Path, n: int) -> float:
    assert peer.stdin
    assert peer.stderr
    print(folder, file=peer.stdin, flush=True)
    for line in peer.stderr:
        if line.startswith("["):
            seconds, images = json.loads(line)
            assert images == n
            return float(seconds)
    raise RuntimeError("CleanVision ended early")


def _scene(seed: int, width: int, height: int) -> Image:
    tones = tuple(MonkSkinTone)
    scene = skin.scene(generated.CONDITIONS[seed % 3].name, tone=tones[seed % len(tones)], seed=seed, size=(375, 500))
    large = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(seed).normal(0, 3, (height, width, 1)).astype(np.float32)
    return np.asarray(np.clip(large + grain, 0, 255), np.uint8)


def _tables() -> list[Row]:
    """Read and profile a data set of the whole release's size, made by hand."""
    names = [f"Condition {n}" for n in range(60)]
    rows = [
        labelled(
            n,
            {names[n % 60]: 0.7, names[n * 7 % 60 if n * 7 % 60 != n % 60 else (n + 1) % 60]: 0.3},
            images=(2 * n, 2 * n + 1),
            monk_skin_tone_label_us=str(n % 10 + 1),
        )
        if n % 5 < 3
        else case(n, images=(2 * n, 2 * n + 1), monk_skin_tone_label_us=str(n % 10 + 1))
        for n in range(1, CASES + 1)
    ]
    cases, labels = files(rows)
    policy = load_policy("scin-grouped")
    read = read_tables(cases, labels)
    tables = profile(read, apply_policy(policy, read.cases))
    report = Report(name="profile", title="Profile", facts={}, tables=tables)
    taken = interleaved(
        {
            "read": lambda: read_tables(cases, labels),
            "profile": lambda: profile(read, apply_policy(policy, read.cases)),
            "page": lambda: as_html(report),
            "pandas": lambda: (pd.read_csv(io.BytesIO(cases), dtype=str), pd.read_csv(io.BytesIO(labels), dtype=str)),
        },
        rounds=ROUNDS,
    )
    all_ms = Times(ms=tuple(a + b for a, b in zip(taken["read"].ms, taken["profile"].ms, strict=True)))
    return [
        Row(
            bench="g",
            what=f"read both tables strictly, every cell typed, {CASES:,} cases",
            ours=f"{taken['read']}, {CASES / taken['read'].p50 * 1000:,.0f} rows/s",
            peer=f"pandas.read_csv, all as text, unchecked: {taken['pandas']}",
            ratio=of_pairs(taken["read"], taken["pandas"])[1],
            aim="none",
            met=None,
            n=f"{ROUNDS}",
        ),
        Row(
            bench="g",
            what="read, label policy and every table of the profile",
            ours=f"{all_ms}, {CASES / all_ms.p50 * 1000:,.0f} rows/s",
            peer=f"its page with all charts: {taken['page']}",
            ratio="",
            aim="none",
            met=None,
            n=f"{ROUNDS}",
        ),
    ]


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(run())))
