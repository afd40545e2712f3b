"""What a comparison rests on.

Nobody is asked of a case that it saw, choices are made within the training cases, and a fold is done once.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from dermis.data.dataset import conditions_of, open_dataset
from dermis.trainer.benchmarks import comparisons
from dermis.trainer.benchmarks.cross_validation import FOLDS_INNER, FOLDS_OUTER, SHOWN, Contender, nested, table
from dermis.trainer.benchmarks.unrelated_images import FOREIGN, foreign
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.inputs import arrays, targets

pytestmark = pytest.mark.trainer
DATA = open_dataset("generated:5:60:40")
CONDITIONS = conditions_of(DATA.samples)


def knowing(share: Any, asked: Any) -> Any:
    """Return a contender that is right in a share of the cases, and keeps what it was shown."""

    def fit(choice: Any, training: Any, held: Any) -> Any:
        asked.append((choice, {s.id for s in training.samples}, {s.id for s in held.samples}))
        target, _ = targets(held.samples, CONDITIONS)
        right = np.array([int(s.id) % 10 < 10 * share * choice for s in held.samples])
        said = np.where(right[:, None], target, np.roll(target, 1, axis=1))
        return 0.9 * said + 0.1 / len(CONDITIONS)

    return Contender(name=f"knows {share}", choices=(0.5, 1.0), fit=fit)


def test_no_case_is_asked_of_who_saw_it_and_choices_stay_within_training(tmp_path: Path) -> None:
    asked: list[Any] = []
    lines: list[str] = []
    found = nested(DATA, [knowing(0.8, asked)], tmp_path, say=lines.append).said["knows 0.8"]
    assert not np.isnan(found).any()
    assert all(not training & held for _, training, held in asked)
    outer = [entry for entry in asked if len(entry[1]) + len(entry[2]) == len(DATA)]
    assert len(outer) == FOLDS_OUTER
    assert set().union(*(held for _, _, held in outer)) == {sample.id for sample in DATA.samples}
    assert {choice for choice, _, _ in outer} == {1.0}  # the one with the least loss on inner folds
    assert len(asked) == FOLDS_OUTER * (1 + 2 * FOLDS_INNER)
    for n, (_, training, _) in enumerate(
        outer
    ):  # the inner folds before an outer fold's fit hold its training cases alone
        inner = asked[n * (1 + 2 * FOLDS_INNER) : (n + 1) * (1 + 2 * FOLDS_INNER) - 1]
        assert all(known | checked == training for _, known, checked in inner)
    again = nested(DATA, [knowing(0.8, asked)], tmp_path, say=lines.append).said["knows 0.8"]
    assert (again == found).all()
    assert len(asked) == FOLDS_OUTER * (1 + 2 * FOLDS_INNER)  # every fold was kept


def test_the_table_shows_floor_pair_and_tone(tmp_path: Path) -> None:
    found = nested(DATA, [knowing(0.9, []), knowing(0.3, [])], tmp_path, say=lambda _line: None)
    shown = table(found, best="knows 0.9", others=["knows 0.3"], by=("monk_bin",))
    assert "| floor: the best constant list |" in shown
    assert "| top_1 | +0.6" in shown
    assert sum(line.startswith("| MST_") for line in shown.splitlines()) == 3
    assert table(found, best="knows 0.9", others=["knows 0.9"]).count("+0.0000 | +0.0000 to +0.0000 | no |") == len(
        SHOWN
    )
    assert "| brier | -" in shown
    labels = found.judged("knows 0.9").labels
    prior = np.bincount(labels, minlength=len(CONDITIONS)) / len(labels)
    constant = brier_score_loss(
        labels, np.tile(prior, (len(labels), 1)), labels=range(len(CONDITIONS)), scale_by_half=False
    )
    assert f"| 0.500 | {constant:.3f} |" in shown


def test_cases_without_a_label_take_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tuple(
        replace(sample, target={}, top=None) if n % 3 == 0 else sample for n, sample in enumerate(DATA.samples)
    )
    monkeypatch.setattr(comparisons, "open_dataset", lambda _data, **_: replace(DATA, samples=silent))
    known = comparisons.labelled("some")
    found = nested(known, [knowing(0.9, [])], tmp_path, say=lambda _line: None)
    shown = table(found, best="knows 0.9", others=[])
    assert f"n = {len(found.dataset)}, " in shown
    assert len(known) > len(found.dataset)  # of one condition a single group is left: it trains in every fold
    assert "nan" not in shown
    flat = replace(found, said={"cnn": np.full((len(found.dataset), len(CONDITIONS)), 0.1)})
    monkeypatch.setattr(comparisons, "nested", lambda _dataset, *_given: flat)
    shown = comparisons.run_leak("some", work=tmp_path)
    assert shown.count(f"| {len(found.dataset)} |") == 2


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_images_are_the_same_each_time_and_differ_from_each_other(name: Any) -> None:
    one, again = (arrays(foreign(name, 3), every_answer(), 32)["images"] for _ in range(2))
    assert (one == again).all()
    assert (one[0, 0] != one[1, 0]).any()
    assert one[:, 0].std() > 5
