"""A test key's case ends as its test image says, and counts nowhere; a live one is answered as any."""

import ast
import hashlib
from pathlib import Path

import pytest

from dermis.shared.case import OutcomeKind, Received, fact_key, image_key
from dermis.shared.report import Verdict
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.test_images import ABSTENTIONS, FORCED_ENDS, REJECTIONS, ForcedEnd, ForcedKind, drawing
from dermis.worker import answer
from dermis.worker.bootstrap import load_policy
from dermis.worker.core import differential
from dermis.worker.core.quality import Reason
from dermis.worker.facts import read
from tests.unit.worker.test_pipeline import JOB, World, skin, world

WITH_REASON = [end for end in FORCED_ENDS if end.reason]


def world_of(image: bytes, *, livemode: bool) -> World:
    """Return a world whose one case holds an image as the gateway would have received it."""
    outside = world(image)
    key = fact_key(JOB.owner, JOB.case_id, "received")
    received = Received.model_validate_json(outside.store.get(key))
    first = received.images[0].model_copy(update={"sha256": hashlib.sha256(image).hexdigest()})
    received = received.model_copy(update={"images": (first,), "livemode": livemode})
    store = MemoryStore()
    for name in outside.store.list(""):
        store.put_once(name, received.model_dump_json().encode() if name == key else outside.store.get(name))
    outside.store = store
    return outside


@pytest.mark.parametrize("kind", [ForcedKind.DIFFERENTIAL, ForcedKind.SLOW])
def test_a_differential_is_forced(kind: ForcedKind) -> None:
    outside = world_of(drawing(ForcedEnd(kind=kind).name), livemode=False)
    outside.work()
    outcome = read(outside.pipeline(), JOB).outcome
    assert outcome
    assert (outcome.kind, outcome.reason) == (OutcomeKind.DIFFERENTIAL, None)
    assert outcome.differential[0].probability > 0.9
    assert outcome.model
    assert outside.seen == []  # no model was asked


@pytest.mark.parametrize("end", WITH_REASON, ids=lambda end: end.name)
def test_each_abstention_and_rejection_is_forced(end: ForcedEnd) -> None:
    outside = world_of(drawing(end.name), livemode=False)
    outside.work()
    state = read(outside.pipeline(), JOB)
    assert state.outcome
    assert state.assessed
    quality = state.assessed.images[0].quality
    assert state.outcome.kind == end.kind
    if end.kind is ForcedKind.ABSTENTION:
        assert (state.outcome.reason, quality.verdict) == (end.reason, Verdict.USABLE)
    else:
        assert (quality.verdict, quality.reasons) == (Verdict.UNUSABLE, (end.reason,))
        assert state.outcome.advice == quality.advice != ()
        assert state.outcome.reason == ("NOT_SKIN" if end.reason == "NOT_SKIN" else "NO_USABLE_IMAGE")


def test_a_failure_is_forced() -> None:
    outside = world_of(drawing("failed"), livemode=False)
    outside.work()
    state = read(outside.pipeline(), JOB)
    assert state.outcome is None
    assert state.failed
    assert state.failed.reason == "TEST_IMAGE"


def test_a_live_case_of_a_test_image_is_answered_as_any() -> None:
    forced, live = (world_of(drawing("failed"), livemode=livemode) for livemode in (False, True))
    for outside in (forced, live):
        outside.work()
    assert read(forced.pipeline(), JOB).failed
    assert read(live.pipeline(), JOB).outcome


@pytest.mark.parametrize("livemode", [True, False])
def test_test_cases_are_counted_apart(livemode: bool) -> None:
    outside = world_of(skin(0), livemode=livemode)
    outside.work()
    outcome = read(outside.pipeline(), JOB).outcome
    assert outcome
    counted = outside.counted("outcomes_total", kind=outcome.kind, reason=outcome.reason or "")
    apart = outside.counted("test_facts_total", fact="outcome")
    assert (counted, apart) == ((1, 0) if livemode else (0, 1))


def test_a_test_case_keeps_its_image() -> None:
    outside = world_of(drawing("rejection-not-skin"), livemode=False)
    outside.work()
    assert outside.store.get(image_key(JOB.owner, JOB.case_id, 1, "prepared")).startswith(b"\xff\xd8")


def test_every_reason_of_a_rejection_can_be_forced() -> None:
    assert set(REJECTIONS) == set(Reason)
    assert set(load_policy().advice) | {Reason.NOT_SKIN} == set(Reason)


def test_every_reason_of_an_abstention_can_be_forced() -> None:
    """Those that the code names, but that no image was sent."""
    texts = [Path(module.__file__).read_text() for module in (answer, differential)]
    reasons = {
        node.value
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.replace("_", "").isupper()
    } - {"NO_IMAGE", "NO_USABLE_IMAGE", "MODEL_OUTPUT", "CONDITION", "GROUP", "BROAD_GROUP"}
    reasons = {reason for reason in reasons if not reason.startswith("FST")}
    assert reasons == set(ABSTENTIONS)
