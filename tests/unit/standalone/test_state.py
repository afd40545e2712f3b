"""The state folder and the defaults that follow from it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dermis.shared.errors import DermisError
from dermis.standalone.cli import main
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import Running, find_running, hold

RUNNING = Running(pid=1, url="http://127.0.0.1:1", broker_url="redis://127.0.0.1:2/0")


def test_one_at_a_time_holds_a_folder_and_says_where_it_runs(tmp_path: Path) -> None:
    state = tmp_path / "a" / "b"
    assert find_running(state) is None
    with hold(state, RUNNING):
        assert find_running(state) == RUNNING
        with pytest.raises(DermisError, match="another dermis uses"), hold(state, RUNNING):
            pass
    assert find_running(state) is None
    with hold(state, RUNNING.model_copy(update={"pid": 22})):
        assert find_running(state) == RUNNING.model_copy(update={"pid": 22})


def test_a_killed_holder_holds_no_more(tmp_path: Path) -> None:
    code = (
        "from dermis.standalone.state import *; import sys, time, pathlib; c = hold(pathlib.Path(sys.argv[1]), "
        "Running(pid=1, url='', broker_url=''));"
    )
    code += "c.__enter__(); print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert find_running(tmp_path)
        holder.kill()
    assert find_running(tmp_path) is None
    with hold(tmp_path, RUNNING):
        pass


def test_images_of_people_are_not_for_other_users(tmp_path: Path) -> None:
    with hold(tmp_path / "state", RUNNING):
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", [("doctor",), ("keys", "create", "--name", "x"), ("init",)])
def test_whoever_comes_first_makes_it_for_its_owner_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    CliRunner(env={"DERMIS_STANDALONE_STATE": str(tmp_path / "state")}).invoke(main, command)
    assert (tmp_path / "state" / "store").is_dir()
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for state in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(DermisError, match="name another one with --state") as refused, hold(state, RUNNING):
            pass
        assert not refused.value.retryable, "a file stays one, however often it is tried"


def test_the_store_is_in_the_state_folder_unless_it_is_named() -> None:
    settings = load_standalone({"HOME": "/home/a b"})
    assert (str(settings.state), settings.store_url) == (
        "/home/a b/.local/share/dermis",
        "file:///home/a%20b/.local/share/dermis/store",
    )
    assert load_standalone({"XDG_DATA_HOME": "/data"}).store_url == "file:///data/dermis/store"
    assert load_standalone({"DERMIS_STANDALONE_STATE": "/s"}).store_url == "file:///s/store"
    assert load_standalone({"DERMIS_STORE_URL": "gs://bucket/x", "HOME": "/h"}).store_url == "gs://bucket/x"
    assert load_standalone({"DERMIS_STANDALONE_STATE": "rel"}).state == Path.cwd() / "rel"


def test_an_unknown_variable_is_refused_with_the_near_one() -> None:
    with pytest.raises(DermisError, match="did you mean DERMIS_STANDALONE_STATE"):
        load_standalone({"HOME": "/h", "DERMIS_STANDALONE_STAT": "/s"})
