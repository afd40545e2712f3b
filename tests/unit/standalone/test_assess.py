"""`dermis assess` and its client, against a small gateway inside the process."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from dermis.shared.errors import DermisError, Kind
from dermis.shared.http import BatchSource, Case, Feedback
from dermis.shared.vocabulary import SelfReport, ShotType
from dermis.standalone.cli import main
from dermis.standalone.client import Api

Handler = Callable[[httpx.Request], httpx.Response]
CASE: dict[str, Any] = {
    "id": "case_1",
    "status": "RECEIVED",
    "received_at": "2026-01-02T03:04:05Z",
    "assessed_at": None,
    "images": [],
    "outcome": None,
    "guidance": None,
    "failure": None,
    "notice": "n",
}
DONE = CASE | {"status": "FINISHED"}


def answering(*responses: httpx.Response) -> tuple[Api, list[httpx.Request]]:
    """A gateway that gives these answers in turn, the last for ever, and what it was asked."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return responses[min(len(asked), len(responses)) - 1]

    return Api("http://gateway/", transport=httpx.MockTransport(handle)), asked


def test_results_that_do_not_come_are_told_as_any_other_answer() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut off", request=request)

    with pytest.raises(DermisError, match="http://gateway: cut off"):
        list(Api("http://gateway", transport=httpx.MockTransport(fail)).batch_results("batch_1"))


@pytest.mark.parametrize(
    "held", [b"\xff\xd8\xff\xe0", b"", b"a key", b"key_01k9x4q7e8f3rtw5m2c6b0dvza.a\nb", "key_01k9x4q7e8f3rtw5m2c6b0dvza.\u00e4".encode()]
)
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, image: Path, held: bytes) -> None:
    (tmp_path / "key").write_bytes(held)
    result = CliRunner().invoke(main, ["assess", str(image), "--key-file", str(tmp_path / "key"), "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 2
    assert "holds no API key" in result.output


def soon() -> float:
    return time.monotonic() + 5


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "arm.jpg"
    path.write_bytes(b"jpeg")
    return path


def test_a_case_is_submitted_as_the_api_wants_it(image: Path) -> None:
    api, asked = answering(httpx.Response(202, json=CASE))
    report = SelfReport.model_validate({"textures": ["FLAT"]})
    assert api.submit([image, image], shot_types=[ShotType.CLOSE_UP, ShotType.AT_DISTANCE], report=report, deadline=soon()) == Case(**CASE)
    (request,) = asked
    body = request.read()
    assert (request.method, request.url.path) == ("POST", "/v1/cases")
    assert request.headers["Idempotency-Key"]
    assert body.count(b'name="images"; filename="arm.jpg"') == 2
    assert b'name="self_report"\r\n\r\n{"textures":["FLAT"]}\r\n' in body
    assert body.index(b"CLOSE_UP") < body.index(b"AT_DISTANCE")
    assert body.count(b'name="shot_types"') == 2


def test_a_busy_gateway_is_asked_again_with_the_same_key(image: Path) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "0"}, json={"reason": "BUSY", "detail": "busy"})
    api, asked = answering(busy, busy, httpx.Response(202, json=CASE))
    assert api.submit([image], shot_types=(), report=SelfReport(), deadline=soon()) == Case(**CASE)
    assert len({request.headers["Idempotency-Key"] for request in asked}) == 1
    assert len(asked) == 3


def test_it_is_asked_no_longer_than_the_deadline(image: Path) -> None:
    api, asked = answering(httpx.Response(429, headers={"Retry-After": "60"}, json={"reason": "BUSY", "detail": "too busy"}))
    with pytest.raises(DermisError, match="too busy"):
        api.submit([image], shot_types=(), report=SelfReport(), deadline=soon())
    assert len(asked) == 1


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_a_case_is_followed_to_its_end(status: str) -> None:
    api, asked = answering(
        httpx.Response(200, json=CASE, headers={"Retry-After": "0"}),
        httpx.Response(200, json=CASE | {"status": "ASSESSED"}, headers={"Retry-After": "0"}),
        httpx.Response(200, json=CASE | {"status": status}),
    )
    assert api.follow(Case(**CASE), deadline=soon()).status == status
    assert [request.url.path for request in asked] == ["/v1/cases/case_1"] * 3
    assert asked[0].headers["Prefer"] == "wait=20"


def test_a_case_that_came_back_finished_is_not_asked_for() -> None:
    api, asked = answering()
    assert api.follow(Case(**DONE), deadline=soon()) == Case(**DONE)
    assert asked == []


def test_a_case_that_takes_too_long_is_named() -> None:
    api, _ = answering(httpx.Response(200, json=CASE, headers={"Retry-After": "0"}))
    with pytest.raises(DermisError, match=r"case_1 is RECEIVED still; look again with GET http://gateway/v1/cases/case_1"):
        api.follow(Case(**CASE), deadline=time.monotonic() + 0.05)


def test_a_problem_is_shown_with_its_pointers(image: Path) -> None:
    errors = [{"pointer": "/self_report/textures/0", "detail": "not known"}, {"pointer": "/images/0", "detail": "too dark"}]
    api, _ = answering(httpx.Response(422, json={"reason": "SELF_REPORT", "detail": "two faults", "errors": errors}))
    with pytest.raises(DermisError) as caught:
        api.submit([image], shot_types=(), report=SelfReport(), deadline=soon())
    assert caught.value.detail == "two faults\n  /self_report/textures/0: not known\n  /images/0: too dark"
    assert caught.value.reason == "SELF_REPORT"


def test_a_problem_of_one_field_is_one_line(image: Path) -> None:
    problem = {"reason": "R", "detail": "image 1 is empty", "errors": [{"pointer": "/images/0", "detail": "image 1 is empty"}]}
    api, _ = answering(httpx.Response(422, json=problem))
    with pytest.raises(DermisError) as caught:
        api.submit([image], shot_types=(), report=SelfReport(), deadline=soon())
    assert caught.value.detail == "image 1 is empty (/images/0)"


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(200, json=[1]), httpx.Response(404, text="no")])
def test_an_answer_that_is_none_of_dermis_says_so(image: Path, answer: httpx.Response) -> None:
    api, _ = answering(answer)
    with pytest.raises(DermisError, match="is none of dermis; is http://gateway/v1/cases right"):
        api.submit([image], shot_types=(), report=SelfReport(), deadline=soon())


@pytest.mark.parametrize(
    ("fault", "said"), [(httpx.ConnectError("refused"), "nothing answers at http://gateway"), (httpx.ReadTimeout(""), "ReadTimeout")]
)
def test_no_answer_is_a_clear_error(image: Path, fault: httpx.HTTPError, said: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise fault

    with pytest.raises(DermisError, match=said):
        Api("http://gateway", transport=httpx.MockTransport(fail)).submit([image], shot_types=(), report=SelfReport(), deadline=soon())


def test_a_key_goes_with_every_call_and_a_refusal_keeps_its_kind() -> None:
    asked: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(403, json={"reason": "SCOPE", "detail": "this needs the scope admin"})

    with Api("http://gateway", key="key_1.secret", transport=httpx.MockTransport(refuse)) as api:
        for call in (
            lambda: api.case("case_1"),
            lambda: list(api.cases()),
            lambda: api.erase("case_1"),
            lambda: api.heatmap("case_1", 1),
            lambda: api.give_feedback("case_1", Feedback(helpful=True)),
            api.conditions,
            api.models,
            lambda: api.evaluation(1),
            lambda: api.create_batch(BatchSource(url="file:///x")),
            lambda: api.batch("batch_1"),
            lambda: list(api.batches()),
            lambda: list(api.batch_results("batch_1")),
            lambda: api.erase_batch("batch_1"),
        ):
            with pytest.raises(DermisError) as caught:
                call()
            assert (caught.value.kind, caught.value.reason) == (Kind.PERMISSION, "SCOPE")
    assert {request.headers["Authorization"] for request in asked} == {"Bearer key_1.secret"}


def test_pages_are_followed_to_the_last() -> None:
    summary = {"status": "FINISHED", "received_at": "2026-01-02T03:04:05Z"}
    api, asked = answering(
        httpx.Response(200, json={"cases": [{"id": "case_1", **summary}], "next_cursor": "abc"}),
        httpx.Response(200, json={"cases": [{"id": "case_2", **summary}], "next_cursor": None}),
    )
    assert [case.id for case in api.cases()] == ["case_1", "case_2"]
    assert [request.url.params.get("cursor") for request in asked] == [None, "abc"]


def assess(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["assess", *arguments], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'IMAGES...'"),
        (["none.jpg"], "does not exist"),
        (["{image}"] * 4, "there are 4 images; give 1 to 3"),
        (["{image}", "--shot-type", "CLOSE_UP", "--shot-type", "CLOSE_UP"], "give one for each"),
        (["{image}", "--shot-type", "FAR"], "Invalid value for '--shot-type'"),
        (["{image}", "--set", "textures=FLATT"], "did you mean FLAT?"),
        (["{image}", "--answers", "-"], "- is no JSON"),
    ],
)
def test_wrong_use_is_exit_code_2(image: Path, arguments: list[str], said: str) -> None:
    result = assess(*(argument.format(image=image) for argument in arguments))
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("content", "said"), [("[1]", "holds a list"), ('{"textures": ["FLATT"]}', "/textures/0: 'FLATT'"), ("\xff", "no JSON")]
)
def test_wrong_answers_name_the_file_and_the_place(image: Path, content: str, said: str) -> None:
    answers = image.with_name("answers.json")
    answers.write_text(content, encoding="latin-1")
    result = assess(str(image), "--answers", str(answers))
    assert (result.exit_code, said in result.stderr, "answers.json" in result.stderr) == (2, True, True)


@pytest.mark.parametrize(("kind", "code"), [("DIFFERENTIAL", 0), ("ABSTENTION", 3), ("REJECTION", 4), (None, 5)])
def test_the_outcome_is_the_exit_code(image: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, code: int) -> None:
    outcome: dict[str, Any] | None = {"case_id": "case_1", "finished_at": "2026-01-02T03:04:06Z", "kind": kind} if kind else None
    end = Case(**(DONE | {"outcome": outcome, "status": "FINISHED" if kind else "FAILED"}))
    reports = []

    def submit(_: Api, __: object, *, report: SelfReport, **___: object) -> Case:
        reports.append(report)
        return end

    monkeypatch.setattr(Api, "submit", submit)
    result = assess(
        str(image), "--json", "--answers", "-", "--set", "sex_at_birth=MALE", stdin='{"sex_at_birth": "FEMALE", "textures": ["FLAT"]}'
    )
    assert result.exit_code == code
    assert Case.model_validate_json(result.stdout) == end
    assert reports == [SelfReport.model_validate({"sex_at_birth": "MALE", "textures": ["FLAT"]})]
