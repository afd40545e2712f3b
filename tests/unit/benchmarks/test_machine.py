"""A page says when and where its figures are from, and by which command."""

import sys

import pytest

from benchmarks.machine import NOISE, about, commit


def test_a_page_states_command_commit_versions_and_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["growth", "--cases", "10"])
    text = about("benchmarks.growth", (0.0, 0.0, 0.0), packages=("numpy",), Chromium="156")
    assert "| command | `python -m benchmarks.growth --cases 10` |" in text
    assert f"at {commit()}" in text
    assert "numpy " in text
    assert "Chromium 156" in text
    assert "0.00 0.00 0.00 before" in text
    assert NOISE not in text


def test_a_page_says_that_the_machine_was_busy() -> None:
    assert NOISE in about("benchmarks", (100.0, 0.0, 0.0))
