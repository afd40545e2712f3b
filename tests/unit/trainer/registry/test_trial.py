"""Shadows and canaries: what starts them, what is refused, what ends them, and the options of `dermis promote`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from dermis.shared.bundles import point, read_current
from dermis.shared.errors import DermisError, ExitCode
from dermis.shared.manifest import Current
from dermis.shared.promotions import GateVerdict, PromotionAction, Waiver, promotions
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.trainer.cli.models import promote as promote_command
from dermis.trainer.registry.promote import promote
from dermis.trainer.registry.trial import end_trial, start_canary, start_shadow
from tests.unit.trainer.registry.test_promote import GOOD, ROOT, SLICES, N, add_bundle, evaluate, ref, wish

UNJUDGED = Waiver(group="evaluation", reason="no labelled cases of this clinic yet")


def fill(store: Any) -> Any:
    """Put versions 1, 2 and 3; 1 is current, 1 and 2 are evaluated and as good."""
    for version in (1, 2, 3):
        add_bundle(store, version)
    point(store, ref(1))
    for version in (1, 2):
        evaluate(store, version, hit=GOOD)
    return store


@pytest.fixture
def store() -> MemoryStore:
    return fill(MemoryStore())  # type: ignore[no-any-return]


def canary(store: Any, version: int = 2, *, percent: int = 10, **more: Any) -> Any:
    return start_canary(store, wish(version, **more), percent=percent, models_root=ROOT)


def served(store: Any) -> str:
    return str(store.get("models/models.config").decode())


def test_a_shadow_and_a_canary_stand_beside_the_current_version_and_are_served(store: MemoryStore) -> None:
    record = start_shadow(store, wish(3), models_root=ROOT)
    assert (record.action, record.over) == (PromotionAction.SHADOW_STARTED, ref(1))
    record = canary(store)
    assert (record.action, record.percent, record.compared_with) == (PromotionAction.CANARY_STARTED, 10, "dermis 1")
    pointer = read_current(store)
    assert (pointer.current, pointer.shadow) == (ref(1), ref(3))
    assert pointer.canary is not None
    assert (pointer.canary.ref, pointer.canary.percent, pointer.canary.promotion) == (ref(2), 10, record.id)
    assert [f"versions: {n}" in served(store) for n in (1, 2, 3)] == [True, True, True]


def test_a_version_has_one_role(store: MemoryStore) -> None:
    start_shadow(store, wish(2), models_root=ROOT)
    canary(store)
    pointer = read_current(store)
    assert (pointer.shadow, pointer.canary and pointer.canary.ref) == (None, ref(2))
    start_shadow(store, wish(2), models_root=ROOT)
    assert read_current(store) == Current(current=ref(1), shadow=ref(2))


def test_the_current_version_is_not_tried_beside_itself(store: MemoryStore) -> None:
    for start in (lambda: start_shadow(store, wish(1), models_root=ROOT), lambda: canary(store, 1)):
        with pytest.raises(DermisError, match="is current already"):
            start()
    assert list(promotions(store)) == []


def test_a_bundle_that_is_not_whole_becomes_neither(store: MemoryStore) -> None:
    store.delete("models/dermis/2/saved_model.pb")
    for record in (start_shadow(store, wish(2), models_root=ROOT), canary(store)):
        assert record.action is PromotionAction.REFUSED
        assert "saved_model.pb is missing" in record.reasons[0]
    assert read_current(store) == Current(current=ref(1))


def test_what_the_gate_refuses_becomes_no_canary_and_few_cases_are_no_hindrance(store: MemoryStore) -> None:
    few = {**SLICES, "monk_bin": tuple("NOT_GIVEN" for _ in SLICES["monk_bin"])}
    evaluate(store, 3, hit=GOOD, slices=few)
    record = canary(store, 3)
    assert record.action is PromotionAction.CANARY_STARTED
    assert GateVerdict.INSUFFICIENT in {each.verdict for each in record.tones}
    add_bundle(store, 4)
    evaluate(store, 4, hit=GOOD & (np.arange(N) % 3 != 0))
    before = read_current(store)
    record = canary(store, 4)
    assert record.action is PromotionAction.REFUSED
    assert any(reason.startswith("overall:") for reason in record.reasons)
    assert read_current(store) == before


def test_a_canary_without_evaluations_takes_a_waiver(store: MemoryStore) -> None:
    record = canary(store, 3)
    assert record.action is PromotionAction.REFUSED
    assert "--waive evaluation" in record.reasons[0]
    record = canary(store, 3, waivers=(UNJUDGED,))
    assert (record.action, record.waivers, record.overall) == (PromotionAction.CANARY_STARTED, (UNJUDGED,), None)


def test_a_demo_becomes_no_canary_of_a_release_unless_told_to(store: MemoryStore) -> None:
    add_bundle(store, 5, purpose="demo")
    assert canary(store, 5, waivers=(UNJUDGED,)).action is PromotionAction.REFUSED
    assert canary(store, 5, waivers=(UNJUDGED,), lower_purpose=True).action is PromotionAction.CANARY_STARTED


def test_an_end_is_recorded_and_leaves_the_other_trial(store: MemoryStore) -> None:
    start_shadow(store, wish(3), models_root=ROOT)
    canary(store, percent=25)
    record = end_trial(store, "canary", reasons=("it is Friday",))
    assert (record.action, record.ref, record.percent) == (PromotionAction.CANARY_ENDED, ref(2), 25)
    assert read_current(store) == Current(current=ref(1), shadow=ref(3))
    assert end_trial(store, "shadow").action is PromotionAction.SHADOW_ENDED
    assert read_current(store) == Current(current=ref(1))
    with pytest.raises(DermisError, match="no version is a shadow"):
        end_trial(store, "shadow")
    assert [each.action for each in promotions(store)][-2:] == [
        PromotionAction.CANARY_ENDED,
        PromotionAction.SHADOW_ENDED,
    ]


def test_a_promotion_ends_the_canary_and_keeps_the_shadow_of_another_version(store: MemoryStore) -> None:
    start_shadow(store, wish(3), models_root=ROOT)
    canary(store)
    assert promote(store, wish(2), models_root=ROOT).action is PromotionAction.PROMOTED
    assert read_current(store).canary is None


class TestOptions:
    """`dermis promote` with what it may be given, over a store on disk."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> DiskStore:
        return fill(DiskStore(tmp_path / "store"))  # type: ignore[no-any-return]

    def run(self, disk: DiskStore, *arguments: str) -> Result:
        where = ("--store", disk._root.as_uri())
        return CliRunner().invoke(promote_command, [*arguments, *where], catch_exceptions=False)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("2", "--canary", "0"), "1<=x<=50"),
            (("2", "--canary", "51"), "1<=x<=50"),
            (("2", "--canary", "-10"), "1<=x<=50"),
            (("2", "--canary", "ten"), "'ten' is not a valid integer"),
            (("2", "--canary", "10.5"), "is not a valid integer"),
            (("2", "--shadow", "--canary", "10"), "name one of them"),
            (("2", "--shadow", "--end-canary"), "name one of them"),
            (("2", "--end-canary"), "names no VERSION"),
            (("2", "--end-shadow"), "names no VERSION"),
            ((), "name a VERSION"),
            (("--canary", "10"), "name a VERSION"),
            (("--shadow",), "name a VERSION"),
        ],
    )
    def test_what_can_not_be_meant_is_refused_and_changes_nothing(
        self, disk: DiskStore, arguments: tuple[str, ...], says: str
    ) -> None:
        result = self.run(disk, *arguments)
        assert (result.exit_code, says in result.output) == (ExitCode.USAGE, True), result.output
        assert read_current(disk) == Current(current=ref(1))
        assert list(promotions(disk)) == []

    @pytest.mark.parametrize("percent", [1, 50])
    def test_a_canary_is_started_and_ended(self, disk: DiskStore, percent: int) -> None:
        result = self.run(disk, "2", "--canary", str(percent), "--json")
        assert (result.exit_code, json.loads(result.output)["percent"]) == (0, percent)
        pointer = read_current(disk)
        assert pointer.canary is not None
        assert pointer.canary.percent == percent
        assert self.run(disk, "--end-canary").exit_code == 0
        assert read_current(disk) == Current(current=ref(1))

    def test_a_shadow_is_started_and_ended(self, disk: DiskStore) -> None:
        assert self.run(disk, "3", "--shadow").exit_code == 0
        assert read_current(disk).shadow == ref(3)
        assert self.run(disk, "--end-shadow").exit_code == 0
        assert read_current(disk) == Current(current=ref(1))

    def test_a_refusal_has_an_exit_code_of_its_own(self, disk: DiskStore) -> None:
        result = self.run(disk, "3", "--canary", "10")
        assert result.exit_code == ExitCode.REFUSED
        assert "--waive evaluation" in result.output
        waived = self.run(disk, "3", "--canary", "10", "--waive", "evaluation", "--reason", "none are labelled")
        assert waived.exit_code == 0
