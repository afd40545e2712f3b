"""An operator sees what would be erased, and confirms the clock."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from click.testing import CliRunner

from dermis.shared.case import Consent
from dermis.shared.erasing import RetentionMark, retention_key
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.disk_layout import path_of
from dermis.sweep.bootstrap import Sweep
from dermis.sweep.commands import sweep
from tests.unit.sweep.test_bootstrap import Queue, settings
from tests.unit.sweep.test_retention import id_at


def run(*words: str, store: Path) -> str:
    result = CliRunner().invoke(sweep, [*words, "--store", store.as_uri()], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_sweep_a_month_ahead_erases_only_what_an_operator_confirms(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    case_id = id_at(datetime.now(UTC), "case")
    mark = retention_key(Consent.ASSESS_ONLY, case_id)
    store.put_once(mark, RetentionMark(owner="public").model_dump_json().encode())
    sweeper, ahead = Sweep(store, Queue(), settings()), datetime.now(UTC) + timedelta(days=31)
    sweeper.look(ahead)
    assert mark in set(store.list("retention/"))
    assert "nothing is erased by its time now: the sweep's clock is 31 days" in run("due", store=tmp_path)
    assert "confirmed" in run("confirm", store=tmp_path)
    sweeper.look(ahead)
    assert mark not in set(store.list("retention/"))
    assert "nothing to confirm" in run("confirm", store=tmp_path)


def test_what_is_due_is_listed_and_stays(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    mark = retention_key(Consent.ASSESS_ONLY, id_at(datetime.now(UTC) - timedelta(days=31), "case"))
    store.put_once(mark, RetentionMark(owner="public").model_dump_json().encode())
    assert "0 are due" in run("due", store=tmp_path), "it was put a moment ago"
    old = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    os.utime(path_of(tmp_path, mark), (old, old))
    assert mark.rpartition("/")[2] in run("due", store=tmp_path)
    assert mark in set(store.list("retention/"))
