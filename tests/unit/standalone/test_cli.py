"""The `dermis` command as a whole: help, errors, sub-commands of other parts."""

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from dermis.client.errors import ApiError
from dermis.shared.errors import DermisError, Kind
from dermis.standalone import cli, demo

OWN = [*cli.GROUPS["Run"], *cli.GROUPS["Keep"]]


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli.main, arguments, env=environ)


def test_help_names_every_command() -> None:
    lines = run("--help").stdout.splitlines()
    for title, names in cli.GROUPS.items():
        start = lines.index(f"{title}:") + 1
        assert [line.split()[0] for line in lines[start : start + len(names)]] == list(names)
    assert max(map(len, lines[lines.index("Run:") :])) <= 80, "each command has one line"


@pytest.mark.parametrize("command", OWN)
def test_every_command_has_examples_and_explains_its_options(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Examples:\n    dermis {command}" in result.stdout
    loaded = cli.main.get_command(click.Context(cli.main), command)
    assert loaded
    assert [option.name for option in loaded.params if isinstance(option, click.Option) and not option.help] == []


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, f"{path} {name}")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, id=point.name, marks=[pytest.mark.trainer] if point.name == "train" else [])
        for point in metadata.entry_points(group=cli.GROUP)
    ],
)
def test_so_has_every_command_of_another_part(point: EntryPoint) -> None:
    for path, command in commands(point.load(), f"dermis {point.name}"):
        assert f"Examples:\n  {path}" in inspect.cleandoc(command.help or ""), path
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if not option.help] == [], path


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
@pytest.mark.parametrize(
    ("command", "option"), [("demo", "--timeout"), ("assess", "--timeout"), ("up", "--wait"), ("up", "--drain")]
)
def test_a_time_that_never_comes_is_refused_by_its_option(command: str, option: str, seconds: str) -> None:
    result = run(command, option, seconds, *([__file__] if command == "assess" else []))
    assert (result.exit_code, f"Invalid value for '{option}': " in result.stderr) == (2, True)
    assert seconds in result.stderr


def test_a_fault_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dermis.standalone", "doctor", "--state", str(tmp_path)]
    command[3:] = ["config", "--state", str(tmp_path)]
    result = subprocess.run(
        command, env={"DERMIS_BROKR_URL": "x", "HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "dermis: DERMIS_BROKR_URL is not a setting; did you mean DERMIS_BROKER_URL?\n"


def test_a_file_that_can_not_be_written_is_one_line_too(tmp_path: Path) -> None:
    span = {
        "context": {"trace_id": "0x1", "span_id": "0x2"},
        "parent_id": None,
        "resource": {"attributes": {"service.name": "worker"}},
        "name": "case.assess",
        "start_time": "2026-01-02T03:04:05Z",
        "end_time": "2026-01-02T03:04:06Z",
        "status": {"status_code": "UNSET"},
        "attributes": {"case_id": "case_1"},
    }
    (tmp_path / "worker-1.ndjson").write_text(json.dumps(span) + "\n")
    out = tmp_path / "gone" / "case.svg"
    result = run("trace", "--traces", str(tmp_path), "--out", str(out))
    assert result.exit_code == 2
    assert result.stderr == f"dermis: {out}: No such file or directory; name another one, or see who may use it\n"


def test_a_command_whose_packages_are_missing_says_what_to_install() -> None:
    command = cli.load(EntryPoint("profile", "dermis_no_such_package.cli:profile [data]", cli.GROUP))
    for arguments in ([], ["--help"], ["table.csv", "--out", "x"]):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 2
        assert result.stderr == (
            "dermis: profile needs dermis_no_such_package, which is not installed; pip install 'dermis[data]'\n"
        )


def test_help_names_commands_of_other_parts_also_where_they_can_not_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("one", "no.such:command [worker]", cli.GROUP),
            EntryPoint("two", "no.such:command [data]", cli.GROUP),
        ]
    )
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: points)
    monkeypatch.setattr(cli, "missing", lambda extras: {"data": ["pandas"]} if "data" in extras else {})
    shown = [" ".join(line.split()) for line in run("--help").stdout.splitlines()]
    assert any(line.startswith("one") for line in shown)
    assert "two (not installed: pip install 'dermis[data]')" in shown


def test_a_command_of_another_part_is_loaded() -> None:
    assert (
        cli.load(EntryPoint("doctor", "dermis.standalone.commands.doctor:command [data]", cli.GROUP)).name == "doctor"
    )


def test_an_error_inside_such_a_command_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_module.py").write_text("import os\nos.no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AttributeError):
        cli.load(EntryPoint("x", "broken_module:command", cli.GROUP))


def test_the_demo_says_where_its_case_is() -> None:
    if not (demo.CASE / "answers.json").is_file():
        pytest.skip("the demo's case is not generated")
    result = run("demo", "--where")
    assert (result.exit_code, result.stdout) == (0, f"{demo.CASE}\n")


def test_config_says_what_came_from_where(tmp_path: Path) -> None:
    result = run(
        "config",
        "--state",
        str(tmp_path),
        DERMIS_BROKER_URL="redis://:geheim@host/0",
        DERMIS_SWEEP_INTERVAL_SECONDS="5",
    )
    rows = {columns[0]: columns[1:3] for columns in map(str.split, result.stdout.splitlines())}
    assert rows["DERMIS_STANDALONE_STATE"] == [str(tmp_path), "option"]
    assert rows["DERMIS_BROKER_URL"] == ["redis://:***@host/0", "environment"]
    assert rows["DERMIS_SWEEP_INTERVAL_SECONDS"] == ["5", "environment"]
    assert rows["DERMIS_STORE_URL"] == [f"file://{tmp_path}/store", "default"]
    assert "geheim" not in result.output
    assert "geheim" not in run("config", "--json", "--broker", "redis://:geheim@host/0").output


@pytest.mark.parametrize(
    ("fault", "exit_code"),
    [
        (DermisError(Kind.UNAVAILABLE, "STORE", "the bucket is away; try again"), 75),
        (DermisError(Kind.INVALID, "SPLIT", "no such split"), 2),
        (ApiError("NO_GATEWAY", "nothing answers"), 75),
        (ApiError("KEY_NEEDED", "send a key", status=401), 2),
    ],
)
def test_the_exit_code_says_whether_a_job_should_try_again(
    fault: Exception, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def broken() -> None:
        raise fault

    monkeypatch.setattr(cli.Commands, "get_command", lambda *_: broken)
    assert run("broken").exit_code == exit_code
