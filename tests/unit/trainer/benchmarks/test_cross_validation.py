"""No case is asked of who saw it, choices are made within training, and a fold is done once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from dermis.data.dataset import conditions_of, open_dataset
from dermis.trainer.benchmarks import comparisons
from dermis.trainer.benchmarks.cross_validation import FOLDS_INNER, FOLDS_OUTER, Contender, cross_validate
from dermis.trainer.benchmarks.tables import METRICS, comparison_tables
from dermis.trainer.benchmarks.unrelated_images import UNRELATED, unrelated_images
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.inputs import arrays, targets

pytestmark = pytest.mark.trainer
DATA = open_dataset("generated:5:60:40")
CONDITIONS = conditions_of(DATA.samples)


def knowing(share: Any, asked: Any) -> Any:
    """Return a contender that is right in a share of the cases, and keeps what it was given."""

    def fit(choice: Any, training: Any, held: Any) -> Any:
        asked.append((choice, {s.id for s in training.samples}, {s.id for s in held.samples}))
        target, _ = targets(held.samples, CONDITIONS)
        right = np.array([int(s.id) % 10 < 10 * share * choice for s in held.samples])
        predictions = np.where(right[:, None], target, np.roll(target, 1, axis=1))
        return 0.9 * predictions + 0.1 / len(CONDITIONS)

    return Contender(name=f"knows {share}", choices=(0.5, 1.0), fit=fit)


def test_no_case_is_asked_of_who_saw_it_and_choices_stay_within_training(tmp_path: Any) -> None:
    asked: list[Any] = []
    lines: list[str] = []
    predictions = cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lines.append).predictions["knows 0.8"]
    assert not np.isnan(predictions).any()
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
    again = cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lines.append).predictions["knows 0.8"]
    assert (again == predictions).all()
    assert len(asked) == FOLDS_OUTER * (1 + 2 * FOLDS_INNER)  # every fold was kept


def test_a_fold_that_was_being_written_when_the_run_was_killed_is_done_again_and_the_others_are_kept(
    tmp_path: Any, monkeypatch: Any
) -> Any:
    asked: list[Any] = []

    write_text = Path.write_text

    def half_of(path: Any, text: Any, **options: Any) -> Any:
        if len(asked) > 7:  # the second fold
            write_text(path, text[: len(text) // 2], **options)
            raise KeyboardInterrupt
        return write_text(path, text, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half_of)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lambda _line: None)
    assert len(list(tmp_path.glob("*.json"))) == 1
    resumed = cross_validate(DATA, [knowing(0.8, asked)], tmp_path, say=lambda _line: None)
    assert len(asked) == (FOLDS_OUTER + 1) * (1 + 2 * FOLDS_INNER)  # the second fold twice, the first once
    whole = cross_validate(DATA, [knowing(0.8, [])], tmp_path / "whole", say=lambda _line: None)
    assert (resumed.predictions["knows 0.8"] == whole.predictions["knows 0.8"]).all()


@pytest.mark.parametrize("change", [{"settings": "other"}, {"choices": (1.0,)}, {"sees": ("answers",)}])
def test_a_kept_fold_counts_for_the_same_contender_alone(tmp_path: Any, change: Any) -> None:
    asked: list[Any] = []
    one = knowing(0.8, asked)
    cross_validate(DATA, [one], tmp_path, say=lambda _line: None)
    before = len(asked)
    cross_validate(DATA, [replace(one, **change)], tmp_path, say=lambda _line: None)
    assert len(asked) > before


def test_the_table_shows_floor_pair_and_tone(tmp_path: Any) -> None:
    held_out = cross_validate(DATA, [knowing(0.9, []), knowing(0.3, [])], tmp_path, say=lambda _line: None)
    text = comparison_tables(held_out, best="knows 0.9", others=["knows 0.3"], by=("monk_bin",))
    assert "| floor: the best constant list |" in text
    assert "| top_1 | +0.6" in text
    assert sum(line.startswith("| MST_") for line in text.splitlines()) == 3
    assert comparison_tables(held_out, best="knows 0.9", others=["knows 0.9"]).count(
        "+0.0000 | +0.0000 to +0.0000 | no |"
    ) == len(METRICS)
    assert "| brier | -" in text
    labels = held_out.judged("knows 0.9").labels
    prior = np.bincount(labels, minlength=len(CONDITIONS)) / len(labels)
    constant = brier_score_loss(
        labels, np.tile(prior, (len(labels), 1)), labels=range(len(CONDITIONS)), scale_by_half=False
    )
    assert f"| 0.500 | {constant:.3f} |" in text


def test_cases_without_a_label_take_no_part(tmp_path: Any, monkeypatch: Any) -> None:
    silent = tuple(
        replace(sample, target={}, top=None) if n % 3 == 0 else sample for n, sample in enumerate(DATA.samples)
    )
    monkeypatch.setattr(comparisons, "open_dataset", lambda _data, **_: replace(DATA, samples=silent))
    known = comparisons.labelled("some")
    held_out = cross_validate(known, [knowing(0.9, [])], tmp_path, say=lambda _line: None)
    text = comparison_tables(held_out, best="knows 0.9", others=[])
    assert f"n = {len(held_out.dataset)}, " in text
    assert len(known) > len(held_out.dataset)  # of one condition a single group is left: it trains in every fold
    assert "nan" not in text
    flat = replace(held_out, predictions={"cnn": np.full((len(held_out.dataset), len(CONDITIONS)), 0.1)})
    monkeypatch.setattr(comparisons, "cross_validate", lambda _dataset, *_: flat)
    text = comparisons.run_leak("some", work=tmp_path)
    assert text.count(f"| {len(held_out.dataset)} |") == 2


@pytest.mark.parametrize("name", UNRELATED)
def test_unrelated_images_are_the_same_each_time_and_differ_from_each_other(name: Any) -> None:
    one, again = (arrays(unrelated_images(name, 3), every_answer(), 32)["images"] for _ in range(2))
    assert (one == again).all()
    assert (one[0, 0] != one[1, 0]).any()
    assert one[:, 0].std() > 5
