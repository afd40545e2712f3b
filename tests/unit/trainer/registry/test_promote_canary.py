"""A running canary becomes current only if confirmed cases do not speak against it."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dermis.shared.bundles import point, read_current, stage
from dermis.shared.errors import ExitCode
from dermis.shared.manifest import Canary, Current
from dermis.shared.ports import BlobStore
from dermis.shared.promotions import PROMOTIONS, GateVerdict, PromotionAction, PromotionFact, Waiver, promotions
from dermis.shared.releases import Arm
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.trainer.cli.models import promote as promote_command
from dermis.trainer.registry.promote import promote, rollback
from dermis.trainer.registry.trial import end_trial
from tests.unit.trainer.registry.test_feedback import BEGAN, add_case, case_ids, id_of
from tests.unit.trainer.registry.test_promote import GOOD, ROOT, add_bundle, evaluate, ref, wish

PERCENT = 50
ANYWAY = Waiver(group="canary", reason="the misses are one clinic's, whose lens was dirty")


def try_out(store: BlobStore, *, cases: int, misses: int) -> None:
    """Make version 2 the canary, as good as 1 by evaluation; of `cases` of each arm it misses `misses`, 1 none."""
    for version in (1, 2, 3):
        add_bundle(store, version)
        evaluate(store, version, hit=GOOD)
    point(store, ref(1))
    canary = Canary(ref=ref(2), percent=PERCENT, promotion=id_of("promotion", BEGAN))
    stage(store, Current(current=ref(1), canary=canary), over=Current(current=ref(1)))
    for n, case_id in enumerate(case_ids(Arm.CANARY, cases, percent=PERCENT)):
        add_case(store, answered_by=2, first="a" if n < misses else "f", case_id=case_id)
    for case_id in case_ids(Arm.CONTROL, cases, percent=PERCENT):
        add_case(store, answered_by=1, first="f", case_id=case_id)


@pytest.mark.parametrize("waivers", [(), (ANYWAY,)])
def test_a_canary_of_a_certain_loss_is_not_promoted_and_no_waiver_helps(waivers: tuple[Waiver, ...]) -> None:
    store = MemoryStore()
    try_out(store, cases=30, misses=20)
    before = read_current(store)
    record = promote(store, wish(2, waivers=waivers), models_root=ROOT)
    assert (record.action, record.data) == (PromotionAction.REFUSED, None)
    assert record.compared_with == "dermis 1, confirmed cases"
    assert any("fitzpatrick_self=FST_V_VI" in why and "no waiver helps" in why for why in record.reasons)
    refused = {each.name for each in record.tones if each.verdict is GateVerdict.REFUSED}
    assert refused == {"fitzpatrick_self=FST_V_VI", "monk_bin=MST_7_10"}
    assert (read_current(store), list(promotions(store))) == (before, [record])


def test_a_loss_that_is_not_certain_takes_a_waiver_with_a_reason() -> None:
    store = MemoryStore()
    try_out(store, cases=240, misses=16)
    record = promote(store, wish(2), models_root=ROOT)
    assert record.action is PromotionAction.REFUSED
    assert all("--waive canary" in why for why in record.reasons)
    record = promote(store, wish(2, waivers=(ANYWAY,)), models_root=ROOT)
    assert (record.action, record.waivers, record.reasons) == (PromotionAction.PROMOTED, (ANYWAY,), ())
    assert read_current(store) == Current(current=ref(2), previous=ref(1))


def test_of_few_cases_the_gate_judges_as_ever_and_the_waiver_waives_nothing() -> None:
    store = MemoryStore()
    try_out(store, cases=5, misses=1)
    record = promote(store, wish(2, waivers=(ANYWAY,)), models_root=ROOT)
    assert record.action is PromotionAction.REFUSED
    assert "the waiver of canary waives nothing" in record.reasons[0]
    record = promote(store, wish(2), models_root=ROOT)
    assert (record.action, record.compared_with) == (PromotionAction.PROMOTED, "dermis 1")


def end(store: BlobStore, *, at: datetime) -> None:
    """End the canary as `dermis promote --end-canary` does, with the records of its start and end at their times."""
    began = PromotionFact(
        id=id_of("promotion", BEGAN),
        at=BEGAN,
        action=PromotionAction.CANARY_STARTED,
        ref=ref(2),
        over=ref(1),
        percent=PERCENT,
    )
    store.put_once(f"{PROMOTIONS}{began.id}.json", began.model_dump_json().encode())
    record = end_trial(store, "canary")
    store.delete(f"{PROMOTIONS}{record.id}.json")
    record = record.model_copy(update={"id": id_of("promotion", at), "at": at})
    store.put_once(f"{PROMOTIONS}{record.id}.json", record.model_dump_json().encode())


def test_a_canary_that_was_ended_is_judged_by_its_confirmed_cases_too() -> None:
    store = MemoryStore()
    try_out(store, cases=30, misses=20)
    end(store, at=BEGAN + timedelta(days=3))
    record = promote(store, wish(2, waivers=(ANYWAY,)), models_root=ROOT)
    assert record.action is PromotionAction.REFUSED
    assert record.compared_with == "dermis 1, confirmed cases"
    assert any("no waiver helps: keep the current version" in why for why in record.reasons)
    assert read_current(store) == Current(current=ref(1))


def test_an_ended_canary_whose_loss_is_not_certain_takes_a_waiver() -> None:
    store = MemoryStore()
    try_out(store, cases=240, misses=16)
    end(store, at=BEGAN + timedelta(days=3))
    assert promote(store, wish(2), models_root=ROOT).action is PromotionAction.REFUSED
    assert promote(store, wish(2, waivers=(ANYWAY,)), models_root=ROOT).action is PromotionAction.PROMOTED


def test_cases_since_a_canary_ended_are_no_part_of_its_trial() -> None:
    store = MemoryStore()
    try_out(store, cases=5, misses=0)
    end(store, at=BEGAN + timedelta(days=3))
    for case_id in case_ids(Arm.CONTROL, 60, percent=PERCENT, at=BEGAN + timedelta(days=4)):
        add_case(store, answered_by=1, first="f", case_id=case_id)
    for case_id in case_ids(Arm.CANARY, 60, percent=PERCENT, at=BEGAN + timedelta(days=4)):
        add_case(store, answered_by=2, first="a", case_id=case_id)  # of another trial
    assert promote(store, wish(2), models_root=ROOT).action is PromotionAction.PROMOTED


def test_a_trial_beside_another_version_than_the_current_one_says_nothing_of_it() -> None:
    store = MemoryStore()
    try_out(store, cases=30, misses=20)
    end(store, at=BEGAN + timedelta(days=3))
    assert promote(store, wish(3), models_root=ROOT).action is PromotionAction.PROMOTED
    record = promote(store, wish(2), models_root=ROOT)
    assert (record.action, record.compared_with) == (PromotionAction.PROMOTED, "dermis 3")


def test_a_promotion_that_went_back_ended_the_canary_as_well() -> None:
    store = MemoryStore()
    try_out(store, cases=30, misses=20)
    began = PromotionFact(
        id=id_of("promotion", BEGAN),
        at=BEGAN,
        action=PromotionAction.CANARY_STARTED,
        ref=ref(2),
        over=ref(1),
        percent=PERCENT,
    )
    store.put_once(f"{PROMOTIONS}{began.id}.json", began.model_dump_json().encode())
    promote(store, wish(3), models_root=ROOT)
    rollback(store, models_root=ROOT)
    assert promote(store, wish(2), models_root=ROOT).compared_with == "dermis 1, confirmed cases"


def test_another_version_than_the_canary_is_judged_by_its_evaluation_alone() -> None:
    store = MemoryStore()
    try_out(store, cases=30, misses=20)
    assert promote(store, wish(3), models_root=ROOT).action is PromotionAction.PROMOTED


def test_the_command_says_which_cases_speak_against_the_canary(tmp_path: Path) -> None:
    store = DiskStore(tmp_path / "store")
    try_out(store, cases=12, misses=12)
    answer = CliRunner().invoke(
        promote_command, ["2", "--store", (tmp_path / "store").as_uri()], catch_exceptions=False
    )
    assert answer.exit_code == ExitCode.REFUSED, answer.output
    assert "dermis 2 against dermis 1, confirmed cases, soft top-3\n" in answer.output
    assert "because fitzpatrick_self=FST_V_VI: -1.000" in answer.output
    assert read_current(store).current == ref(1)
