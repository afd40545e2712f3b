"""What the profile of images says: tables, charts, contact sheets, the command on one machine."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from dermis.data.cli import data
from dermis.data.images.measure import load_quality_policy
from dermis.data.images.tables import BINS, image_tables, images_frame, with_cases
from dermis.data.mapping import scin_side
from dermis.data.report.report import Report, as_html
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.statistics import wilson
from dermis.shared.errors import DermisError
from dermis.worker.core import shard
from tests.unit.data.scin_rows import case, files, tables

SEED = "blur,brightness_mean,brightness_std,underexp,overexp,contrast,shadow,sharpness"
POLICY = load_quality_policy(None)


def png(n: int, *, light: float = 1) -> bytes:
    """Return a PNG of 240 x 180 of skin's colour, with as much contrast in every octave, as an image has."""
    rng = np.random.default_rng(n)
    octaves = (rng.normal(0, 12, (180 // step, 240 // step)) for step in (1, 2, 4, 10, 20))
    shade = sum(cv2.resize(octave, (240, 180), interpolation=cv2.INTER_CUBIC) for octave in octaves)
    pixels = np.array([105, 135, 185]) + np.asarray(shade)[..., None]
    return bytes(cv2.imencode(".png", (np.clip(pixels, 0, 255) * light).astype(np.uint8))[1].tobytes())


def test_reject_rate_by_tone_counts_images_that_can_be_decoded() -> None:
    tone = {1: "2", 2: "2", 3: "9", 4: "9"}
    read = tables(
        [case(n, images=(10 * n, 10 * n + 1), monk_skin_tone_label_us=tone[n]) for n in tone]
        + [case(5, images=(50, 10))]
    )
    keys = dict.fromkeys(key for images in read.cases["images"] for key, _ in images)
    dark = {"images/20.png", "images/30.png", "images/31.png"}
    broken = {"images/40.png"}
    rows = [
        shard.missing(key)
        if key == "images/11.png"
        else shard.measure(key, b"" if key in broken else png(1, light=key not in dark), POLICY)
        for key in keys
    ]
    images = with_cases(images_frame(rows), scin_side(read))
    by_name = {table.name: table.frame.set_index(table.frame.columns[0]) for table in image_tables(images)}
    assert by_name["overview"]["n"].to_dict() == {
        "Images listed": 9,
        "Missing": 1,
        "There, but can't be decoded": 1,
        "Decoded and judged": 7,
        "Images whose bytes are another image's too": 7,
        "Images of a case in the tables": 9,
    }
    by_tone = by_name["rejected_by_monk_bin"]
    # Tone 2: images 10, 20, 21 of which 20 is dark (10 is a case's of no tone, too, and counts once).
    # Tone 9: 30, 31, 41.
    assert by_tone.loc["MST_1_3", ["n", "of"]].tolist() == [1, 3]
    assert by_tone.loc["MST_7_10", ["n", "of"]].tolist() == [2, 3]
    assert by_tone.loc["MST_NONE", ["n", "of"]].tolist() == [0, 1]
    low, high = wilson(2, 3)
    assert by_tone.loc["MST_7_10", ["low", "high"]].tolist() == [pytest.approx(float(low)), pytest.approx(float(high))]
    assert by_name["rejected_by_monk_us"].loc["9", ["n", "of"]].tolist() == [2, 3]
    cases = by_name["rejected_cases"]
    assert cases.loc["MST_7_10", ["n", "of"]].tolist() == [1, 2]
    assert cases.loc["MST_1_3", ["n", "of"]].tolist() == [0, 2]
    histogram = by_name["histogram_brightness_mean"].reset_index()
    assert len(histogram) == BINS
    assert histogram[["all", "MST_1_3", "MST_7_10"]].sum().tolist() == [7, 3, 3]
    page = as_html(Report(name="images", title="Images", facts={}, tables=image_tables(images)))
    assert "Histogram of 7 images" in page


def test_without_tables_there_is_no_tone() -> None:
    images = with_cases(images_frame([shard.measure("a.png", png(1), POLICY)]), None)
    assert images.tones == ["NO_CASE"]
    assert not any(table.name.startswith("rejected") for table in image_tables(images))
    assert image_tables(with_cases(images_frame([shard.missing("a.png")]), None))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    rows = [case(n, images=(n,), monk_skin_tone_label_us=str(1 + n % 10)) for n in range(1, 21)]
    for name, table in zip((CASES_FILE, LABELS_FILE), files(rows), strict=True):
        (folder / name).write_bytes(table)
    for n in range(1, 20):
        (folder / "images" / f"{n}.png").write_bytes(png(n, light=0 if n == 3 else 1))
    (folder / "images" / "4.png").write_bytes(png(4)[:500])
    return folder


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(data, ["images", *arguments])
    if isinstance(result.exception, DermisError):
        raise result.exception
    return result


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "images.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_command_on_one_machine(source: Path, tmp_path: Path, processes: str) -> None:
    out = tmp_path / "out"
    arguments = ("--data", source.as_uri(), "--local", "--processes", processes, "--shard-size", "3", "--out", str(out))
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    assert "20 images, 1 of them missing; 7 shards" in first.output
    rows = rows_of(out)
    assert [row["image"] for row in rows] == [f"images/{n}.png" for n in range(1, 21)]
    assert ",".join(list(rows[0])[1:9]) == SEED
    assert {row["image"]: row["fault"] for row in rows if row["fault"]} == {
        "images/4.png": "IMAGE_DAMAGED",
        "images/20.png": "MISSING",
    }
    assert [row["verdict"] for row in rows[1:4]] == ["USABLE", "UNUSABLE", "UNUSABLE"]
    assert rows[2]["reasons"].split()[0] == "TOO_DARK"
    page = (out / "images.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 12 + 1
    assert "rejected_by_monk_bin" in {
        table["name"] for table in json.loads((out / "images.json").read_text())["tables"]
    }


def test_it_goes_on_where_it_was_stopped(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--data", source.as_uri(), "--local", "--shard-size", "3", "--out", str(out), "--no-pictures")
    run(*arguments)
    before = (out / "images.csv").read_bytes()
    results = sorted((out / "shards").rglob("*.ndjson"))
    assert len(results) == 7
    results[2].unlink()
    stamps = {path: path.stat().st_mtime_ns for path in results if path.exists()}
    assert run(*arguments).exit_code == 0
    assert (out / "images.csv").read_bytes() == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "what is measured is not measured again"
    assert "data:image" not in (out / "images.html").read_text()


def test_results_that_do_not_fit_are_refused(source: Path, tmp_path: Path) -> None:
    arguments = ("--data", source.as_uri(), "--local", "--out", str(tmp_path / "out"))
    run(*arguments)
    result = next((tmp_path / "out" / "shards").rglob("0.ndjson"))
    lines = result.read_bytes().splitlines(keepends=True)
    result.write_bytes(b"".join([*lines, lines[0]]))
    with pytest.raises(DermisError, match="do not fit its list"):
        run(*arguments)


def test_every_image_below_a_prefix_with_tables_from_elsewhere(source: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    (photos / "5.png").write_bytes(png(5))
    (photos / "deep" / "unknown.png").write_bytes(png(6))
    (photos / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    assert (
        run(
            "--data", photos.as_uri(), "--prefix", "", "--tables", source.as_uri(), "--local", "--out", str(out)
        ).exit_code
        == 0
    )
    assert [row["image"] for row in rows_of(out)] == ["5.png", "deep/unknown.png"]
    table = (out / "images" / "rejected_by_monk_us.csv").read_text()
    assert "6,0,1," in table
    assert "NO_CASE,0,1," in table


def test_what_is_wrong_is_told(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DERMIS_STORE_URL", raising=False)
    with pytest.raises(DermisError, match="--local"):
        run("--data", source.as_uri(), "--out", str(tmp_path / "out"))
    with pytest.raises(DermisError, match="no images in"):
        run("--data", source.as_uri(), "--prefix", "nothing/", "--local", "--out", str(tmp_path / "out"))
    with pytest.raises(DermisError, match="leave --prefix out"):
        run(
            "--data",
            source.as_uri(),
            "--prefix",
            "",
            "--where",
            "monk_us>=7",
            "--local",
            "--out",
            str(tmp_path / "out"),
        )
    broken = tmp_path / "policy.json"
    broken.write_text("{}")
    with pytest.raises(DermisError, match="QUALITY_POLICY"):
        run("--data", source.as_uri(), "--quality-policy", str(broken), "--local", "--out", str(tmp_path / "out"))


def test_where_picks_cases(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("--data", source.as_uri(), "--where", "monk_us>=9", "--local", "--out", str(out)).exit_code == 0
    assert [row["image"] for row in rows_of(out)] == [f"images/{n}.png" for n in (8, 9, 18, 19)]


def test_parquet_holds_the_same_where_pyarrow_is(source: Path, tmp_path: Path) -> None:
    run("--data", source.as_uri(), "--local", "--out", str(tmp_path / "out"))
    path = tmp_path / "out" / "images.parquet"
    assert path.exists() == bool(find_spec("pyarrow"))
    if path.exists():
        assert [str(image) for image in pd.read_parquet(path)["image"]] == [
            row["image"] for row in rows_of(tmp_path / "out")
        ]


def test_an_interruption_keeps_what_is_measured_and_says_how_to_go_on(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    large = cv2.resize(cv2.imdecode(np.frombuffer(png(1), np.uint8), cv2.IMREAD_COLOR), (1800, 1350))
    (photos / "0.png").write_bytes(cv2.imencode(".png", large)[1].tobytes())
    for n in range(1, 48):
        os.link(photos / "0.png", photos / f"{n}.png")
    arguments = (
        "--data",
        photos.as_uri(),
        "--prefix",
        "",
        "--local",
        "--shard-size",
        "2",
        "--out",
        str(out),
        "--no-pictures",
    )
    heed = (
        "import signal; signal.signal(signal.SIGINT, "
        "signal.default_int_handler)"
    )  # a test run in the background ignores it
    code = f"{heed}; from dermis.data.cli import data; data(['images', *{arguments!r}, '--processes', '2'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as stopped:
        while len(list(out.rglob("*.ndjson"))) < 5:
            assert stopped.poll() is None
            time.sleep(0.02)
        os.killpg(stopped.pid, signal.SIGINT)
        assert stopped.stderr
        assert "run the same command to go on" in stopped.stderr.read()
    assert stopped.returncode == 130
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.ndjson")}
    assert 5 <= len(done) < 24
    assert run(*arguments).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len({row["image"] for row in rows_of(out)}) == len(rows_of(out)) == 48


def test_real_images_of_real_cases(real_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    photos, scin = (real_data / "photos/scin").as_uri(), (real_data / "scin").as_uri()
    assert run("--data", photos, "--prefix", "", "--tables", scin, "--local", "--out", str(out)).exit_code == 0
    rows = {row["image"]: row for row in rows_of(out)}
    with (real_data / "photos/scin/manifest.csv").open(newline="") as file:
        manifest = {row["file"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {name for name in manifest if name.endswith(".png")}
    for name, known in manifest.items():
        assert (rows[name]["width"], rows[name]["height"], rows[name]["sha256"]) == (
            known["width"],
            known["height"],
            known["sha256"],
        )
    assert rows["unmapped_mostly_black.png"]["verdict"] == "UNUSABLE"
    assert rows["unmapped_mostly_black.png"]["reasons"].split()[0] == "TOO_DARK"
    assert [name for name, row in rows.items() if row["verdict"] == "UNUSABLE"] == ["unmapped_mostly_black.png"]
    with (out / "images/rejected_by_monk_us.csv").open(newline="") as file:
        counted = {row["value"]: int(row["of"]) for row in csv.DictReader(file)}
    mapped = [known["mst_us"] for known in manifest.values() if known["case_id"]]
    assert len(mapped) == 12
    assert {tone: n for tone, n in counted.items() if n} == {
        **{tone: mapped.count(tone) for tone in mapped},
        "NO_CASE": len(rows) - 12,
    }
