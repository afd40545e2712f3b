"""dermis keys"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import ValidationError

from dermis.shared.api_keys import (
    KEYS_PREFIX,
    ApiKey,
    Revoked,
    Scope,
    make_key,
    put_key,
    read_key,
    read_revoked,
    revoke,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import open_store_of

DEFAULT_SCOPES = (Scope.CASES_WRITE, Scope.CASES_READ, Scope.MODELS_READ)


@click.group("keys", short_help="Make, list and revoke API keys.")
def command() -> None:
    """Make, list and revoke API keys of the gateway.

    A client sends its key as `Authorization: Bearer <key>`, and sees the cases that were submitted with it, no others.

    \b
    Examples:
      dermis keys create --name "clinic app"
      dermis keys list
      dermis keys revoke key_01k9x4q7e8f3rtw5m2c6b0dvza
    """


@command.command("create")
@click.option("--name", required=True, help="What the key is for; no name of a person.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; repeatable [default: cases and models].",
)
@click.option(
    "--publishable", is_flag=True, help="A key for an app: it uploads images and submits cases, and reads none."
)
@click.option(
    "--replaces",
    metavar="KEY_ID",
    help="Key whose cases the new one sees too; revoke that one when its clients have the new one.",
)
@click.option(
    "--test", is_flag=True, help="A test key: its cases are no person's, and test images force their outcomes."
)
@options.state
@options.store
def create(
    name: str, scopes: tuple[str, ...], publishable: bool, replaces: str | None, test: bool, **option_values: Any
) -> None:
    """Make a key and print it: it is shown this once, and only its hash is kept.

    \b
    Examples:
      dermis keys create --name "clinic app"
      dermis keys create --name dashboard --scope models:read
      dermis keys create --name "phones" --publishable
      dermis keys create --name "app under test" --test
      dermis keys create --name "clinic app" --replaces key_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    if not name.strip() or len(name) > 100:
        raise DermisError(Kind.INVALID, "KEY_NAME", f"--name has {len(name)} characters; use 1 to 100")
    if publishable and scopes:
        raise DermisError(Kind.INVALID, "KEY_SCOPES", "--publishable and --scope: give one or the other")
    scopes = (Scope.CASES_CREATE,) if publishable else scopes
    store = open_store_of(load_standalone(options.overlay(option_values)))
    replaced = _read_key(store, replaces) if replaces else None
    if replaced and replaced.livemode is test:
        kind = "live" if test else "test"
        detail = f"--replaces {replaced.key_id} is a {kind} key; a key sees cases of its own kind alone"
        raise DermisError(Kind.INVALID, "KEY_MODE", detail)
    key, token = make_key(
        name=name,
        scopes=tuple(sorted(map(Scope, scopes or DEFAULT_SCOPES))),
        at=datetime.now(UTC),
        owner=replaced.owner if replaced else None,
        livemode=not test,
    )
    put_key(store, key)
    click.echo(token)
    kind = ", a test key," if test else ""
    click.echo(
        f"{key.key_id}{kind} may {', '.join(key.scopes)}; the line above is the key, and is not shown again", err=True
    )


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@options.state
@options.store
def list_keys(as_json: bool, **option_values: Any) -> None:
    """List all keys, the oldest first, revoked ones too; never a secret or its hash.

    \b
    Examples:
      dermis keys list
      dermis keys list --json
    """
    rows = [_row(key, revoked) for key, revoked in _keys(_store(option_values))]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        ended = f"revoked {row['revoked_at']}" if row["revoked_at"] else "valid"
        click.echo(f"{row['key_id']}  {ended}  {row['mode']}  {','.join(row['scopes'])}  {row['name']}")
    if not rows:
        click.echo("there is no key; `dermis keys create` makes one")


@command.command("revoke")
@click.argument("key_id")
@options.state
@options.store
def revoke_key(key_id: str, **option_values: Any) -> None:
    """Revoke a key for good. Gateways hold a key for up to 30 s; then it opens nothing. Its cases stay until they are
    erased.

    \b
    Examples:
      dermis keys revoke key_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    store = _store(option_values)
    with suppress(ValidationError):  # a broken one is revoked as well
        _read_key(store, key_id)
    revoke(store, key_id, at=datetime.now(UTC))
    click.echo(f"{key_id} is revoked; within 30 s no gateway takes it any more")


def _store(option_values: dict[str, Any]) -> BlobStore:
    return open_store(load_standalone(options.overlay(option_values)).store_url)


def _read_key(store: BlobStore, key_id: str) -> ApiKey:
    key = read_key(store, key_id) if is_id("key", key_id) else None
    if key is None:
        raise DermisError(
            Kind.NOT_FOUND, "KEY", f"there is no key {key_id[:64]!r} in this store; `dermis keys list` shows all"
        )
    return key


def _keys(store: BlobStore) -> Iterator[tuple[ApiKey, Revoked | None]]:
    for name in store.list(KEYS_PREFIX):
        key_id = name.removeprefix(KEYS_PREFIX)
        if not is_id("key", key_id):
            continue
        try:
            key = read_key(store, key_id)
        except ValidationError:
            click.echo(
                f"{key_id}  can't be read and opens nothing; `dermis keys revoke {key_id}` ends it for good", err=True
            )
            continue
        if key:
            yield key, read_revoked(store, key_id)


def _row(key: ApiKey, revoked: Revoked | None) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "owner": key.owner,
        "mode": "live" if key.livemode else "test",
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": revoked.revoked_at.isoformat(timespec="seconds") if revoked else None,
    }
