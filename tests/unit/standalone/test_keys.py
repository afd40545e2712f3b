"""`dermis keys`"""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.shared.api_keys import id_of, matches, read_key
from dermis.shared.stores.disk import DiskStore
from dermis.standalone import cli


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path)


def keys(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["keys", *arguments, "--store", tmp_path.as_uri()])


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path, store: DiskStore) -> None:
    token = keys(tmp_path, "create", "--name", "clinic app").stdout.strip()
    key_id, _, secret = token.partition(".")
    kept = b"".join(store.get(name) for name in store.list(""))
    key = read_key(store, key_id)
    assert key
    assert (matches(key, token), matches(key, token + "x"), matches(key, key_id), id_of(token)) == (
        True,
        False,
        False,
        key_id,
    )
    assert len(secret) >= 43
    assert secret.encode() not in kept
    assert key.owner == key_id
    listed = keys(tmp_path, "list", "--json").stdout
    assert secret not in listed
    assert key.secret_sha256 not in listed
    assert json.loads(listed)[0]["scopes"] == ["cases:read", "cases:write", "models:read"]


def test_scopes_are_chosen_and_a_key_replaces_another(tmp_path: Path, store: DiskStore) -> None:
    first = keys(tmp_path, "create", "--name", "a", "--scope", "models:read").stdout.partition(".")[0]
    second = keys(tmp_path, "create", "--name", "b", "--replaces", first).stdout.partition(".")[0]
    third = keys(tmp_path, "create", "--name", "c", "--replaces", second).stdout.partition(".")[0]
    known = [read_key(store, key_id) for key_id in (first, second, third)]
    assert {key and key.owner for key in known} == {first}
    assert known[0]
    assert known[0].scopes == ("models:read",)
    assert keys(tmp_path, "create", "--name", "d", "--scope", "everything").exit_code == 2


def test_a_publishable_key_creates_alone(tmp_path: Path, store: DiskStore) -> None:
    key_id = keys(tmp_path, "create", "--name", "phones", "--publishable").stdout.partition(".")[0]
    key = read_key(store, key_id)
    assert key is not None
    assert key.scopes == ("cases:create",)
    assert key.rights == {"cases:create"}
    both = keys(tmp_path, "create", "--name", "phones", "--publishable", "--scope", "admin")
    assert both.exit_code != 0
    assert "one or the other" in both.output


def test_a_key_is_revoked_for_good_and_stays_in_the_list(tmp_path: Path) -> None:
    key_id = keys(tmp_path, "create", "--name", "a").stdout.partition(".")[0]
    for _ in range(2):
        assert keys(tmp_path, "revoke", key_id).exit_code == 0
    (row,) = json.loads(keys(tmp_path, "list", "--json").stdout)
    assert (row["key_id"], bool(row["revoked_at"])) == (key_id, True)
    assert f"{key_id}  revoked" in keys(tmp_path, "list").stdout


def test_a_broken_key_is_told_of_and_revoked_and_the_others_are_listed(tmp_path: Path, store: DiskStore) -> None:
    broken, whole = (keys(tmp_path, "create", "--name", "a").stdout.partition(".")[0] for _ in range(2))
    store.delete(f"keys/{broken}")
    store.put_once(f"keys/{broken}", b"{broken")
    listed = keys(tmp_path, "list", "--json")
    assert [row["key_id"] for row in json.loads(listed.stdout)] == [whole]
    assert f"dermis keys revoke {broken}" in listed.stderr
    assert keys(tmp_path, "revoke", broken).exit_code == 0
    assert store.get(f"keys/{broken}.revoked")


@pytest.mark.parametrize(
    "arguments", [("revoke", "key_01k9x4q7e8f3rtw5m2c6b0dvza"), ("revoke", "../x"), ("create", "--name", " ")]
)
def test_a_fault_names_what_is_wrong_and_stores_nothing(
    tmp_path: Path, store: DiskStore, arguments: tuple[str, ...]
) -> None:
    result = keys(tmp_path, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("dermis: ")
    assert list(store.list("")) == []


@pytest.mark.parametrize("command", ["create", "list", "revoke"])
def test_each_says_how_it_is_used(command: str) -> None:
    assert f"Examples:\n    dermis keys {command}" in CliRunner().invoke(cli.main, ["keys", command, "--help"]).stdout


def test_a_test_key_is_marked_and_replaces_test_keys_alone(tmp_path: Path, store: DiskStore) -> None:
    test = keys(tmp_path, "create", "--name", "a", "--test").stdout.partition(".")[0]
    live = keys(tmp_path, "create", "--name", "b").stdout.partition(".")[0]
    assert [key and key.livemode for key in (read_key(store, test), read_key(store, live))] == [False, True]
    assert [row["mode"] for row in json.loads(keys(tmp_path, "list", "--json").stdout)] == ["test", "live"]
    assert keys(tmp_path, "create", "--name", "c", "--test", "--replaces", test).exit_code == 0
    for arguments in (("--test", "--replaces", live), ("--replaces", test)):
        assert keys(tmp_path, "create", "--name", "d", *arguments).exit_code == 2
