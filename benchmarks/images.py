"""Rows on the worker's core: no process, no network, generated images."""

import functools
from importlib import resources

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from benchmarks.measure import Result, Row, interleaved, number, of_pairs
from dermis.data.generated import cases as generated
from dermis.data.generated import skin
from dermis.shared.images.cost import WORKING_SIZE
from dermis.shared.report import QualityMeasures
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.core import decode, phash, prepare, quality
from tests.support.colors import SPACES, profile_of

Image = npt.NDArray[np.uint8]
ROUNDS = 40


def photo(width: int, height: int) -> Image:
    """Return a generated scene, uint8[H,W,3] RGB, with a sensor's noise, without which a file is unlike a photo's."""
    scene = skin.scene(generated.CONDITIONS[0].name, tone=tuple(MonkSkinTone)[4], seed=1, size=(750, 1000))
    large = cv2.resize(scene, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(1).normal(0, 3, (height, width, 1)).astype(np.float32)
    return np.asarray(np.clip(large + grain, 0, 255), np.uint8)


def tagged(jpeg: bytes, space: str) -> bytes:
    """Return a JPEG with the profile of one of `SPACES`."""
    body = b"ICC_PROFILE\0\1\1" + profile_of(SPACES[space])
    return jpeg[:2] + b"\xff\xe2" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


def run() -> Result:
    policy = quality.Policy.model_validate_json(
        resources.files("dermis.worker").joinpath("quality_policy.json").read_bytes()
    )
    jpeg = simplejpeg.encode_jpeg(photo(4000, 3000), quality=90, colorsubsampling="420")
    png = cv2.imencode(".png", photo(1632, 1224)[..., ::-1])[1].tobytes()

    def core(data: bytes) -> None:
        working = decode.decode(data).image
        quality.assess(working, policy)
        phash.phash(working)
        prepare.encode_prepared(working)

    of_jpeg = interleaved(
        {
            "core": functools.partial(core, jpeg),
            "P3": functools.partial(core, tagged(jpeg, "Display P3")),
            "sRGB": functools.partial(core, tagged(jpeg, "sRGB")),
            "scaled": lambda: simplejpeg.decode_jpeg(jpeg, colorspace="RGB", min_width=WORKING_SIZE),
            "plain": lambda: plain(jpeg),
            "plain, fast": lambda: plain_fast(jpeg),
        },
        rounds=ROUNDS,
    )
    of_png = interleaved(
        {
            "core": functools.partial(core, png),
            "bare": lambda: cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED),
        },
        rounds=ROUNDS,
    )
    scaled, scaled_text = of_pairs(of_jpeg["core"], of_jpeg["scaled"])
    faster, faster_text = of_pairs(of_jpeg["plain"], of_jpeg["core"])
    harder_text = of_pairs(of_jpeg["plain, fast"], of_jpeg["core"])[1]
    converted, converted_text = of_pairs(of_jpeg["P3"], of_jpeg["core"])
    tagged_srgb, tagged_text = of_pairs(of_jpeg["sRGB"], of_jpeg["core"])
    bare, bare_text = of_pairs(of_png["core"], of_png["bare"])
    return Result(
        rows=(
            Row(
                bench="a",
                what=f"worker core, 12-megapixel JPEG of {number(len(jpeg) / 1e6)} MB",
                ours=str(of_jpeg["core"]),
                peer=f"bare simplejpeg at the same DCT scale: {of_jpeg['scaled']}",
                ratio=scaled_text,
                aim="<= 1.5",
                met=scaled <= 1.5,
                n=f"{ROUNDS}",
            ),
            Row(
                bench="a",
                what="the same",
                ours=str(of_jpeg["core"]),
                peer=f"plain way (OpenCV decodes all, the eight measures by NumPy on all): {of_jpeg['plain']}",
                ratio=f"{faster_text} times faster",
                aim=">= 3 times faster",
                met=faster >= 3,
                n=f"{ROUNDS}",
            ),
            Row(
                bench="a",
                what="the same",
                ours=str(of_jpeg["core"]),
                peer=f"plain decoding, but measures by the worker's one histogram: {of_jpeg['plain, fast']}",
                ratio=f"{harder_text} times faster",
                aim="none (a harder peer)",
                met=None,
                n=f"{ROUNDS}",
            ),
            Row(
                bench="a",
                what="the same JPEG with a Display P3 profile",
                ours=str(of_jpeg["P3"]),
                peer=f"the same without a profile, so not converted: {of_jpeg['core']}",
                ratio=converted_text,
                aim="<= 1.1",
                met=converted <= 1.1,
                n=f"{ROUNDS}",
            ),
            Row(
                bench="a",
                what="the same JPEG with an sRGB profile",
                ours=str(of_jpeg["sRGB"]),
                peer=f"the same without a profile: {of_jpeg['core']}",
                ratio=tagged_text,
                aim="<= 1.02 (nothing)",
                met=tagged_srgb <= 1.02,
                n=f"{ROUNDS}",
            ),
            Row(
                bench="a",
                what=f"worker core, 2-megapixel PNG of {number(len(png) / 1e6)} MB",
                ours=str(of_png["core"]),
                peer=f"bare cv2.imdecode: {of_png['bare']}",
                ratio=bare_text,
                aim="<= 1.3",
                met=bare <= 1.3,
                n=f"{ROUNDS}",
            ),
        ),
        notes=(_stages("JPEG", jpeg, policy), _stages("PNG", png, policy)),
    )


def plain(data: bytes) -> tuple[float, ...]:
    """Measure as one would at first: all pixels, each measure by NumPy."""
    grey = _all_grey(data)
    low, median, high = np.percentile(grey, (1, 50, 99))
    sharpness = float(cv2.Laplacian(grey, cv2.CV_64F).var())
    exposure = (
        float(np.mean(grey <= 12)),
        float(np.mean(grey >= 243)),
        float((high - low) / 255),
        float(np.mean(grey < median / 2)),
    )
    return sharpness, float(grey.mean()), float(grey.std()), *exposure, sharpness


def plain_fast(data: bytes) -> QualityMeasures:
    """The same by the worker's own way to measure, which takes all but sharpness from one histogram."""
    return quality.measures(_all_grey(data))


def _all_grey(data: bytes) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)


def _stages(form: str, data: bytes, policy: quality.Policy) -> str:
    working = decode.decode(data).image
    grey = np.asarray(cv2.cvtColor(working, cv2.COLOR_RGB2GRAY))
    stages = interleaved(
        {
            "decode": lambda: decode.decode(data),
            "quality, signals": lambda: quality.signals(working, policy.thresholds),
            "quality, measures": lambda: quality.measures(grey),
            "quality, all": lambda: quality.assess(working, policy),
            "policy's id": lambda: policy.id,
            "hash": lambda: phash.phash(working),
            "prepared": lambda: prepare.encode_prepared(working),
        },
        rounds=ROUNDS,
    )
    parts = ", ".join(f"{name} {number(times.p50)}" for name, times in stages.items())
    return f"(a) What the {form}'s time is made of, p50 in ms: {parts}."
