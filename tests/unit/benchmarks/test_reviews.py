"""The simulated readers err as stated, and what a run showed is told as it is."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks import readers
from benchmarks.reviews import StepFiles, case_id, put_read_cases
from benchmarks.reviews_page import MAIN, verdict
from dermis.data.generated.cases import cases
from dermis.data.reviews.cases import reviewed_cases
from dermis.data.reviews.write import write_from_reviews
from dermis.data.scin.source import open_scin
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.trainer.evaluation.comparison import Comparison, Difference, McNemar

pytestmark = pytest.mark.trainer
MANY = list(cases(3, 600, painted=False))


@pytest.mark.parametrize("reader", [*readers.READERS, readers.ADJUDICATOR], ids=lambda reader: reader.name)
def test_a_reader_is_right_as_often_as_stated(reader: readers.SimulatedReader) -> None:
    reviews = [(readers.review(reader, case, case_id(case), seed=1), case.condition) for case in MANY]
    graded = [(review.conditions[0], truth) for review, truth in reviews if review.conditions]
    right = np.array([first.label == truth for first, truth in graded])
    sure = np.array([first.confidence for first, _ in graded])
    # Three standard errors of 600 cases.
    assert right.mean() == pytest.approx(reader.right, abs=3 * (reader.right * (1 - reader.right) / 600) ** 0.5)
    assert 1 - len(graded) / len(MANY) == pytest.approx(reader.ungradable, abs=0.025)
    assert sure[right].mean() > sure[~right].mean() + 0.5
    wrong = Counter(first.label == readers.MIMICS[truth] for first, truth in graded if first.label != truth)
    assert wrong[True] > wrong[False]


def test_a_reading_depends_on_reader_case_and_seed_alone() -> None:
    one, two = (readers.review(readers.READERS[0], MANY[5], "case", seed=seed) for seed in (1, 1))
    assert one == two
    others = [readers.review(reader, case, "case", seed=1) for reader in readers.READERS for case in MANY[:50]]
    assert len({str(each.conditions) for each in others}) > 20


def test_what_was_read_becomes_a_data_set_with_an_adjudication_where_they_disagreed(tmp_path: Path) -> None:
    store = MemoryStore()
    put_read_cases(store, 12)
    before = {key: store.get(key) for key in store.list("")}
    put_read_cases(store, 12)  # again, as after a stop
    assert before == {key: store.get(key) for key in store.list("")}
    reviewed = reviewed_cases(store)
    assert [case.adjudication is not None for case in reviewed.cases] == [
        readers.disagree(case.reviews) or readers.disagree(case.reviews[::-1]) for case in reviewed.cases
    ]
    manifest = write_from_reviews(reviewed, store, DiskStore(tmp_path))
    assert (manifest.cases, manifest.left_out) == (12, {})
    assert manifest.readings == 24 - manifest.adjudicated
    assert len(open_scin(tmp_path.as_uri()).cases) == 12


def test_a_step_that_ended_is_not_run_again_and_one_that_failed_is(tmp_path: Path) -> None:
    runs: list[str] = []

    def work() -> str:
        runs.append("run")
        if len(runs) == 1:
            raise RuntimeError("stopped")
        return "words"

    with pytest.raises(RuntimeError):
        StepFiles(tmp_path).call("one", work)
    assert [StepFiles(tmp_path).call("one", work) for _ in range(3)] == ["words"] * 3
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("low_high", "words"),
    [((0.01, 0.09), "is better"), ((-0.09, -0.01), "is worse"), ((-0.02, 0.06), "No difference is shown")],
)
def test_the_page_says_what_the_interval_says(low_high: tuple[float, float], words: str) -> None:
    mean = sum(low_high) / 2
    gain = Difference(this=0.7 + mean, other=0.7, difference=mean, interval=low_high)
    comparison = Comparison(
        model="dermis/2",
        against="dermis/1",
        n=600,
        differences={MAIN: gain},
        mcnemar=McNemar(only_this_right=9, only_other_right=3, p=0.1),
        slices={},
    )
    assert words in verdict(comparison)
    assert f"{low_high[0]:+.3f} to {low_high[1]:+.3f}" in verdict(comparison)
