"""The page of all rows: one that can't be measured says why and keeps no other from being written."""

from benchmarks.__main__ import _table, measured
from benchmarks.measure import Result


def test_a_row_that_can_not_be_measured_says_why() -> None:
    def fails() -> Result:
        raise FileNotFoundError("no redis-server:\ninstall one")

    table = _table([measured("bc", fails)])
    assert [line.split(" | ")[0].strip() for line in table.splitlines()[2:]] == ["| b", "| c"]
    assert table.count("not measured: FileNotFoundError: no redis-server: install one") == 2
