"""A clock that is far from the store's, or that jumped, erases nothing until it agrees again or is confirmed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.sweep.clock import CONFIRMED_KEY, DOUBT_KEY, READINGS, Clock, confirm, uptime
from dermis.sweep.core.clock import FAR, JUMP, Reading, doubt_about

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=31)


class World:
    """A true time that passes, a system clock and a store's clock that may be off it, and starts of the machine."""

    def __init__(self) -> None:
        self.true, self.own_off, self.store_off = NOW, timedelta(0), timedelta(0)
        self.boot, self.booted = "1", NOW - timedelta(days=1)
        self.store = MemoryStore(lambda: self.true + self.store_off)
        self.restart()

    def restart(self) -> None:
        self.clock = Clock(self.store, up=lambda: (self.boot, (self.true - self.booted).total_seconds()))

    def look(self, after: timedelta = timedelta(seconds=30)) -> bool:
        """Return whether the clock is in doubt."""
        self.true += after
        return self.clock.look(self.true + self.own_off)[1] is not None


@pytest.fixture
def world() -> World:
    world = World()
    assert not world.look()
    return world


def test_a_right_clock_is_never_in_doubt(world: World) -> None:
    for hours in (0.01, 1, 30, 24 * 40):
        assert not world.look(timedelta(hours=hours))
    assert len(list(world.store.list(READINGS))) == 1


@pytest.mark.parametrize("off", [MONTH, -MONTH, FAR * 2])
def test_a_sweep_whose_clock_alone_is_off_is_in_doubt_until_it_agrees(world: World, off: timedelta) -> None:
    world.own_off = off
    assert world.look()
    world.restart()
    assert world.look(), "a sweep that is started anew knows no better"
    world.own_off = timedelta(0)
    assert not world.look()
    assert list(world.store.list("sweep/")) == list(world.store.list(READINGS))


def test_a_reading_that_can_not_be_read_is_none_and_a_doubt_that_can_not_be_stands(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    for key in (f"{READINGS}circle", f"{READINGS}zeros"):
        store.put_once(key, b"")
    (tmp_path / READINGS / "circle").unlink()
    (tmp_path / READINGS / "circle").symlink_to("circle")
    assert Clock(store).look(datetime.now(UTC))[1] is None
    (tmp_path / DOUBT_KEY).symlink_to(Path(DOUBT_KEY).name)
    doubt = Clock(store).look(datetime.now(UTC))[1]
    assert doubt is not None
    assert doubt.until_confirmed


def off_from_its_first_look(world: World) -> None:
    world.store.delete(next(iter(world.store.list(READINGS))))
    world.restart()


def test_so_is_one_that_is_off_from_its_first_look_on(world: World) -> None:
    off_from_its_first_look(world)
    world.own_off = MONTH
    assert world.look()


def test_a_system_whose_clock_jumps_ahead_is_in_doubt_over_restarts_until_it_comes_back(world: World) -> None:
    world.own_off = world.store_off = MONTH
    assert world.look()
    world.restart()
    assert world.look()
    world.own_off = world.store_off = timedelta(0)
    assert not world.look()


def test_one_that_jumped_back_is_so_until_confirmed_as_ids_were_made_meanwhile_that_look_old(world: World) -> None:
    world.own_off = world.store_off = -MONTH
    assert world.look()
    world.own_off = world.store_off = timedelta(0)
    assert world.look()
    confirm(world.store)
    assert not world.look()
    assert not world.look(timedelta(days=2))


@pytest.mark.parametrize(
    "set_off",
    [
        lambda world: setattr(world, "own_off", MONTH),
        lambda world: world.__dict__.update(own_off=MONTH, store_off=MONTH),
    ],
)
def test_what_is_confirmed_is_trusted_from_then_on(world: World, set_off: Callable[[World], None]) -> None:
    set_off(world)
    assert world.look()
    confirm(world.store)
    for days in (0, 1, 10):
        assert not world.look(timedelta(days=days))
    assert {DOUBT_KEY, CONFIRMED_KEY} & set(world.store.list("sweep/")) == set()


def test_a_confirmation_is_of_the_doubt_that_it_was_given_for(world: World) -> None:
    confirm(world.store)
    world.own_off = MONTH
    assert world.look()
    assert world.look()


def test_a_machine_that_was_off_for_a_month_is_no_jump(world: World) -> None:
    world.true += MONTH
    world.boot, world.booted = "2", world.true
    world.restart()
    assert not world.look()


def test_one_that_starts_before_its_last_look_is(world: World) -> None:
    world.true += timedelta(days=1)
    world.boot, world.booted, world.own_off, world.store_off = "2", world.true, -MONTH, -MONTH
    world.restart()
    assert world.look()


def test_this_machine_says_how_old_its_start_is() -> None:
    boot, seconds = uptime()
    assert boot
    assert 0 <= uptime()[1] - seconds < 60


@given(st.timedeltas(-MONTH, MONTH), st.timedeltas(timedelta(0), MONTH))
def test_a_clock_is_in_doubt_where_it_is_far_off_and_nowhere_else(off: timedelta, passed: timedelta) -> None:
    trusted = Reading(at=NOW, store_at=NOW, boot="1", uptime_s=0)
    own = Reading(at=NOW + passed + off, store_at=NOW + passed, boot="1", uptime_s=passed.total_seconds())
    both = own.model_copy(update={"store_at": own.at})
    assert (doubt_about(own, trusted) is not None) == (abs(off) > FAR)
    assert (doubt_about(both, trusted) is not None) == (abs(off) > JUMP)
