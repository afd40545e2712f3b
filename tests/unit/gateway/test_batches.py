"""Batches over HTTP.

They are only from stores that the operator names, every fault of the rows is named, results come as far as they go.
"""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.batch import COLUMNS, as_csv, may_read
from dermis.shared.api_keys import Scope
from dermis.shared.batches import (
    BatchResult,
    BatchRow,
    RowFault,
    as_lines,
    batch_failed_key,
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
    open_batch_key,
)
from dermis.shared.case import AssessedImage, Outcome, OutcomeKind, RankedCondition, RedFlag
from dermis.shared.erasing import RETAINED_BATCHES
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.stores.disk import DiskStore
from tests.unit.gateway.conftest import Gateway, new_key

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CSV = {"content-type": "text/csv"}


@pytest.fixture
def gateway(gateway: Gateway) -> Gateway:
    """The gateway, called with a key that may have batches."""
    _, gateway.headers = new_key(gateway, Scope.ADMIN)
    return gateway


@pytest.fixture
def source(gateway: Gateway, tmp_path: Path) -> str:
    """A store of three images and a file that is none, which batches may read."""
    store = DiskStore(tmp_path / "source")
    for key in ("a/1.jpg", "a/2.PNG", "b/3.webp", "a/notes.txt"):
        store.put_once(key, b"x")
    store.put_once(
        "cases.csv", b"name,images,textures,sex_at_birth\none,a/1.jpg;a/2.PNG,FLAT;FLUID_FILLED,\ntwo,b/3.webp,,MALE\n"
    )
    url = (tmp_path / "source").as_uri()
    gateway.settings["batch_sources"] = f"gs://elsewhere, {url}"
    return url


def create(gateway: Gateway, body: Any) -> Any:
    return gateway.call("POST", "/v1/batches", json=body)


def rows(gateway: Gateway, batch_id: str) -> list[BatchRow]:
    return [BatchRow.model_validate_json(line) for line in gateway.store.get(batch_rows_key(batch_id)).splitlines()]


@pytest.mark.parametrize(
    ("prefix", "names"), [("", ["a/1.jpg", "a/2.PNG", "b/3.webp"]), ("a/", ["a/1.jpg", "a/2.PNG"])]
)
def test_a_folder_is_a_case_an_image(gateway: Gateway, source: str, prefix: str, names: list[str]) -> None:
    response = create(gateway, {"url": source, "prefix": prefix})
    batch = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"/v1/batches/{batch['id']}")
    assert (batch["status"], batch["rows"], batch["rows_done"], batch["failed"]) == ("RUNNING", len(names), 0, {})
    assert [row.name for row in rows(gateway, batch["id"])] == names
    assert [job.step for job in gateway.broker.steps] == [0]
    assert gateway.store.get(open_batch_key(batch["id"]))


def test_of_a_csv_file_of_the_source_no_more_is_read_than_a_body_may_have(
    gateway: Gateway, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    get = DiskStore.get

    def noted(store: DiskStore, key: str, *, most: int | None = None) -> bytes:
        data = get(store, key, most=most)
        reads.append(len(data))
        return data

    monkeypatch.setattr(DiskStore, "get", noted)
    with (Path(source.removeprefix("file://")) / "endless.csv").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    answer = create(gateway, {"url": source, "csv": "endless.csv"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/csv")
    assert "has more than 16,777,216 bytes; split the table" in answer.json()["detail"]
    assert max(reads) == 16 * 1024 * 1024 + 1


def test_a_csv_file_of_the_source_or_in_the_body_says_which_images_and_answers(gateway: Gateway, source: str) -> None:
    in_source = create(gateway, {"url": source, "csv": "cases.csv"}).json()["id"]
    body = DiskStore(Path(source.removeprefix("file://"))).get("cases.csv")
    in_body = gateway.call("POST", "/v1/batches", params={"url": source}, content=body, headers=CSV).json()["id"]
    assert rows(gateway, in_source) == rows(gateway, in_body)
    one, two = rows(gateway, in_source)
    assert (one.name, one.images, one.self_report.textures) == ("one", ("a/1.jpg", "a/2.PNG"), ("FLAT", "FLUID_FILLED"))
    assert (two.self_report.sex_at_birth, two.self_report.textures) == ("MALE", None)


def test_no_store_may_be_read_unless_it_is_named(gateway: Gateway, source: str) -> None:
    gateway.settings["batch_sources"] = ""
    response = create(gateway, {"url": source})
    assert (response.status_code, response.json()["reason"]) == (403, "BATCH_SOURCE_CLOSED")
    assert not gateway.kept


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("file:///data/skin", True),
        ("file:///data/skin/", True),
        ("file:///data/skin/2026", True),
        ("gs://bucket/a?anonymous=true", True),
        ("file:///data/skinny", False),
        ("file:///data", False),
        ("file:///data/skin/../../etc", False),
        ("file:///data/skin/%2e%2e/etc", False),
        ("file:///data/skin/./x", False),
        ("gs://bucket2/a", False),
        ("", False),
    ],
)
def test_a_store_below_a_named_one_may_be_read_and_no_way_leads_out_of_it(url: str, allowed: bool) -> None:
    assert may_read(url, ("file:///data/skin/", " gs://bucket")) is allowed
    assert not may_read(url, ("", "  "))


@given(st.text(alphabet="./%2eE\\a", max_size=12))
def test_nothing_that_steps_up_is_let_through(tail: str) -> None:
    url = f"file:///data/skin/{tail}"
    assert not (may_read(url, ("file:///data/skin",)) and (".." in url.split("/") or "%" in url or "\\" in url))


@pytest.mark.parametrize(
    ("text", "pointer", "said"),
    [
        ("", "/csv", "line 1 is blank: name the columns in it"),
        ("name\nx\n", "/csv", "the header needs 'images'"),
        ("images,images\na.jpg,a.jpg\n", "/csv", "each column once"),
        ("images,colour\na.jpg,red\n", "/csv", "column 2 of the header is not known"),
        ("images\n", "/csv", "there is no row"),
        ("images,name\na.jpg\n", "/csv", "line 2 has 1 cells instead of 2"),
        ('images\n"a.jpg\n', "/csv", "unexpected end of data"),
        ("images\n;\n", "/csv/1/images", "line 2: images: there are 0"),
        ("images\n" + ";".join(["a.jpg"] * 4) + "\n", "/csv/1/images", "there are 4"),
        ("name;images\nx;a.jpg\n", "/csv", "line 1 has semicolons between the columns: save the table with commas"),
        ("images,name\na.jpg,x\n,\n\n,\n", "/csv", "line 3 is blank (as are 2 others: 4, 5): delete such rows"),
        ("images,name\na.jpg,123456789012345000\n", "/csv", "line 2 has '123456789012345000', rounded"),
        ("images,name\na.jpg,1.23457E+17\n", "/csv", "line 2 has '1.23457E+17' in column 'name': a spreadsheet"),
        ("images,name\na.jpg,a\nb.jpg,b\0c\n", "/csv", "line 3 holds a NUL character"),
        ("images\n../etc/passwd\n", "/csv/1/images", "is no key"),
        ("images,textures\na.jpg,FLAT\nb.jpg,FLATT\n", "/csv/2/textures/0", "line 3.textures.0: 'FLATT' is not known"),
    ],
)
def test_wrong_rows_are_named_and_nothing_is_stored(
    gateway: Gateway, source: str, text: str, pointer: str, said: str
) -> None:
    response = gateway.call("POST", "/v1/batches", params={"url": source}, content=text.encode(), headers=CSV)
    assert response.status_code == 422
    assert said in response.json()["detail"]
    assert response.json()["errors"][0]["pointer"] == pointer
    assert not gateway.kept


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "BODY"),
        ({"url": "ftp://x"}, "BATCH_SOURCE"),
        ({"url": "SOURCE/\0"}, "BATCH_SOURCE"),
        ({"url": "SOURCE", "prefix": "none/"}, "BATCH_ROWS"),
        ({"url": "SOURCE", "prefix": "//"}, "BLOB_KEY"),
        ({"url": "SOURCE", "csv": "none.csv"}, "BATCH_CSV"),
        ({"url": "SOURCE", "csv": "../up.csv"}, "BLOB_KEY"),
        ({"url": "SOURCE", "folder": "a"}, "BODY"),
    ],
)
def test_a_wrong_source_is_a_clear_problem(gateway: Gateway, source: str, body: dict[str, str], reason: str) -> None:
    response = create(gateway, {name: value.replace("SOURCE", source) for name, value in body.items()})
    assert (response.status_code, response.json()["reason"]) == (422, reason)


@pytest.mark.parametrize("number", ["123456789012345000", "1.23457E+17"])
def test_of_a_table_in_the_source_the_line_is_told_and_no_cell(gateway: Gateway, source: str, number: str) -> None:
    DiskStore(Path(source.removeprefix("file://"))).put_once("numbers.csv", f"images,name\na.jpg,{number}\n".encode())
    problem = create(gateway, {"url": source, "csv": "numbers.csv"})
    assert problem.status_code == 422
    assert "line 2, column 'name': a spreadsheet has taken it for a number" in problem.json()["detail"]
    assert number not in problem.text


def test_a_body_of_another_kind_or_too_large_is_refused(gateway: Gateway, source: str) -> None:
    gateway.settings["max_batch_bytes"] = 1000
    call = {"params": {"url": source}, "content": b"images\n" + b"a.jpg\n" * 200}
    assert gateway.call("POST", "/v1/batches", headers=CSV, **call).status_code == 413
    assert gateway.call("POST", "/v1/batches", headers={"content-type": "text/plain"}, **call).status_code == 415


@pytest.mark.parametrize("media_type", ["text/csv; charset=utf-8", "Text/CSV"])
def test_a_csv_body_may_be_as_large_as_one_may_be_however_its_type_is_written(
    gateway: Gateway, source: str, media_type: str
) -> None:
    body = b"images\n" + b"a.jpg\n" * 15_000
    response = gateway.call(
        "POST", "/v1/batches", params={"url": source}, content=body, headers={"content-type": media_type}
    )
    assert (response.status_code, response.json().get("rows")) == (202, 15_000)


def result(n: int, **fields: Any) -> BatchResult:
    return BatchResult(row=n, name=f"row {n}", **fields)


def outcome() -> Outcome:
    ranked = (("a", 0.6, True), ("b", 0.3, True), ("c", 0.06, False), ("d", 0.04, False))
    return Outcome(
        case_id="row 0",
        finished_at=NOW,
        kind=OutcomeKind.DIFFERENTIAL,
        red_flags=(RedFlag(flag="FEVER", text="t"),),
        differential=tuple(
            RankedCondition(condition=c, name=c, probability=p, in_prediction_set=i) for c, p, i in ranked
        ),
    )


def test_an_object_that_is_no_step_of_a_batch_is_none(gateway: Gateway, source: str) -> None:
    batch_id = create(gateway, {"url": source, "prefix": "a/"}).json()["id"]
    gateway.store.put_once(f"{batch_key(batch_id)}/results/\u00b2.ndjson", b"")
    assert gateway.get(f"/v1/batches/{batch_id}").json()["status"] == "RUNNING"


def put_results(gateway: Gateway, source: str) -> str:
    """Make a batch of 2 steps, the last of which is done, and return its id."""
    body = b"images\n" + b"".join(b"%d.jpg\n" % n for n in range(10))
    batch_id: str = gateway.call("POST", "/v1/batches", params={"url": source}, content=body, headers=CSV).json()["id"]
    image = AssessedImage(
        n=1, quality=QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="1"), phash=None
    )
    done = [
        result(8, outcome=outcome(), images=(image,)),
        result(9, fault=RowFault(reason="IMAGE_MISSING", detail="d")),
    ]
    gateway.store.put_once(batch_result_key(batch_id, 1), as_lines(done))
    return batch_id


def test_progress_counts_rows_and_a_batch_ends_when_each_step_has_a_result_or_a_reason(
    gateway: Gateway, source: str
) -> None:
    batch_id = put_results(gateway, source)
    shown = gateway.get(f"/v1/batches/{batch_id}").json()
    assert (shown["status"], shown["rows"], shown["rows_done"]) == ("RUNNING", 10, 2)
    gateway.store.put_once(batch_failed_key(batch_id, 0), b"it took too long")
    shown = gateway.get(f"/v1/batches/{batch_id}").json()
    assert (shown["status"], shown["rows_done"], shown["failed"]) == ("FINISHED", 2, {"0": "it took too long"})


def test_results_come_as_ndjson_or_csv_as_far_as_they_go(gateway: Gateway, source: str) -> None:
    batch_id = put_results(gateway, source)
    lines = gateway.get(f"/v1/batches/{batch_id}/results")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["name"] for line in lines.text.splitlines()] == ["row 8", "row 9"]
    table = gateway.get(f"/v1/batches/{batch_id}/results?form=csv")
    assert table.headers["content-disposition"] == f'attachment; filename="{batch_id}.csv"'
    one, two = csv.DictReader(io.StringIO(table.text))
    assert (
        one["row"],
        one["kind"],
        one["urgent"],
        one["prediction_set"],
        one["condition_2"],
        one["probability_2"],
        one["image_1"],
    ) == (
        *("8", "DIFFERENTIAL", "FEVER", "a;b"),
        *("b", "0.3", "USABLE"),
    )
    assert (two["fault"], two["kind"]) == ("IMAGE_MISSING", "")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x"])
def test_a_name_is_no_formula_in_a_spreadsheet(name: str) -> None:
    text = as_csv([{"row": 0, "name": name}], header=True)
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert f",'{name}," in text


def test_batches_are_listed_in_pages_and_another_owners_are_not_there(gateway: Gateway, source: str) -> None:
    ids = [create(gateway, {"url": source}).json()["id"] for _ in range(3)]
    foreign = json.loads(gateway.store.get(batch_manifest_key(ids[1])))
    gateway.store.delete(batch_manifest_key(ids[1]))
    gateway.store.put_once(batch_manifest_key(ids[1]), json.dumps(foreign | {"owner": "another"}).encode())
    first = gateway.get("/v1/batches?limit=1").json()
    assert [each["id"] for each in first["batches"]] == [ids[0]]
    second = gateway.get("/v1/batches", params={"cursor": first["next_cursor"]}).json()
    assert ([each["id"] for each in second["batches"]], second["next_cursor"]) == ([ids[2]], None)
    assert gateway.get("/v1/batches?cursor=x").json()["reason"] == "CURSOR"
    for path in ("", "/results"):
        assert gateway.get(f"/v1/batches/{ids[1]}{path}").json()["reason"] == "BATCH_NOT_FOUND"
    assert gateway.call("DELETE", f"/v1/batches/{ids[1]}").status_code == 404


def test_an_erased_batch_leaves_its_tombstone(gateway: Gateway, source: str) -> None:
    batch_id = put_results(gateway, source)
    gateway.store.put_once(f"{batch_key(batch_id)}/redelivered/0-1", b"{}")
    assert list(gateway.store.list(RETAINED_BATCHES)) == [f"{RETAINED_BATCHES}{batch_id}"]
    assert gateway.call("DELETE", f"/v1/batches/{batch_id}").status_code == 204
    assert list(gateway.store.list(f"{batch_key(batch_id)}/")) == [f"{batch_key(batch_id)}/erased.json"]
    assert not list(gateway.store.list("retention/"))
    assert gateway.get(f"/v1/batches/{batch_id}").status_code == 404
    assert gateway.get("/v1/batches").json()["batches"] == []


@pytest.mark.parametrize("batch_id", ["x", "batch_01m82nmrzdescb95c4e8msawzy", "..%2F..%2Fcases"])
def test_a_batch_that_is_not_there_is_not_found(gateway: Gateway, batch_id: str) -> None:
    assert gateway.get(f"/v1/batches/{batch_id}").status_code == 404


def test_without_a_broker_a_batch_is_taken_in_and_left_to_the_sweep(gateway: Gateway, source: str) -> None:
    gateway.broker.up = False
    assert create(gateway, {"url": source}).status_code == 202


def test_a_broken_manifest_hurts_its_batch_alone_and_is_told_once(
    gateway: Gateway, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (create(gateway, {"url": source, "prefix": "a/"}).json()["id"] for _ in range(2))
    key = batch_manifest_key(first)
    gateway.store.replace(key, b"{broken", generation=gateway.store.get_versioned(key).generation)
    for _ in range(3):
        listed = gateway.get("/v1/batches")
        assert [each["id"] for each in listed.json()["batches"]] == [second]
    alone = gateway.get(f"/v1/batches/{first}")
    assert (alone.status_code, alone.json()["reason"]) == (500, "BATCH_BROKEN")
    assert gateway.get(f"/v1/batches/{second}").status_code == 200
    assert capsys.readouterr().out.count("batch is broken") == 1
