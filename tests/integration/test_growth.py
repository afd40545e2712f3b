"""Small stores measured for real, on disk and in a bucket's emulator."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import growth
from tests.support.servers import BUCKET, fake_gcs


def test_a_run_measures_stores_on_disk_and_in_a_bucket_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "")
    out, stores = tmp_path / "growth.md", tmp_path / "stores"
    stores.mkdir()
    arguments = ["--cases", "50,80", "--bucket-cases", "50", "--folder", str(stores), "--write", str(out)]
    monkeypatch.setattr(sys, "argv", ["growth", *arguments])
    growth.main()
    assert capsys.readouterr().out.count(" cases  first page ") == 3
    text = out.read_text()
    assert re.search(r"\| on disk +\| +50 cases +\| +80 cases +\| +power +\|", text)
    assert len(re.findall(r"\| (?:gateway|sweep)'s start +\| +[\d,]+", text)) == 4
    assert list(stores.iterdir()) == []


def test_a_bucket_is_filled_alike_by_the_store_and_by_plain_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_gcs() as address, growth.uploads(address, "plain") as put:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        stores = [growth.open_store(f"gs://{BUCKET}/{name}") for name in ("plain", "store")]  # type: ignore[attr-defined]
        plain, own = growth.fill(put, 3, days=1), growth.fill_bucket(stores[1], 3, days=1)
        for store, ids in zip(stores, (plain, own), strict=True):
            assert {key for case_id in ids for key in growth.objects_of(case_id, datetime.now(UTC))} == set(
                store.list("")
            )
