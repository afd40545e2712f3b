"""What a 12-megapixel HEIC or AVIF costs the worker beside a JPEG of the same scene: `make heif-cost`.

Each file is decoded in a process of its own, three times after a small one: CPU seconds are the median, memory is the
peak above what the process held before. No network, generated images; a HEIC is put together from tiles that were coded
once, as a phone's is.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.images import photo
from benchmarks.machine import measured_at
from dermis.data.report.markdown import markdown_table, with_measured
from dermis.shared.images.cost import estimate
from dermis.shared.images.header import read_header
from dermis.worker.core.decode import decode
from tests.support import heif
from tests.support.heif import Layout, coded, compose
from tests.system.decode_mutations import peak_memory

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
WIDTH, HEIGHT = 4032, 3024
COLUMNS, ROWS = 8, 6
ROUNDS = 3


def files() -> dict[str, bytes]:
    """Return the photos by what they are."""
    image = photo(WIDTH, HEIGHT)
    blue_first = np.ascontiguousarray(image[..., ::-1])
    deep = [cv2.IMWRITE_AVIF_DEPTH, 10, cv2.IMWRITE_AVIF_QUALITY, 80, cv2.IMWRITE_AVIF_SPEED, 10]
    return {
        "JPEG": cv2.imencode(".jpg", blue_first, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes(),
        "HEIC of 48 tiles": tiles(),
        "HEIC of 48 tiles with transparency": tiles(alpha=True),
        "AVIF": heif.avif(image, quality=80),
        "AVIF of 10 bits": cv2.imencode(".avif", blue_first.astype(np.uint16) << 2, deep)[1].tobytes(),
    }


def tiles(*, alpha: bool = False) -> bytes:
    """Return a HEIC as phones make it: tiles of 512 x 512, cut to size."""
    tile = coded((SUPPORT / "tile.heic").read_bytes())
    numbers = range(1, ROWS * COLUMNS + 1)
    whole = heif.grid(ROWS, COLUMNS, WIDTH, HEIGHT, numbers)
    opacity = heif.grid(ROWS, COLUMNS, WIDTH, HEIGHT, numbers, heif.aux(heif.ALPHA))
    opacity = replace(opacity, links=(*opacity.links, (b"auxl", (len(numbers) + 1,))))
    return compose(
        *[tile] * len(numbers), whole, *([opacity] if alpha else []), layout=Layout(primary=len(numbers) + 1)
    )


def measure(path: Path) -> str:
    """Return CPU seconds and MiB of one file, to be run in a process of its own."""
    decode((SUPPORT / "generated.heic").read_bytes())
    before, data, seconds = peak_memory(), path.read_bytes(), []
    for _ in range(ROUNDS):
        start = time.process_time()
        decode(data)
        seconds.append(time.process_time() - start)
    return f"{statistics.median(seconds):.3f} {peak_memory() - before >> 20}"


def table() -> str:
    """Return the measured part of the page."""
    rows, jpeg = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files().items():
            path = Path(folder) / "photo"
            path.write_bytes(data)
            command = [sys.executable, "-m", "benchmarks.heif", "--one", str(path)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds, mib = map(float, output.split())
            jpeg, cost = jpeg or seconds, estimate(read_header(data))
            times = (f"{seconds:.2f}", f"x {seconds / jpeg:.0f}", f"{cost.cpu_seconds:.2f}")
            rows.append([name, f"{len(data) / 1e6:.1f}", *times, f"{mib:.0f}", cost.memory_bytes >> 20])
    limit = "at most, by its header"
    head = [f"photo, {WIDTH} x {HEIGHT}", "MB", "CPU s", "of the JPEG's", limit, "MiB", limit]
    rounds = f"Median of {ROUNDS} rounds, with its reading, cropping and shrinking."
    return f"{measured_at()}. {rounds}\n\n{markdown_table(head, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page to write the measured part of")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measure(options.one))
        return
    text = table()
    print(text)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        options.write.write_text(with_measured(page, "benchmarks/heif.py --write", text), encoding="utf-8")


if __name__ == "__main__":
    main()
