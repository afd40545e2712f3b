"""TensorFlow's log lines are kept off stderr while it is loaded; whatever else is written there is not."""

import os
from typing import Any

import pytest

from dermis.trainer.cli.tensorflow_log import LEVEL, without_tensorflow_log

LINES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
    b"I0000 00:00:1796003119.956804    9555 port.cc:153] oneDNN custom operations are on.\n",
    b"To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.\n",
)


@pytest.fixture
def stderr(capfd: pytest.CaptureFixture[str]) -> Any:
    def run() -> Any:
        with without_tensorflow_log():
            os.write(2, LINES[0] + b"a warning of ours\n" + LINES[1] + LINES[2] + b"F0000 fatal\nno newline")
        return capfd.readouterr().err

    return run


def test_its_lines_are_dropped_and_others_follow(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEVEL, "")
    monkeypatch.delenv(LEVEL)  # and taken back after the test
    assert stderr() == "a warning of ours\nF0000 fatal\nno newline"
    assert os.environ[LEVEL] == "3"


def test_at_level_0_everything_is_written(stderr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LEVEL, "0")
    assert "oneDNN" in stderr()


def test_an_error_while_it_is_loaded_leaves_stderr_as_it_was(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LEVEL, "3")

    @without_tensorflow_log()
    def load() -> None:
        os.write(2, b"why\n")
        raise ImportError

    with pytest.raises(ImportError):
        load()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "why\nafter\n"
