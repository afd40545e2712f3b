"""`dermis erase`"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.shared.ids import new_id
from dermis.shared.stores.disk import DiskStore
from dermis.standalone import cli

CASE, OTHER = new_id("case"), new_id("case")


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    store = DiskStore(tmp_path / "store")
    for name in ("received.json", "images/1/original", "images/1/prepared", "outcome.json"):
        store.put_once(f"cases/public/{CASE}/{name}", b"{}")
    store.put_once(f"cases/public/{OTHER}/received.json", b"another")
    return store


def erase(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["erase", *arguments, "--store", (tmp_path / "store").as_uri()])


def test_a_tombstone_alone_is_left_of_a_case_and_the_audit_says_so(tmp_path: Path, store: DiskStore) -> None:
    result = erase(tmp_path, "--case", CASE)
    assert result.exit_code == 0, result.output
    assert list(store.list(f"cases/public/{CASE}/")) == [f"cases/public/{CASE}/erased.json"]
    assert store.get(f"cases/public/{OTHER}/received.json") == b"another"
    assert list(store.list("open/")) == [f"open/{CASE}"], "the sweep looks once more"
    (audit,) = store.list("audit/")
    record = json.loads(store.get(audit))
    assert (record["act"], record["by"], record["case_id"]) == ("ERASE", "operator", CASE)
    assert erase(tmp_path, "--case", CASE).exit_code == 0, "erasing again is no fault"


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--case", new_id("case")), "there is no case"),
        (("--case", CASE, "--owner", "key_x"), "there is no case"),
        (("--case", "arm"), "is no id of a case"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    result = erase(tmp_path, *arguments)
    assert result.exit_code == 2
    assert words in result.output
