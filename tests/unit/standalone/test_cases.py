"""`dermis cases`"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.shared.audit import records_of
from dermis.shared.case import Consent, Received, fact_key
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.ids import first_id, new_id
from dermis.shared.references import reference_key
from dermis.shared.stores.disk import DiskStore
from dermis.shared.vocabulary import SelfReport
from dermis.standalone import cli

OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
OWNERS = ("key_a", "public", "session_b")


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "store")


@pytest.fixture
def ids(store: DiskStore) -> list[str]:
    """Cases of three owners in turn, an hour between them, the oldest first; the second failed."""
    ids = [first_id("case", OLD + timedelta(hours=n)) for n in range(6)]
    for n, case_id in enumerate(ids):
        owner = OWNERS[n % 3]
        store.put_once(fact_key(owner, case_id, "received"), received(case_id, owner, livemode=n != 1))
        store.put_once(f"cases/{owner}/{case_id}/images/1/original", b"image")
        mark = RetentionMark(owner=owner).model_dump_json().encode()
        store.put_once(retention_key(Consent.ASSESS_ONLY, case_id), mark)
    store.put_once(f"cases/public/{ids[1]}/failed/1.json", b"{}")
    return ids


def received(case_id: str, owner: str, *, livemode: bool) -> bytes:
    fact = Received(
        case_id=case_id, owner=owner, received_at=OLD, images=(), self_report=SelfReport(), livemode=livemode
    )
    return fact.model_dump_json().encode()


def cases(tmp_path: Path, *arguments: str, answer: str = "") -> Result:
    store = (tmp_path / "store").as_uri()
    return CliRunner().invoke(cli.main, ["cases", *arguments, "--store", store], input=answer)


def listed(tmp_path: Path, *arguments: str) -> list[str]:
    result = cases(tmp_path, "list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def test_the_cases_of_all_owners_come_in_one_order(tmp_path: Path, ids: list[str]) -> None:
    assert listed(tmp_path) == ids
    assert listed(tmp_path, "--newest", "--limit", "4") == ids[:1:-1]
    assert listed(tmp_path, "--owner", "public") == [ids[1], ids[4]]
    assert listed(tmp_path, "--status", "FAILED") == [ids[1]]
    assert listed(tmp_path, "--from", "2026-01-01T02:00:00", "--before", "2026-01-01T04:00:00") == ids[2:4]
    DiskStore(tmp_path / "store").put_once(reference_key("public", "visit-7", ids[4]), b"{}")
    assert listed(tmp_path, "--reference", "visit-7") == [ids[4]]
    assert listed(tmp_path, "--reference", "visit-8") == []
    result = cases(tmp_path, "list", "--limit", "1")
    assert result.stdout == f"2026-01-01T00:00:00+00:00  RECEIVED  live  {ids[0]}  key_a\n"
    assert result.stderr == "1 case\n"
    assert cases(tmp_path, "list", "--status", "FAILED").stdout.split()[2] == "test"


def test_a_case_whose_first_fact_cant_be_read_is_listed(tmp_path: Path, store: DiskStore) -> None:
    store.put_once(fact_key("public", first_id("case", OLD), "received"), b"{")
    assert cases(tmp_path, "list").stdout.split()[2] == "-"
    assert json.loads(cases(tmp_path, "list", "--json").stdout)["livemode"] is None


def test_an_empty_store_is_told_of(tmp_path: Path) -> None:
    assert cases(tmp_path, "list").stderr == "0 cases\nthe store is empty; look at --store\n"


def test_one_case_is_shown_with_its_facts_and_the_audit_says_so(
    tmp_path: Path, store: DiskStore, ids: list[str]
) -> None:
    result = cases(tmp_path, "show", ids[1])
    facts = {"failed/1.json": {}, "received.json": json.loads(received(ids[1], "public", livemode=False))}
    assert json.loads(result.stdout) == {"id": ids[1], "owner": "public", "status": "FAILED", "facts": facts}
    (audit,) = (record for key in store.list("audit/") for record in records_of(store.get(key)))
    assert (audit["act"], audit["by"], audit["case_id"]) == ("READ", "operator", ids[1])


def test_a_mark_that_cant_be_read_hides_no_case(tmp_path: Path, store: DiskStore, ids: list[str]) -> None:
    store.delete(retention_key(Consent.ASSESS_ONLY, ids[2]))
    store.put_once(retention_key(Consent.ASSESS_ONLY, ids[2]), b"{")
    assert json.loads(cases(tmp_path, "show", ids[2]).stdout)["owner"] == "session_b"


def test_cases_are_erased_by_id_or_by_owner(tmp_path: Path, store: DiskStore, ids: list[str]) -> None:
    assert cases(tmp_path, "erase", ids[0], answer="n\n").exit_code == 1
    assert listed(tmp_path) == ids
    asked = cases(tmp_path, "erase", ids[0], answer="y\n")
    assert f"2026-01-01T00:00:00+00:00  {ids[0]}  key_a\nerase 1 case for good? [y/N]" in asked.stderr
    assert asked.stdout.endswith(f"{ids[0]}  key_a\n1 case erased\n")
    every = cases(tmp_path, "erase", "--owner", "public", "--yes").stdout
    assert every == f"{ids[1]}  public\n{ids[4]}  public\n2 cases erased\n"
    assert listed(tmp_path) == [ids[2], ids[3], ids[5]]
    kept = [key for key in store.list("cases/") if any(ids[n] in key for n in (0, 1, 4))]
    assert all(key.endswith("erased.json") for key in kept)
    assert len(kept) == 3
    erased = [record for key in store.list("audit/") for record in records_of(store.get(key))]
    assert sorted(each["case_id"] for each in erased if each["act"] == "ERASE") == sorted([ids[0], ids[1], ids[4]])
    assert json.loads(cases(tmp_path, "show", ids[1]).stdout)["status"] == "ERASED"
    again = cases(tmp_path, "erase", ids[1])
    assert (again.exit_code, again.stdout) == (0, "0 cases erased, 1 had been before\n")


def test_cases_are_erased_by_their_reference(tmp_path: Path, store: DiskStore, ids: list[str]) -> None:
    for n in (1, 3):
        store.put_once(reference_key(OWNERS[n % 3], "visit-7", ids[n]), b"{}")
    assert cases(tmp_path, "erase", "--reference", "visit-7", "--owner", "key_a", "--yes").stdout == (
        f"{ids[3]}  key_a\n1 case erased\n"
    )
    assert cases(tmp_path, "erase", "--reference", "visit-7", answer="n\n").exit_code == 1
    assert cases(tmp_path, "erase", "--reference", "visit-7", answer="y\n").stdout.endswith("1 case erased\n")
    assert listed(tmp_path) == [ids[n] for n in (0, 2, 4, 5)]
    audit = b"".join(store.get(key) for key in store.list("audit/"))
    assert (audit.count(b"ERASE"), audit.count(b"visit-7")) == (2, 0)


def test_of_many_cases_some_are_shown_before_they_are_erased(tmp_path: Path, store: DiskStore) -> None:
    for n in range(22):
        case_id = first_id("case", OLD + timedelta(hours=n))
        store.put_once(fact_key("public", case_id, "received"), received(case_id, "public", livemode=True))
    asked = cases(tmp_path, "erase", "--owner", "public", answer="n\n")
    assert "and 2 more\nerase 22 cases for good?" in asked.stderr


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("show", new_id("case")), "look at --store"),
        (("show", "../x"), "it looks like case_"),
        (("erase",), "name the cases to erase, or their --owner or --reference"),
        (
            ("erase", "--reference", "visit-9", "--owner", "key_a"),
            "no case of --owner 'key_a' and --reference 'visit-9'",
        ),
        (("erase", "--reference", "visit-9", new_id("case")), "one or the other"),
        (("erase", "--owner", "public", new_id("case")), "one or the other"),
        (("erase", "--owner", "key_x"), "`dermis cases list` shows all"),
        (("list", "--limit", "0"), "--limit"),
        (("list", "--status", "DONE"), "RECEIVED"),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(tmp_path: Path, arguments: tuple[str, ...], remedy: str) -> None:
    result = cases(tmp_path, *arguments)
    assert result.exit_code == 2
    assert remedy in result.stderr
