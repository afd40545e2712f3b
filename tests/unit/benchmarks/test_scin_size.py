"""SCIN's rows again and again: new names, the same links between cases and images; what a command takes at most."""

import csv
from pathlib import Path

import psutil
import pytest

from benchmarks import scin_size
from dermis.data.generated.as_scin import write_as_scin
from dermis.data.scin.source import open_scin
from dermis.shared.stores.disk import DiskStore

pytestmark = pytest.mark.trainer


def test_repeated_rows_are_new_cases_that_share_what_theirs_share(tmp_path: Path) -> None:
    write_as_scin(DiskStore(tmp_path / "small"), seed=3, count=12, longest=16)
    cases = tmp_path / "small/scin_cases.csv"
    rows = list(csv.DictReader(cases.read_text().splitlines()))
    rows[1]["image_1_path"] = rows[0]["image_1_path"]
    with cases.open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    scin_size.multiply(tmp_path / "small", tmp_path / "large", 30)
    scin = open_scin((tmp_path / "large").as_uri())
    assert len(set(scin.cases["case_id"])) == 30
    first = [images[0][0] for images in scin.cases["images"]]
    assert [first.count(key) for key in first[:3]] == [2, 2, 1]
    assert first[12] == first[13] != first[0]
    assert rows[0]["image_1_path"].endswith(first[0]), "the first repetition keeps its names"
    assert scin.labels("scin-all").has_label.sum() == 30


def test_the_most_that_a_process_holds_is_seen() -> None:
    code = "import time; kept = bytearray(80 << 20); kept[::4096] = b'x' * len(kept[::4096]); time.sleep(1)"
    process = psutil.Popen(["python3", "-c", code])
    assert 80 << 20 < max(scin_size.looks(process)) < 160 << 20
    assert process.wait() == 0
