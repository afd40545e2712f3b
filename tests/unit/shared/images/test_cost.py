"""What an image costs is judged by its header: what phones make passes, bombs don't."""

import pytest

from dermis.shared.errors import DermisError
from dermis.shared.images.cost import MAX_CPU_SECONDS, MAX_MEMORY_BYTES, MAX_SCANS, check, decoded_size, estimate
from dermis.shared.images.header import Format, ImageHeader, read_header
from tests.support import jpegs
from tests.support.heif import Layout, Part, clap, coded, compose, grid, overlay


def jpeg(width: int, height: int, *, scans: int = 1, share: float = 1.5, size: int = 10_000_000) -> ImageHeader:
    return ImageHeader(
        format=Format.JPEG,
        width=width,
        height=height,
        scans=scans,
        frame="progressive" if scans > 1 else "baseline",
        samples=int(width * height * share),
        coded_bytes=size,
    )


def png(width: int, height: int, *, bits: int = 8, channels: int = 4, size: int = 10_000_000) -> ImageHeader:
    return ImageHeader(
        format=Format.PNG, width=width, height=height, bits=bits, channels=channels, interlaced=True, coded_bytes=size
    )


def heif(
    form: Format, width: int, height: int, *, bits: int = 8, times: int = 1, size: int = 10_000_000
) -> ImageHeader:
    return ImageHeader(
        format=form, width=width, height=height, bits=bits, samples=width * height * times, coded_bytes=size
    )


def refusal(header: ImageHeader) -> DermisError:
    with pytest.raises(DermisError) as caught:
        check(header)
    return caught.value


@pytest.mark.parametrize(
    "size", [(8160, 6120), (9248, 6936), (12_000, 9000), (16_320, 12_240)], ids=["50", "64", "108", "200 MP"]
)
@pytest.mark.parametrize("scans", [1, 10])
def test_every_phones_frame_is_taken(size: tuple[int, int], scans: int) -> None:
    check(jpeg(*size, scans=scans))
    check(jpeg(*size[::-1], scans=scans))


@pytest.mark.parametrize(
    "header",
    [
        png(8192, 8192),
        png(8000, 5700, bits=16, channels=3),
        ImageHeader(format=Format.WEBP, width=8192, height=8192, channels=4, coded_bytes=10_000_000),
        heif(Format.HEIC, 8160, 6120),
        heif(Format.AVIF, 8160, 6120),
        heif(Format.HEIC, 8064, 6048, bits=10, size=7_000_000),
    ],
    ids=["png", "png16", "webp", "heic", "avif", "heic10"],
)
def test_large_images_of_other_formats_are_taken(header: ImageHeader) -> None:
    check(header)


def test_the_limit_on_pixels_is_on_what_comes_out_of_the_decoder() -> None:
    assert decoded_size(jpeg(16_320, 12_240)) == (2040, 1530)
    assert decoded_size(jpeg(4095, 10)) == (512, 2)
    assert decoded_size(jpeg(640, 480)) == (560, 420)
    assert decoded_size(jpeg(300, 200)) == (300, 200)
    error = refusal(png(8193, 8192))
    assert error.reason == "IMAGE_DIMENSIONS"
    assert "8,193 x 8,192" in error.detail
    assert "smaller" in error.detail


def test_a_scan_bomb_is_refused_by_its_scans() -> None:
    header = read_header(jpegs.scan_bomb(200, 64))
    assert header.scans > 2 * MAX_SCANS
    error = refusal(header)
    assert error.reason == "IMAGE_COST"
    assert f"at most {MAX_SCANS}" in error.detail
    assert "baseline" in error.detail
    check(read_header(jpegs.scan_bomb(20, 64)))


@pytest.mark.parametrize(
    "header",
    [
        jpeg(16_320, 12_240, scans=100),
        png(8192, 8192, bits=16),
        jpeg(60_000, 60_000, scans=2, share=3),
        jpeg(65_500, 65_500, scans=5),
    ],
    ids=["scans", "interlaced 16-bit", "coefficients", "samples"],
)
def test_what_costs_too_much_is_refused_with_the_figure(header: ImageHeader) -> None:
    error = refusal(header)
    assert error.reason == "IMAGE_COST"
    assert "at most" in error.detail
    cost = estimate(header)
    assert cost.cpu_seconds > MAX_CPU_SECONDS or cost.memory_bytes > MAX_MEMORY_BYTES


def tiles(count: int) -> list[Part]:
    return [coded(size=(450, 602))] * count


@pytest.mark.parametrize(
    "data",
    [
        compose(*tiles(1), grid(22, 40, 18_000, 13_000, [1] * 880), layout=Layout(primary=2)),
        compose(*tiles(1), overlay(450, 602, [(0, 0)] * 900, [1] * 900), layout=Layout(primary=2)),
        compose(
            *tiles(1), overlay(16_000, 16_000, [(0, 0)], [1], clap(10, 1, 10, 1, 0, 1, 0, 1)), layout=Layout(primary=2)
        ),
        compose(
            *tiles(1), grid(20, 20, 9000, 12_040, [1] * 400, clap(10, 1, 10, 1, 0, 1, 0, 1)), layout=Layout(primary=2)
        ),
    ],
    ids=["grid", "overlaid", "canvas", "cropped"],
)
def test_a_small_heic_that_takes_much_to_decode_is_refused_by_its_header(data: bytes) -> None:
    assert len(data) < 40_000
    error = refusal(read_header(data))
    assert error.reason in ("IMAGE_COST", "IMAGE_DIMENSIONS")
    assert "smaller copy" in error.detail


def test_tiles_count_as_often_as_they_are_used() -> None:
    once, often = (
        read_header(compose(*tiles(1), grid(rows, 4, 1800, 602 * rows, [1] * 4 * rows), layout=Layout(primary=2)))
        for rows in (1, 3)
    )
    assert (often.samples, often.coded_bytes) == (3 * once.samples, 3 * once.coded_bytes)
