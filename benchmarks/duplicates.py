"""Near-duplicate hashes: what a radius finds and confuses (`make duplicates`), and how the search grows to a million.

It needs the extra `data`, which is in the trainer's environment alone.
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import Result, Row
from dermis.data.defaults import RADIUS
from dermis.data.generated.cases import cases
from dermis.data.images.near_duplicates import near_pairs
from dermis.data.report.markdown import markdown_table
from dermis.data.space.embed import open_embedder
from dermis.data.space.sorting import directions
from dermis.worker.core.decode import decode
from dermis.worker.core.phash import phash
from dermis.worker.core.prepare import fit

SIZES = (10_000, 100_000, 1_000_000)
PLANTED = 0.01
IMAGES = 400
Image = np.ndarray


def changed(image: Image) -> dict[str, Image]:
    """Return what one and the same picture comes back as."""
    height, width = image.shape[:2]
    margin = max(height, width) // 50
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    return {
        "JPEG quality 40": np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)),
        "half the size": cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "30 % brighter": cv2.convertScaleAbs(image, alpha=1.3),
        "2 % cut off each side": np.ascontiguousarray(image[margin:-margin, margin:-margin]),
    }


def generated() -> list[Image]:
    return [image for case in cases(7, IMAGES, longest=256) for image in case.images[:1]]


def photos(real: Path) -> list[Image]:
    """Return the photos of Fitzpatrick17k and PAD-UFES-20."""
    paths = [
        path for name in ("fitzpatrick17k", "pad_ufes_20") for path in sorted((real / "photos" / name).glob("*.jpg"))
    ]
    return [decode(path.read_bytes()).image for path in paths]


def radius_table(pictures: list[Image]) -> list[dict[str, float]]:
    """Return for each radius the share of changed pictures that it finds, and how many pairs of others it holds too."""
    hashes = np.array([phash(image) for image in pictures], np.uint64)
    upper = np.triu_indices(len(hashes), k=1)
    apart = np.bitwise_count(hashes[upper[0]] ^ hashes[upper[1]])
    bits: dict[str, list[int]] = {}
    for image, own in zip(pictures, hashes, strict=True):
        for name, other in changed(image).items():
            bits.setdefault(name, []).append((int(own) ^ phash(other)).bit_count())
    return [
        {
            "radius": radius,
            **{f"found: {name}": float((np.array(distances) <= radius).mean()) for name, distances in bits.items()},
            "pairs of others": int((apart <= radius).sum()),
            "of": len(apart),
        }
        for radius in (0, 2, 4, 6, 8, 10, 12)
    ]


def cosine_table(pictures: list[Image], bundle: str) -> list[dict[str, float]]:
    """Return the same for cosines of a bundle's embeddings."""
    embedder = open_embedder(bundle, None)

    def vectors(images: list[Image]) -> np.ndarray:
        prepared = [fit(image, embedder.manifest.image_size) for image in images]
        return directions(np.concatenate([embedder.embed(prepared[at : at + 8]) for at in range(0, len(prepared), 8)]))

    own = vectors(pictures)
    apart = (own @ own.T)[np.triu_indices(len(own), k=1)]
    others = [changed(image) for image in pictures]
    cosines_of = {name: (own * vectors([other[name] for other in others])).sum(1) for name in others[0]}
    return [
        {
            "cosine": least,
            **{f"found: {name}": float((cosines >= least).mean()) for name, cosines in cosines_of.items()},
            "pairs of others": int((apart >= least).sum()),
            "of": len(apart),
        }
        for least in (0.98, 0.99, 0.995, 0.998, 0.999, 0.9995)
    ]


def hashes_of(n: int) -> np.ndarray:
    """Return random hashes, of which one in a hundred is another's with up to `RADIUS` bits flipped."""
    rng = np.random.default_rng(n)
    hashes = rng.integers(0, 1 << 63, n, dtype=np.uint64) * np.uint64(2) + rng.integers(0, 2, n, dtype=np.uint64)
    for place in range(0, n, round(1 / PLANTED)):
        hashes[place + 1] = hashes[place] ^ sum(
            (np.uint64(1 << int(bit)) for bit in rng.choice(64, rng.integers(0, RADIUS + 1), replace=False)),
            np.uint64(0),
        )
    return hashes


def all_pairs(hashes: np.ndarray, radius: int) -> int:
    return sum(
        int((np.bitwise_count(hashes[place + 1 :] ^ hashes[place]) <= radius).sum()) for place in range(len(hashes))
    )


def seconds(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def search() -> Result:
    taken, pairs = {}, {}
    for n, times in zip(SIZES, (9, 3, 1), strict=True):
        hashes = hashes_of(n)
        taken[n] = seconds(partial(near_pairs, hashes, RADIUS), times)
        pairs[n] = len(near_pairs(hashes, RADIUS)[0]) if n < SIZES[-1] else 0
    small = hashes_of(SIZES[0])
    brute = seconds(lambda: all_pairs(small, RADIUS), 3)
    if all_pairs(small, RADIUS) != pairs[SIZES[0]]:
        raise AssertionError("the index and all pairs do not agree")
    growth = np.log(taken[SIZES[-1]] / taken[SIZES[0]]) / np.log(SIZES[-1] / SIZES[0])
    peer = brute * (SIZES[-1] / SIZES[0]) ** 2
    table_rows = [
        Row(
            bench="h",
            what=f"near-duplicates among {SIZES[0]:,} hashes, radius {RADIUS}",
            ours=f"{taken[SIZES[0]] * 1000:.0f} ms",
            peer=f"all pairs in NumPy: {brute * 1000:.0f} ms",
            ratio=f"{brute / taken[SIZES[0]]:.1f} times faster",
            aim="none",
            met=None,
            n="9",
        ),
        Row(
            bench="h",
            what=f"the same among {SIZES[-1]:,}",
            ours=f"{taken[SIZES[-1]]:.1f} s",
            peer=f"all pairs, by the square of the row above: {peer:,.0f} s (not run)",
            ratio=f"{peer / taken[SIZES[-1]]:,.0f} times faster",
            aim="none",
            met=None,
            n="1",
        ),
    ]
    timings = ", ".join(f"{n:,}: {taken[n]:.3g} s" for n in SIZES)
    note = (
        f"(h) The search grows with the number of hashes to the power {growth:.2f} ({timings}); random hashes, 1 % "
        "near another."
    )
    return Result(rows=tuple(table_rows), notes=(note,))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates", description=__doc__)
    parser.add_argument("--radius", action="store_true", help="the table of radii alone, with REAL_DATA of photos too")
    parser.add_argument("--bundle", help="with --radius: and the table of cosines of this bundle's embeddings")
    options = parser.parse_args()
    if options.radius:
        real = os.environ.get("REAL_DATA")
        for name, pictures in {"generated": generated(), **({"photos": photos(Path(real))} if real else {})}.items():
            print(f"{len(pictures)} {name}")
            for table in (
                radius_table(pictures),
                *([cosine_table(pictures, options.bundle)] if options.bundle else []),
            ):
                rows_of = [[f"{value:.4g}" for value in row.values()] for row in table]
                print(f"\n{markdown_table(list(table[0]), rows_of)}\n")
        return
    print(json.dumps(dataclasses.asdict(search())))


if __name__ == "__main__":
    main()
