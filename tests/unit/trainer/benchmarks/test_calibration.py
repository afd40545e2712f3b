"""The benchmark's calibration table: probabilities that are true lie within the band, overconfident ones don't."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dermis.data.dataset import conditions_of, open_dataset
from dermis.trainer.benchmarks.calibration import calibrated_by_other_folds, calibration_table
from dermis.trainer.benchmarks.cross_validation import HeldOut

pytestmark = pytest.mark.trainer


def held_out(power: float) -> HeldOut:
    """Return cases whose condition was drawn by probabilities, and these raised to a power: 1 leaves them true."""
    dataset: Any = open_dataset("generated:3:400:16")
    conditions = conditions_of(dataset.samples)
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(len(conditions)), len(dataset))
    names = [conditions[rng.choice(len(conditions), p=row)].name for row in true]
    samples = tuple(replace(s, target={name: 1.0}, top=name) for s, name in zip(dataset.samples, names, strict=True))
    split, sharp = dataset.split(seed=0, folds=4), true**power
    place = {case.case_id: case.fold or 0 for case in split.cases}
    return HeldOut(
        dataset=replace(dataset, samples=samples),
        conditions=conditions,
        split=split,
        fold=np.array([place[sample.id] for sample in samples]),
        predictions={"made": sharp / sharp.sum(1, keepdims=True)},
    )


def test_a_temperature_of_the_other_folds_brings_probabilities_back() -> None:
    straight, sharp = held_out(1.0), held_out(3.0)
    back = calibrated_by_other_folds(sharp, sharp.predictions["made"])
    np.testing.assert_allclose(back, calibrated_by_other_folds(straight, straight.predictions["made"]), atol=0.02)


def test_each_error_stands_beside_its_band() -> None:
    heading, _, row = calibration_table(held_out(1.0)).splitlines()
    assert [cell.strip() for cell in heading.strip("|").split("|")] == [
        *("", "n", "hard", "a perfect model", "soft", "a perfect model")
    ]
    name, n, hard, hard_band, soft, _ = (cell.strip() for cell in row.strip("|").split("|"))
    assert (name, n) == ("made", "400")
    assert float(hard) == float(soft), "a drawn case has one condition"
    assert float(hard) <= float(hard_band.rpartition(" ")[2]), "they are true"
    assert "95th percentile" in hard_band
