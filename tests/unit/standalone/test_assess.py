"""`dermis assess`: wrong use, the answers that it sends, its exit codes."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dermis.client import ApiError, Case, Client
from dermis.standalone.cli import main

CASE: dict[str, Any] = {
    "id": "case_1",
    "status": "RECEIVED",
    "received_at": "2026-01-02T03:04:05Z",
    "assessed_at": None,
    "images": [],
    "self_report": {},
    "outcome": None,
    "guidance": None,
    "failure": None,
    "notice": "n",
}


@pytest.mark.parametrize(
    "held",
    [
        b"\xff\xd8\xff\xe0",
        b"",
        b"a key",
        b"key_01k9x4q7e8f3rtw5m2c6b0dvza.a\nb",
        "key_01k9x4q7e8f3rtw5m2c6b0dvza.\u00e4".encode(),
    ],
)
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, image: Path, held: bytes) -> None:
    (tmp_path / "key").write_bytes(held)
    result = CliRunner().invoke(
        main, ["assess", str(image), "--key-file", str(tmp_path / "key"), "--url", "http://127.0.0.1:1"]
    )
    assert result.exit_code == 2
    assert "holds no API key" in result.output


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "arm.jpg"
    path.write_bytes(b"jpeg")
    return path


def assess(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, ["assess", *arguments], input=stdin)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'PHOTOS...'"),
        (["none.jpg"], "does not exist"),
        (["{image}"] * 4, "there are 4 photos; give 1 to 3"),
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
    ("content", "said"),
    [("[1]", "holds a list"), ('{"textures": ["FLATT"]}', "/textures/0: 'FLATT'"), ("\xff", "no JSON")],
)
def test_wrong_answers_name_the_file_and_the_place(image: Path, content: str, said: str) -> None:
    answers = image.with_name("answers.json")
    answers.write_text(content, encoding="latin-1")
    result = assess(str(image), "--answers", str(answers))
    assert (result.exit_code, said in result.stderr, "answers.json" in result.stderr) == (2, True, True)


@pytest.mark.parametrize(("kind", "code"), [("DIFFERENTIAL", 0), ("ABSTENTION", 3), ("REJECTION", 4), (None, 5)])
def test_the_outcome_is_the_exit_code(
    image: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, code: int
) -> None:
    outcome: dict[str, Any] | None = (
        {"case_id": "case_1", "finished_at": "2026-01-02T03:04:06Z", "kind": kind} if kind else None
    )
    end = Case.model_validate(CASE | {"outcome": outcome, "status": "FINISHED" if kind else "FAILED"})
    reports = []

    def submit(_: Client, __: object, *, report: object, **___: object) -> Case:
        reports.append(report)
        return end

    monkeypatch.setattr(Client, "submit", submit)
    result = assess(
        str(image),
        "--json",
        "--answers",
        "-",
        "--set",
        "sex_at_birth=MALE",
        stdin='{"sex_at_birth": "FEMALE", "textures": ["FLAT"]}',
    )
    assert result.exit_code == code
    assert Case.model_validate_json(result.stdout) == end
    assert reports == [{"sex_at_birth": "MALE", "textures": ["FLAT"]}]


def test_a_problem_of_the_gateway_is_one_clear_line_and_an_exit_code(
    image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Case:
        raise ApiError("NO_GATEWAY", "nothing answers at http://gateway")

    monkeypatch.setattr(Client, "submit", refuse)
    result = assess(str(image))
    assert (result.exit_code, result.stderr) == (75, "dermis: nothing answers at http://gateway\n")


def test_a_case_that_is_not_finished_in_time_is_shown_as_it_is(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> Case:
        raise ApiError("NOT_FINISHED", "case case_1 is RECEIVED still")

    monkeypatch.setattr(Client, "submit", lambda *_, **__: Case.model_validate(CASE))
    monkeypatch.setattr(Client, "wait", late)
    result = assess(str(image), "--json")
    assert (result.exit_code, result.stderr) == (5, "dermis: case case_1 is RECEIVED still\n")
    assert Case.model_validate_json(result.stdout).status == "RECEIVED"
