import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dermis.shared.promotions import GateVerdict
from dermis.trainer.evaluation.slices import TONE_GROUPS
from dermis.trainer.metrics import soft_hits
from dermis.trainer.registry import gate
from dermis.trainer.registry.gate import Compared, Judgement, Paired, judge

SCALES = tuple(TONE_GROUPS)
VALUES = {scale: [value for values in groups.values() for value in values] for scale, groups in TONE_GROUPS.items()}


def slices(n: int) -> dict[str, list[str]]:
    """Return values that go round, so that each group of a scale has about the same share."""
    return {scale: [values[i % len(values)] for i in range(n)] for scale, values in VALUES.items()}


def paired(current: np.ndarray, candidate: np.ndarray, groups: list[str] | None = None) -> Paired:
    named = groups or [str(i) for i in range(len(current))]
    return Paired(current=current.astype(float), candidate=candidate.astype(float), groups=tuple(named))


def by_name(judgement: Judgement) -> dict[str, Compared]:
    return {tone.name: tone for tone in judgement.tones}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3 * gate.N_MIN, 450))
def test_an_equal_version_passes(seed: int, n: int) -> None:
    scores = np.random.default_rng(seed).uniform(size=n)
    judgement = judge(paired(scores, scores), slices(n))
    assert judgement.passed
    assert judgement.overall.gain == 0
    assert {tone.verdict for tone in judgement.tones} == {GateVerdict.PASSED}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3 * gate.N_MIN, 450), st.floats(0.1, 0.9), st.floats(0, 0.05))
def test_a_version_made_worse_on_dark_skin_is_refused_however_good_it_is_elsewhere(
    seed: int, n: int, lost: float, won: float
) -> None:
    rng = np.random.default_rng(seed)
    tones = slices(n)
    dark = np.array([tone == "MST_7_10" for tone in tones["monk_bin"]])
    current = (rng.uniform(size=n) < 0.7).astype(float)
    candidate = np.where(
        dark & (rng.uniform(size=n) < lost),
        0.0,
        np.where(dark, current, np.maximum(current, rng.uniform(size=n) < won)),
    )
    assume((current[dark] - candidate[dark]).mean() > gate.MOST_LOSS)
    judgement = judge(paired(current, candidate), tones, waived=frozenset(SCALES))
    assert not judgement.passed
    assert by_name(judgement)["monk_bin=MST_7_10"].verdict is GateVerdict.REFUSED
    assert any("monk_bin=MST_7_10" in reason for reason in judgement.reasons)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, gate.N_MIN - 1))
def test_few_cases_are_insufficient_until_waived_by_name(seed: int, few: int) -> None:
    n = 300
    tones = slices(n)
    kept = 0
    for i, tone in enumerate(tones["monk_bin"]):
        if tone == "MST_7_10":
            kept += 1
            tones["monk_bin"][i] = tone if kept <= few else "MST_NONE"
    scores = np.random.default_rng(seed).uniform(size=n)
    judgement = judge(paired(scores, scores), tones)
    assert by_name(judgement)["monk_bin=MST_7_10"].verdict is GateVerdict.INSUFFICIENT
    assert [reason.split(":")[0] for reason in judgement.reasons] == ["monk_bin=MST_7_10"]
    waived = judge(paired(scores, scores), tones, waived=frozenset({"monk_bin=MST_7_10"}))
    assert (waived.passed, waived.waived) == (True, ("monk_bin=MST_7_10",))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(50, 450))
def test_more_waivers_never_turn_a_refusal(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    pair = paired(rng.uniform(size=n) < 0.6, rng.uniform(size=n) < 0.5)
    judgement = judge(pair, slices(n), waived=frozenset(SCALES))
    refused = [part for part in (judgement.overall, *judgement.tones) if part.verdict is GateVerdict.REFUSED]
    assert judgement.passed == (not refused)
    assert len(judgement.reasons) == len(refused)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_cases_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 300
    scores, tones, mixed = rng.uniform(size=(2, n)), slices(n), rng.permutation(n)
    judgement = judge(paired(*scores), tones)
    names = [str(i) for i in mixed]
    other = judge(
        paired(*scores[:, mixed], names),  # type: ignore[call-arg]
        {scale: [values[i] for i in mixed] for scale, values in tones.items()},
    )
    for one, two in zip((judgement.overall, *judgement.tones), (other.overall, *other.tones), strict=True):
        assert one.interval == pytest.approx(two.interval)
        assert (one.verdict, one.gain) == (two.verdict, pytest.approx(two.gain))


def test_a_certain_loss_in_a_small_group_can_not_be_waived() -> None:
    n = 300
    tones = slices(n)
    dark = [i for i, tone in enumerate(tones["monk_bin"]) if tone == "MST_7_10"]
    for i in dark[30:]:
        tones["monk_bin"][i] = "MST_NONE"
    current, candidate = np.full(n, 0.8), np.full(n, 0.9)
    candidate[dark[:30]] = 0.2
    judgement = judge(paired(current, candidate), tones, waived=frozenset({"monk_bin"}))
    assert by_name(judgement)["monk_bin=MST_7_10"].verdict is GateVerdict.REFUSED


def test_a_scale_that_the_data_do_not_know_is_insufficient_and_says_so() -> None:
    scores = np.full(300, 0.5)
    tones = {scale: values for scale, values in slices(300).items() if scale != "monk_bin"}
    judgement = judge(paired(scores, scores), tones)
    assert list(judgement.reasons) == [f"monk_bin={bin}: no case to compare on" for bin in TONE_GROUPS["monk_bin"]]
    assert judge(paired(scores, scores), tones, waived=frozenset({"monk_bin"})).passed


def test_worse_overall_is_refused() -> None:
    current, candidate = np.full(300, 0.5), np.full(300, 0.5)
    candidate[:3] = 0.4
    judgement = judge(paired(current, candidate), slices(300))
    assert [reason.split(":")[0] for reason in judgement.reasons] == ["overall"]
    assert judge(paired(candidate, current), slices(300)).passed


def test_n_min_is_the_least_n_at_which_no_loss_seen_rules_out_five_points() -> None:
    assert gate.N_MIN == 72
    assert (1 - gate.MOST_LOSS) ** 72 <= 0.025 < (1 - gate.MOST_LOSS) ** 71


@pytest.mark.parametrize("together", [1, 10])
def test_cases_that_belong_together_count_as_one(together: int) -> None:
    n = 1800
    rng = np.random.default_rng(0)
    difference = np.repeat(rng.normal(0, 0.3, n // together), together)
    tone = by_name(
        judge(paired(np.zeros(n), difference, [str(i // together) for i in range(n)]), {"monk_bin": ["MST_1_3"] * n})
    )
    seen = tone["monk_bin=MST_1_3"]
    assert (seen.n, seen.independent) == (n, n // together)
    assert seen.interval is not None
    width = seen.interval[1] - seen.interval[0]
    assert width == pytest.approx(2 * 1.96 * 0.3 / np.sqrt(n / together), rel=0.12)
    assert seen.detectable == pytest.approx((1.96 + 0.8416) * 0.3 / np.sqrt(n / together), rel=0.12)


def test_a_loss_as_large_as_what_is_detectable_is_seen_in_four_of_five() -> None:
    rng = np.random.default_rng(1)
    n, seen = 100, 0
    for _ in range(100):
        truth = rng.normal(0, 0.25, n)
        compared = by_name(judge(paired(np.zeros(n), truth), {"monk_bin": ["MST_1_3"] * n}))["monk_bin=MST_1_3"]
        assert compared.detectable is not None
        assert compared.interval is not None
        seen += compared.interval[1] - compared.detectable < 0
    assert 0.68 < seen / 100 < 0.92


def test_the_best_constant_list_gathers_most_of_these_very_cases() -> None:
    target = np.array([[0.5, 0.3, 0.2, 0.0], [0.0, 0.0, 0.0, 1.0]])
    assert soft_hits(gate.best_constant(target), target, top=3).tolist() == pytest.approx([0.8, 1.0])
