"""What decoding costs beside what its header lets expect: `make decode-costs`.

A photo a coding, of noise and flat, each decoded in a process of its own. The rates in `dermis.shared.images.cost` must
stay above.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from dermis.data.report.markdown import markdown_table
from dermis.shared.images.cost import estimate
from dermis.shared.images.header import read_header
from dermis.worker.core.decode import decode
from tests.support.images import Pixels, encode
from tests.support.mutations import interlaced
from tests.system.decode_mutations import peak_memory


def codings(megapixels: float) -> dict[str, Callable[[], bytes]]:
    """Return what makes each photo."""
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    size = (width * 3 // 4, width)

    def noise(channels: int = 3, *, wide: bool = False) -> Pixels:
        grain = np.random.default_rng(0).integers(0, 256, (size[0] // 8, size[1] // 8, channels), np.uint8)
        image = cv2.resize(grain, size[::-1], interpolation=cv2.INTER_CUBIC)
        image = cv2.add(image, np.random.default_rng(1).integers(0, 12, image.shape, np.uint8))
        return image.astype(np.uint16) * 257 + 3 if wide else image

    return {
        "JPEG 4:2:0": lambda: encode(noise(), "JPEG", quality=90, subsampling=2),
        "JPEG 4:4:4, quality 100": lambda: encode(noise(), "JPEG", quality=100),
        "JPEG progressive 4:2:0": lambda: encode(noise(), "JPEG", quality=90, subsampling=2, progressive=True),
        "JPEG progressive 4:4:4, quality 100": lambda: encode(noise(), "JPEG", quality=100, progressive=True),
        "PNG": lambda: cv2.imencode(".png", noise())[1].tobytes(),
        "PNG with transparency": lambda: cv2.imencode(".png", noise(4))[1].tobytes(),
        "PNG of 16 bits with transparency": lambda: cv2.imencode(".png", noise(4, wide=True))[1].tobytes(),
        "PNG interlaced, 16 bits with transparency": lambda: interlaced(noise(4, wide=True)),
        "PNG interlaced, 16 bits, flat": lambda: interlaced(np.full((*size, 4), 7, np.uint16)),
        "WebP": lambda: encode(noise(), "WEBP", lossless=False, quality=90, method=1),
        "WebP with transparency": lambda: encode(noise(4), "WEBP", lossless=False, quality=90, method=1),
        "WebP lossless": lambda: encode(noise(), "WEBP", lossless=True, quality=0, method=0),
    }


def measured(data: bytes) -> tuple[float, int]:
    """Return the processor time in seconds and the memory in bytes that decoding took in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_decode, (data,))


def _decode(data: bytes) -> tuple[float, int]:
    cv2.setNumThreads(1)
    before = peak_memory()
    begun = time.process_time()
    decode(data)
    return time.process_time() - begun, peak_memory() - before


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decode_costs", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--megapixels", type=float, default=12)
    options = parser.parse_args(arguments)
    above, rows = 0, []
    for name, make in codings(options.megapixels).items():
        data = make()
        cost = estimate(read_header(data))
        seconds, memory = measured(data)
        above += seconds > cost.cpu_seconds
        times, memories = (f"{seconds:.2f}", f"{cost.cpu_seconds:.2f}"), (memory, cost.memory_bytes)
        rows.append([name, f"{len(data) / 1e6:.1f}", *times, *(f"{each / 1e6:.0f}" for each in memories)])
    print(markdown_table(["photo", "MB", "CPU s", "at most", "memory, MB", "at most"], rows))
    print(f"{above} above what was expected")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
