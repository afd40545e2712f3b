"""A folder's backup in a bucket."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from dermis.shared.case import fact_key
from dermis.shared.ids import new_id
from dermis.shared.ports import has
from dermis.shared.stores.disk import DiskStore
from dermis.standalone import cli

pytest_plugins = ["tests.support.gcs"]


@pytest.mark.parametrize("again", [1, 2])
def test_a_bucket_takes_a_folders_backup_and_gives_it_back(tmp_path: Path, gcs_url: str, again: int) -> None:
    store, case_id = DiskStore(tmp_path / "store"), new_id("case")
    for name in ("received", "outcome"):
        store.put_once(fact_key("public", case_id, name), b"{}")  # type: ignore[arg-type]
    store.replace("models/current.json", b"{}", generation=0)
    for command, folder in (*(("backup", "store"),) * again, ("restore", "other")):
        result = CliRunner().invoke(cli.main, [command, gcs_url, "--store", (tmp_path / folder).as_uri()])
        assert result.exit_code == 0, result.output
    assert has(DiskStore(tmp_path / "other"), fact_key("public", case_id, "outcome"))
