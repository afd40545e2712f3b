"""The growth of times: the exponent, and that a case on disk is put as the store puts it."""

from pathlib import Path

import pytest

from benchmarks import growth
from dermis.shared.stores.disk import DiskStore


def test_what_is_made_without_syncing_lies_as_the_store_puts_it(tmp_path: Path) -> None:
    ids = growth.fill(growth.writes_files(tmp_path / "made", "by-time"), 40, days=3)
    store = DiskStore(tmp_path / "put")
    made = DiskStore(tmp_path / "made")
    for key in made.list(""):
        store.put_once(key, made.get(key))
    files = [
        sorted(str(path.relative_to(root)) for path in root.rglob("*/*") if path.is_file())
        for root in (tmp_path / "made", tmp_path / "put")
    ]
    assert files[0] == files[1]
    assert ids == sorted(ids)
    assert len(files[0]) == 200


@pytest.mark.parametrize(("least", "most", "expected"), [(2.0, 2.0, 0), (2.0, 20.0, 1), (3.0, 300.0, 2)])
def test_the_power_by_which_a_time_grows(least: float, most: float, expected: float) -> None:
    assert growth.power({10: {"page": least}, 100: {"page": most}}, "page") == pytest.approx(expected)
