"""A version on trial: its share of the cases, what it answers, and that no case waits or fails for it."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.case import Consent, Erased, Outcome, Received, case_key, fact_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.manifest import CURRENT_KEY, MANIFEST_FILE, Canary, Current, Manifest, VersionRef
from dermis.shared.releases import Arm, ReleaseAnswer, release_prefix, shadow_key, tally
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import MonkSkinTone
from dermis.worker.adapters import models as adapter
from dermis.worker.adapters.models import StoreModels
from dermis.worker.core.release import arm_of
from dermis.worker.facts import now, read
from dermis.worker.ports import Candidates, Inputs, Outputs
from tests.unit.worker.test_pipeline import JOB, MANIFEST, World, skin, world

CANARY = MANIFEST.model_copy(update={"version": 8, "conditions": MANIFEST.conditions[::-1]})
PROMOTION = "promotion_01m82nmrzdescb95c4e8msawzy"
FAULTS = (
    DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "away"),
    DermisError(Kind.INTERNAL, "SERVING_OUTPUT", "another shape"),
    ValueError("a bug"),
)


@dataclass
class Trial:
    """A classifier of candidates that knows which versions it was asked for."""

    world: World
    faults: list[Exception] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def predict(self, manifest: Manifest, inputs: Inputs) -> Outputs:
        self.asked.append(manifest.version)
        if self.faults:
            raise self.faults.pop(0)
        return self.world.predict(manifest, inputs)

    def answer_weights(self, manifest: Manifest, columns: int) -> Any:
        return self.world.answer_weights(manifest, columns)


def versions_asked(tried: World) -> list[int]:
    assert isinstance(tried.candidate_classifier, Trial)
    return tried.candidate_classifier.asked


def on_trial(staged: Candidates, *faults: Exception, consent: Consent = Consent.KEEP_FOR_IMPROVEMENT) -> World:
    tried = world(skin())
    key = fact_key(JOB.owner, JOB.case_id, "received")
    received = Received.model_validate_json(tried.store.get(key)).model_copy(update={"consent": consent})
    tried.store.delete(key)
    tried.store.put_once(key, received.model_dump_json().encode())
    tried.staged, tried.candidate_classifier = staged, Trial(tried, list(faults))
    return tried


def canary_of(arm: Arm) -> Candidates:
    """Return a canary of which the case of these tests is in that arm."""
    percent = next(percent for percent in range(1, 51) if arm_of(JOB.case_id, percent) is arm)
    return Candidates(canary=CANARY, percent=percent, promotion=PROMOTION)


def outcome_of(tried: World) -> Outcome:
    outcome = read(tried.pipeline(), JOB).outcome
    assert outcome is not None
    return outcome


def marks(tried: World) -> dict[tuple[Arm, ReleaseAnswer], int]:
    return dict(tally(tried.store.list(release_prefix(PROMOTION))))


@given(st.integers(1, 50), st.integers(0, 2**32))
def test_a_case_stays_where_it_falls_and_a_larger_share_keeps_it(percent: int, seed: int) -> None:
    case_id = f"case_{seed}"
    arm = arm_of(case_id, percent)
    assert arm is arm_of(case_id, percent)
    if arm is Arm.CANARY:
        assert {arm_of(case_id, more) for more in range(percent, 51)} == {Arm.CANARY}
    if percent == 50:
        assert arm is not None


@pytest.mark.parametrize("percent", [1, 10, 33, 50])
def test_each_arm_gets_its_share_of_ids_made_one_after_the_other(percent: int) -> None:
    n = 20_000
    arms = [arm_of(new_id("case"), percent) for _ in range(n)]
    for arm in Arm:
        share = arms.count(arm) / n
        assert abs(share - percent / 100) < 5 * np.sqrt(percent / 100 * (1 - percent / 100) / n)


def test_no_case_falls_to_a_canary_of_no_percent() -> None:
    assert {arm_of(new_id("case"), 0) for _ in range(100)} == {None}


def test_a_canary_answers_wholly() -> None:
    tried = on_trial(canary_of(Arm.CANARY))
    tried.work()
    outcome = outcome_of(tried)
    assert (outcome.model and outcome.model.version, outcome.differential[0].condition) == (8, "urticaria")
    assert [key for key in tried.store.list(case_key(JOB.owner, JOB.case_id)) if "/heatmaps/dermis-8-" in key]
    assert marks(tried) == {(Arm.CANARY, ReleaseAnswer.ANSWERED): 1}
    assert tried.counted("version_answers_total", version="dermis/8", role="canary", answer="ANSWERED") == 1
    assert tried.counted("version_answers_total", version="dermis/7", role="current", answer="ANSWERED") == 0


def test_a_case_of_the_control_arm_is_the_current_versions_and_counts() -> None:
    tried = on_trial(canary_of(Arm.CONTROL))
    tried.work()
    model = outcome_of(tried).model
    assert (model and model.version, versions_asked(tried)) == (7, [])
    assert marks(tried) == {(Arm.CONTROL, ReleaseAnswer.ANSWERED): 1}


@pytest.mark.parametrize("fault", FAULTS)
def test_where_the_canary_fails_the_current_version_answers(fault: Exception) -> None:
    tried = on_trial(canary_of(Arm.CANARY), fault)
    tried.work()
    model = outcome_of(tried).model
    assert (model and model.version) == 7
    assert marks(tried) == {(Arm.CANARY, ReleaseAnswer.FAILED): 1}
    assert tried.counted("version_answers_total", version="dermis/8", role="canary", answer="FAILED") == 1


@pytest.mark.parametrize("arm", Arm)
def test_a_canary_that_serving_never_loads_leaves_its_share_to_the_current_version(arm: Arm) -> None:
    tried = on_trial(unloaded(percent=canary_of(arm).percent))
    tried.work()
    model = outcome_of(tried).model
    assert (model and model.version, versions_asked(tried)) == (7, [])
    assert marks(tried) == {}, "no mark of either arm: the two would not be compared on equal terms"


def unloaded(*, percent: int) -> Candidates:
    """Return what a worker follows where the pointer names a canary that serving does not have."""
    store = MemoryStore()
    for manifest in (MANIFEST, CANARY):
        store.put_once(f"{manifest.key}/{MANIFEST_FILE}", manifest.model_dump_json().encode())
    canary = Canary(ref=VersionRef(name="dermis", version=8), percent=percent, promotion=PROMOTION)
    pointer = Current(current=VersionRef(name="dermis", version=7), canary=canary)
    store.put_once(CURRENT_KEY, pointer.model_dump_json().encode())
    return StoreModels(store, lambda ref: ref.version == 7).candidates()


def test_a_canary_with_an_unknown_schema_costs_no_case() -> None:
    staged = canary_of(Arm.CANARY)
    tried = on_trial(
        Candidates(
            canary=CANARY.model_copy(update={"feature_schema": "sha256:other"}),
            percent=staged.percent,
            promotion=PROMOTION,
        )
    )
    tried.work()
    model = outcome_of(tried).model
    assert (model and model.version) == 7


def test_a_mark_leads_to_no_case_and_a_store_that_refuses_it_costs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = on_trial(canary_of(Arm.CANARY))
    tried.work()
    (key,) = tried.store.list(release_prefix(PROMOTION))
    assert key.endswith(hashlib.sha256(JOB.case_id.encode()).hexdigest()[:32])
    assert JOB.case_id not in key
    tried = on_trial(canary_of(Arm.CANARY))
    put = tried.store.put_once

    def full(key: str, data: bytes, *, reserved: bool = False) -> bool:
        if key.startswith("releases/"):
            raise DermisError(Kind.FULL, "STORE_FULL", "no space")
        return put(key, data, reserved=reserved)

    monkeypatch.setattr(tried.store, "put_once", full)
    tried.work()
    assert (outcome_of(tried).model, list(tried.store.list("open/"))) == (outcome_of(tried).model, [])
    assert marks(tried) == {}


SHADOW = Candidates(shadow=CANARY)
SHADOW_KEY = shadow_key(JOB.owner, JOB.case_id, "dermis", 8)


def shadows(tried: World) -> list[str]:
    return [key for key in tried.store.list(f"{case_key(JOB.owner, JOB.case_id)}/") if "/shadow/" in key]


def test_a_shadow_answers_after_the_outcome_and_is_announced_to_nobody() -> None:
    tried = on_trial(SHADOW)
    tried.work()
    outcome, beside = outcome_of(tried), Outcome.model_validate_json(tried.store.get(SHADOW_KEY))
    assert (outcome.model and outcome.model.version, outcome.differential[0].condition) == (7, "eczema")
    assert (beside.model and beside.model.version, beside.differential[0].condition) == (8, "urticaria")
    assert (beside.case_id, beside.finished_at >= outcome.finished_at) == (JOB.case_id, True)
    assert tried.announced == ["assessed", "outcome"]
    assert tried.counted("version_answers_total", version="dermis/8", role="shadow", answer="ANSWERED") == 1


@pytest.mark.parametrize(("version", "agrees"), [(MANIFEST, "true"), (CANARY, "false")])
def test_whether_a_shadow_agrees_is_counted_by_the_stated_tone(version: Manifest, agrees: str) -> None:
    """The candidate names the conditions in the other order, so that it has another one first."""
    tried = on_trial(Candidates(shadow=version.model_copy(update={"version": 8})))
    key = fact_key(JOB.owner, JOB.case_id, "received")
    received = Received.model_validate_json(tried.store.get(key))
    report = received.self_report.model_copy(update={"monk_skin_tone": tuple(MonkSkinTone)[8]})
    tried.store.delete(key)
    tried.store.put_once(key, received.model_copy(update={"self_report": report}).model_dump_json().encode())
    tried.work()
    assert tried.counted("shadow_compared_total", version="dermis/8", agrees=agrees, tone="MST_7_10") == 1
    for role, number in (("current", 7), ("shadow", 8)):
        labels = {"version": f"dermis/{number}", "role": role, "answer": "ANSWERED", "tone": "MST_7_10"}
        assert tried.counted("version_answers_by_tone_total", **labels) == 1


@pytest.mark.parametrize("fault", [*FAULTS, SoftTimeLimitExceeded()])
def test_a_shadow_that_fails_changes_nothing_of_the_case(fault: Exception) -> None:
    tried = on_trial(SHADOW, fault)
    tried.work()
    assert (shadows(tried), list(tried.store.list("open/"))) == ([], [])
    assert tried.announced == ["assessed", "outcome"]
    assert tried.counted("version_answers_total", version="dermis/8", role="shadow", answer="FAILED") == 1


def test_a_shadow_is_dropped_while_others_wait() -> None:
    tried = on_trial(SHADOW)
    tried.idle = lambda: False
    tried.work()
    assert (shadows(tried), versions_asked(tried)) == ([], [])
    assert tried.counted("version_answers_total", version="dermis/8", role="shadow", answer="DROPPED") == 1


def test_nobody_who_agreed_to_an_assessment_alone_is_shown_to_a_shadow() -> None:
    tried = on_trial(SHADOW, consent=Consent.ASSESS_ONLY)
    tried.work()
    assert (shadows(tried), versions_asked(tried)) == ([], [])


def test_a_shadow_beside_an_erasure_leaves_nothing() -> None:
    """The tombstone comes while the shadow computes, after the case was closed and cleared."""
    tried = on_trial(SHADOW)

    class Erasing(Trial):
        def predict(self, manifest: Manifest, inputs: Inputs) -> Outputs:
            key = fact_key(JOB.owner, JOB.case_id, "erased")
            tried.store.put_once(key, Erased(case_id=JOB.case_id, erased_at=now()).model_dump_json().encode())
            return super().predict(manifest, inputs)

    tried.candidate_classifier = Erasing(tried)
    tried.work()
    assert versions_asked(tried) == [8]
    assert shadows(tried) == []


def test_candidates_are_followed_once_serving_has_them_and_cost_no_look_at_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "_LOOK_EVERY_S", 0.0)
    store, ready = MemoryStore(), {7}
    for manifest in (MANIFEST, CANARY):
        store.put_once(f"{manifest.key}/{MANIFEST_FILE}", manifest.model_dump_json().encode())
    ref = VersionRef(name="dermis", version=8)
    pointer = Current(
        current=VersionRef(name="dermis", version=7),
        shadow=VersionRef(name="dermis", version=9),
        canary=Canary(ref=ref, percent=10, promotion=PROMOTION),
    )
    store.put_once(CURRENT_KEY, pointer.model_dump_json().encode())
    models = StoreModels(store, lambda ref: ref.version in ready)
    assert models.pinned() == MANIFEST
    assert models.candidates().canary is None
    ready |= {8, 9}  # of the shadow there is no bundle
    assert models.candidates() == Candidates(canary=CANARY, percent=10, promotion=PROMOTION)
    standing = store.get_versioned(CURRENT_KEY)
    store.replace(
        CURRENT_KEY, Current(current=pointer.current).model_dump_json().encode(), generation=standing.generation
    )
    assert models.candidates() == Candidates()
