"""`dermis export`"""

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.shared.audit import records_of
from dermis.shared.ids import new_id
from dermis.shared.stores.disk import DiskStore
from dermis.standalone import cli

CASE = new_id("case")
FILES = {"received.json": b"{}", "images/1/original": b"image", "images/1/prepared": b"small", "feedback/1.json": b"{}"}
FILES["images/1/heatmaps/m-1-0.png"] = b"heatmap"


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    made = DiskStore(tmp_path / "store")
    for name, data in FILES.items():
        made.put_once(f"cases/public/{CASE}/{name}", data)
    made.put_once(f"cases/public/{new_id('case')}/received.json", b"another")
    return made


def export(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["export", *arguments, "--store", (tmp_path / "store").as_uri()])


def test_all_of_a_case_and_nothing_else_is_given_out_and_the_audit_says_so(tmp_path: Path, store: DiskStore) -> None:
    out = tmp_path / "case.zip"
    result = export(tmp_path, "--case", CASE, "--out", str(out))
    assert (result.exit_code, result.stdout) == (0, f"{out}: 5 files\n")
    with zipfile.ZipFile(out) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
    assert out.stat().st_mode & 0o777 == 0o600
    (audit,) = store.list("audit/")
    (record,) = records_of(store.get(audit))
    assert (record["act"], record["by"], record["case_id"]) == ("EXPORT", "operator", CASE)
    assert export(tmp_path, "--case", CASE, "--out", str(out)).exit_code == 2


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--case", new_id("case")), "there is no case"),
        (("--case", "../x"), "is no id of a case"),
    ],
)
def test_what_is_not_there_makes_no_file(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = export(tmp_path, *arguments, "--out", str(tmp_path / "x.zip"))
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (tmp_path / "x.zip").exists()


def test_an_erased_case_has_nothing_to_give(tmp_path: Path, store: DiskStore) -> None:
    store.put_once(f"cases/public/{CASE}/erased.json", b"{}")
    assert "was erased" in export(tmp_path, "--case", CASE, "--out", str(tmp_path / "x.zip")).stderr


def test_the_owner_is_looked_up(tmp_path: Path, store: DiskStore) -> None:
    case_id = new_id("case")
    store.put_once(f"cases/key_a/{case_id}/received.json", b"{}")
    assert export(tmp_path, "--case", case_id, "--out", str(tmp_path / "x.zip")).stdout.endswith("x.zip: 1 files\n")
