"""Answers over groups beside flat sets and the prior's, from the command to the page."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dermis.data.generated.as_scin import write_as_scin
from dermis.data.scin.taxonomy import load_taxonomy
from dermis.shared.stores.disk import DiskStore
from dermis.trainer.benchmarks import scin
from dermis.trainer.benchmarks.grouped_answers import PRIOR, run_grouped_answers
from dermis.trainer.benchmarks.scin import ANSWERS
from dermis.trainer.cli.benchmark import benchmark
from dermis.trainer.evaluation.grouped_answers import FLAT, GROUPED

pytestmark = pytest.mark.trainer


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(scin, "STRENGTHS", (0.3,))
    write_as_scin(DiskStore(tmp_path / "scin"), seed=3, count=240, longest=32)
    return (tmp_path / "scin").as_uri()


def test_each_case_is_answered_once_and_an_abstention_holds_all(source: str, tmp_path: Path) -> None:
    result = run_grouped_answers(source, cache=tmp_path / "cache", say=print)
    assert set(result.answers) == {(name, kind) for name in (PRIOR, ANSWERS) for kind in (GROUPED, FLAT)}
    conditions = len(result.held_out.conditions)
    for (_, kind), answered in result.answers.items():
        assert answered.inside.shape == result.target.shape == (240, conditions)
        assert (answered.leaves[~answered.is_answer] == conditions).all()
        if kind == GROUPED:
            assert answered.entries.max() <= 3
    covered = (result.answers[ANSWERS, GROUPED].inside * result.target).sum(1)
    assert covered.mean() == pytest.approx(0.9, abs=0.07)
    assert np.isfinite(covered).all()


def test_the_command_writes_page_and_plot(source: str, tmp_path: Path) -> None:
    page = tmp_path / "grouped-answers.md"
    options = ["grouped-answers", "--data", source, "--cache", str(tmp_path / "cache"), "--write", str(page)]
    result = CliRunner().invoke(benchmark, options, catch_exceptions=False)
    assert result.exit_code == 0
    text = page.read_text()
    assert load_taxonomy().reference in text
    assert "monk_bin=MST_7_10" in text
    assert page.with_name("grouped-answers.svg").read_text().count("leaves") >= 4
