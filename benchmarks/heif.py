"""What a 12-megapixel HEIC or AVIF costs the worker beside a JPEG of the same scene: `python -m benchmarks.heif [--write PAGE]`.

Each file is decoded in a process of its own, three times after a small one: CPU seconds are the median, memory is the peak above
what the process held before. No network, generated images; a HEIC is put together from tiles that were coded once, as a phone's is.
"""

import argparse
import os
import platform
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
from dermis.shared.images.cost import estimate
from dermis.shared.images.header import read_header
from dermis.worker.core.decode import decode
from tests.support import heif
from tests.support.heif import Layout, coded, compose

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
BEGIN, END = "<!-- measured: benchmarks/heif.py --write -->", "<!-- /measured -->"
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
    before, data, seconds = peak_kib(), path.read_bytes(), []
    for _ in range(ROUNDS):
        start = time.process_time()
        decode(data)
        seconds.append(time.process_time() - start)
    return f"{statistics.median(seconds):.3f} {peak_kib() - before >> 10}"


def peak_kib() -> int:
    """Return the peak of this process's memory; `getrusage` would count that of the one which started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def page() -> str:
    """Return the measured part of the page."""
    out = [
        "| photo, 4032 x 3024 | MB | CPU s | of the JPEG's | at most, by its header | MiB | at most, by its header |",
        "|---|---|---|---|---|---|---|",
    ]
    jpeg = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files().items():
            path = Path(folder) / "photo"
            path.write_bytes(data)
            command = [sys.executable, "-m", "benchmarks.heif", "--one", str(path)]
            seconds, mib = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            jpeg, cost = jpeg or float(seconds), estimate(read_header(data))
            out.append(
                f"| {name} | {len(data) / 1e6:.1f} | {float(seconds):.2f} | x {float(seconds) / jpeg:.0f} | {cost.cpu_seconds:.2f} | {mib} |"
                f" {cost.memory_bytes >> 20} |"
            )
    machine = f"Machine: {os.cpu_count()} cores, {platform.machine()}. Median of {ROUNDS} rounds, with its reading, cropping and shrinking."
    return "\n".join([machine, "", *out])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page to write the measured part of")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measure(options.one))
        return
    text = page()
    print(text)
    if options.write:
        before, rest = options.write.read_text().split(BEGIN)
        options.write.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END, 1)[1]}")


if __name__ == "__main__":
    main()
