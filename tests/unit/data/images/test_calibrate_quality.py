"""Thresholds fitted to graders: told by rows whose answer is known."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from dermis.data.images.calibrate_quality import FEWEST, LEAST, Fitted, auroc, fit, judged, sufficient
from dermis.data.images.measure import _write_policy, load_quality_policy
from dermis.data.images.tables import ImageTable, images_frame, with_cases
from dermis.data.mapping import DataSide, scin_side
from dermis.data.scin.columns import NO_PATHOLOGY, YES
from dermis.data.scin.source import Scin
from dermis.data.scin.tables import ScinTables
from dermis.shared.errors import DermisError
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import Gradable
from dermis.worker.core import shard
from dermis.worker.core.quality import Policy
from tests.unit.data.images.test_measure import png
from tests.unit.data.scin_rows import case, tables

NO = Gradable.NO_IMAGE_QUALITY_INSUFFICIENT
POLICY = load_quality_policy(None)
TONES = {"2": 0.9, "5": 0.8, "9": 0.7}
"""Where sharpness of gradable images lies, by Monk tone: the darkest is the least sharp here."""


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((YES,), True),
        ((NO,), False),
        ((NO_PATHOLOGY,), True),
        ((YES, NO, NO), False),
        ((YES, NO_PATHOLOGY, NO), True),
        ((YES, NO), None),
        ((), None),
    ],
)
def test_most_graders_decide_and_no_pathology_is_sufficient(answers: tuple[str, ...], said: bool | None) -> None:
    assert sufficient(answers) is said


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2).filter(
        lambda rows: len({positive for _, positive in rows}) == 2
    )
)
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    values, positive = zip(*rows, strict=True)
    area, low, high = auroc(values, positive)
    assert area == pytest.approx(roc_auc_score(positive, values))
    few = min(sum(positive), len(positive) - sum(positive)) < LEAST
    assert np.isnan(low) if few else 0 <= low <= area <= high <= 1


def test_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    truth, held, runs = 0.7602, 0, 400  # P(N(1, 1) > N(0, 1))
    for _ in range(runs):
        _, low, high = auroc(np.r_[rng.normal(1, 1, 60), rng.normal(0, 1, 40)], np.r_[np.ones(60), np.zeros(40)])
        held += low <= truth <= high
    assert 0.91 < held / runs < 0.98


def test_one_class_has_no_auroc() -> None:
    assert np.isnan(auroc([1, 2], [True, True])).all()


def generated(*, telling: bool = True, per_tone: int = 200) -> ImageTable:
    """Return cases of two images each; graders follow the best image's sharpness, or chance."""
    rng = np.random.default_rng(0)
    base = shard.measure("x.png", png(1), POLICY)
    rows, listed = [], []
    ids = itertools.count(1)
    for tone, level in TONES.items():
        for _ in range(per_tone):
            good = bool(rng.random() < 0.7)
            n = next(ids)
            listed.append(
                case(
                    n,
                    images=(2 * n, 2 * n + 1),
                    monk_skin_tone_label_us=tone,
                    dermatologist_gradable_for_skin_condition_1=YES if good else NO,
                )
            )
            best = rng.normal(level if good or not telling else 0.3, 0.05)
            for image, sharp in ((2 * n, best), (2 * n + 1, best / 4)):
                rows.append({**base, "image": f"images/{image}.png", "fine_to_coarse": sharp, "fine_to_middle": sharp})
    return with_cases(images_frame(rows), _scin(tables(listed)))


def _scin(read: ScinTables) -> DataSide:
    return replace(scin_side(read), scin=Scin(source="", store=MemoryStore(), tables=read))


def fitted(images: ImageTable, *, loss: float = 0.02) -> Fitted:
    assert images.side
    assert images.side.scin
    return fit(images, images.side.scin.cases, POLICY, loss=loss, source="generated images", by="a test")


def frame_of(found: Fitted, name: str) -> pd.DataFrame:
    frame = next(table.frame for table in found.tables if table.name == name)
    return frame.set_index(frame.columns[0])


def test_what_tells_gradable_is_fitted_and_what_does_not_is_kept() -> None:
    images = generated()
    found = fitted(images)
    states = frame_of(found, "thresholds")["state"]
    assert set(states[states == "fitted"].index) == {"fine_to_coarse", "fine_to_middle"}
    areas = frame_of(found, "auroc")
    assert areas.loc["fine_to_coarse", "low"] > 0.95
    assert areas.loc["combined (out of fold)", "estimate"] > 0.95
    assert areas.loc["brightness_mean", "estimate"] == 0.5
    threshold = found.policy.thresholds.fine_to_coarse
    assert 0.4 < threshold.value < 0.65
    assert "generated images" in threshold.measured_on
    assert threshold.by == "a test"
    assert found.policy.id != POLICY.id


def test_no_tone_pays_for_the_others() -> None:
    images = generated()
    found = fitted(images)
    rates = frame_of(found, "rejected_cases_fitted")
    assert rates["of"].sum() == 600
    verdicts = judged(images.frame, found.policy)
    assert images.side
    assert images.side.scin
    cases = images.side.scin.cases
    good = np.array([sufficient(answers) is True for answers in cases["gradable"]])
    for tone in TONES:
        mine = good & (cases["monk_us"] == int(tone)).to_numpy()
        gone = (verdicts == "UNUSABLE").groupby(list(images.owners)).all().to_numpy()
        assert mine.sum() > FEWEST
        assert gone[mine].mean() <= 0.02
    assert (verdicts == "UNUSABLE").groupby(list(images.owners)).all().to_numpy()[~good].mean() > 0.9


def test_chance_changes_nothing() -> None:
    assert fitted(generated(telling=False)).policy == POLICY


def test_few_cases_change_nothing() -> None:
    assert fitted(generated(per_tone=5)).policy == POLICY


def test_a_row_judged_again_under_its_own_policy_keeps_its_verdict() -> None:
    rows = [
        shard.measure("a.png", png(1), POLICY),
        shard.measure("b.png", png(1, light=0), POLICY),
        shard.measure("c.png", b"", POLICY),
        shard.missing("d.png"),
    ]
    frame = images_frame(rows)
    assert judged(frame, POLICY).fillna("").tolist() == frame["verdict"].fillna("").tolist()


def test_a_policy_is_written_and_no_other_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "quality_policy.json"
    policy = fitted(generated()).policy
    assert Policy.model_validate_json(_write_policy(policy, path).read_bytes()) == policy
    assert _write_policy(policy, path) == path
    assert json.loads(path.read_text())["format"] == "dermis.quality-policy/1"
    with pytest.raises(DermisError, match="not overwritten"):
        _write_policy(POLICY, path)
    assert load_quality_policy(path) == policy
