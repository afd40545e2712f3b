"""dermis cases"""

import contextlib
import heapq
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import click
from pydantic import ValidationError

from dermis.shared.audit import Act, Audit
from dermis.shared.case import CASES_PREFIX, Consent, Status, case_key, fact_key
from dermis.shared.erasing import RetentionMark, erase, retention_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, made_at
from dermis.shared.listing import Filter, Listed, Order, fold_keys, list_cases, owners
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone

_LISTED = [status.value for status in Status if status is not Status.ERASED]
_owner = click.option("--owner", metavar="ID", help="Whose cases: a key's id, a session's, or public [default: all].")
_reference = click.option("--reference", metavar="REF", help="Cases that their client called so.")
_time = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.group("cases", short_help="List, show and erase cases.")
def command() -> None:
    """List, show and erase cases, whoever submitted them. What is read and erased is kept in the audit, by ids.

    \b
    Examples:
      dermis cases list --newest --status FAILED
      dermis cases show case_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis cases erase --owner key_01k9x4q7e8f3rtw5m2c6b0dvza
    """


@command.command("list")
@_owner
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_LISTED), help="Cases of these alone; repeatable."
)
@click.option("--from", "start", type=_time, help="Received then or later, in UTC.")
@click.option("--before", "end", type=_time, help="Received earlier, in UTC.")
@_reference
@click.option("--newest", is_flag=True, help="The newest first.")
@click.option("--limit", type=click.IntRange(1), help="At most so many [default: all].")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@options.state
@options.store
def list_(
    owner: str | None,
    statuses: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    reference: str | None,
    newest: bool,
    limit: int | None,
    as_json: bool,
    **option_values: Any,
) -> None:
    """List cases, the oldest first: when each was received, its state, id and owner. Nothing of what is in them.

    \b
    Examples:
      dermis cases list
      dermis cases list --newest --limit 20 --status FAILED
      dermis cases list --reference visit-7
      dermis cases list --owner public --from 2026-11-01 --before 2026-12-01 --json
    """
    states = tuple(map(Status, statuses))
    wanted = Filter(statuses=states, start=_in_utc(start), end=_in_utc(end), reference=reference)
    order = Order.NEWEST if newest else Order.OLDEST
    count = 0
    for each, whose in islice(_list(_store(option_values), owner, order, wanted), limit):
        at = made_at(each.case_id).isoformat(timespec="seconds")
        row = {"id": each.case_id, "owner": whose, "status": each.status, "received_at": at}
        click.echo(json.dumps(row) if as_json else f"{at}  {each.status:8}  {each.case_id}  {whose}")
        count += 1
    click.echo(f"{count} cases", err=True)


@command.command("show")
@click.argument("case_id")
@options.state
@options.store
def show(case_id: str, **option_values: Any) -> None:
    """Show what is kept of a case as JSON: its facts, but no image. It is personal.

    \b
    Examples:
      dermis cases show case_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis cases show case_01k9x4q7e8f3rtw5m2c6b0dvza | jq '.facts["outcome.json"].differential'
    """
    store = _store(option_values)
    owner = find_owner(store, case_id)
    prefix = f"{case_key(owner, case_id)}/"
    keys = list(store.list(prefix))
    listed = next(fold_keys(keys, prefix=f"{CASES_PREFIX}{owner}/"), None)
    facts = {key.removeprefix(prefix): _fact(store.get(key)) for key in keys if key.endswith(".json")}
    status = listed.status if listed else Status.ERASED
    with _audited(store) as audit:
        audit.note(Act.READ, by="operator", case_id=case_id)
    click.echo(json.dumps({"id": case_id, "owner": owner, "status": status, "facts": facts}, indent=2))


@command.command("erase")
@click.argument("case_ids", nargs=-1, metavar="[CASE_ID]...")
@click.option("--owner", metavar="ID", help="Erase all cases of this owner: a key's id, a session's, or public.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@options.state
@options.store
def erase_(case_ids: tuple[str, ...], owner: str | None, yes: bool, **option_values: Any) -> None:
    """Erase cases: nothing of them stays but that they were erased. May be broken off and begun anew.

    \b
    Examples:
      dermis cases erase case_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis cases erase --owner key_01k9x4q7e8f3rtw5m2c6b0dvza --yes
    """
    if bool(case_ids) == bool(owner):
        raise DermisError(Kind.INVALID, "CASES", "name the cases to erase, or their --owner; one or the other")
    store = _store(option_values)
    chosen = (
        [(each.case_id, owner) for each, _ in _list(store, owner, Order.OLDEST, Filter())]
        if owner
        else [(each, find_owner(store, each)) for each in case_ids]
    )
    if not chosen:
        raise DermisError(Kind.NOT_FOUND, "OWNER", f"--owner {owner!r} has no case here; `dermis cases list` shows all")
    if not yes:
        click.confirm(f"erase {len(chosen)} cases for good?", abort=True, err=True)
    with _audited(store) as audit, click.progressbar(chosen, label="erase", file=sys.stderr) as steps:
        for case_id, whose in steps:
            erase(store, owner=whose, case_id=case_id, at=datetime.now(UTC))
            audit.note(Act.ERASE, by="operator", case_id=case_id)
    click.echo(f"{len(chosen)} cases erased")


def find_owner(store: BlobStore, case_id: str) -> str:
    """Return whose case it is; INVALID if it is no id, NOT_FOUND if the store has no such case."""
    if not is_id("case", case_id):
        detail = f"{case_id[:64]!r} is no id of a case; it looks like case_01k9x4q7e8f3rtw5m2c6b0dvza"
        raise DermisError(Kind.INVALID, "CASE_ID", detail)
    for consent in Consent:
        with contextlib.suppress(BlobNotFound, ValidationError):  # one that can't be read says nothing
            return RetentionMark.model_validate_json(store.get(retention_key(consent, case_id))).owner
    for owner in owners(store):  # an erased one has no mark
        if has(store, fact_key(owner, case_id, "received")) or has(store, fact_key(owner, case_id, "erased")):
            return owner
    raise DermisError(Kind.NOT_FOUND, "CASE", f"there is no case {case_id} in this store; look at --store")


def _list(store: BlobStore, owner: str | None, order: Order, wanted: Filter) -> Iterator[tuple[Listed, str]]:
    """Yield cases and their owners, in one order over all owners."""
    now = datetime.now(UTC)
    of_each = (_with_owner(store, whose, order, wanted, now) for whose in ([owner] if owner else owners(store)))
    return heapq.merge(*of_each, key=_id_of, reverse=order == Order.NEWEST)


def _id_of(pair: tuple[Listed, str]) -> str:
    return pair[0].case_id


def _with_owner(
    store: BlobStore, owner: str, order: Order, wanted: Filter, now: datetime
) -> Iterator[tuple[Listed, str]]:
    for each in list_cases(store, owner, now=now, order=order, wanted=wanted):
        yield each, owner


@contextlib.contextmanager
def _audited(store: BlobStore) -> Iterator[Audit]:
    audit = Audit(store, "cases")
    try:
        yield audit
    finally:  # also what was done before a key was pressed
        audit.flush()


def _store(option_values: dict[str, Any]) -> BlobStore:
    return open_store(load_standalone(options.overlay(option_values)).store_url)


def _in_utc(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at else None


def _fact(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return "can't be read"
