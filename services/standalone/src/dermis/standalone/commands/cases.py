"""dermis cases"""

import contextlib
import heapq
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any

import click
from pydantic import ValidationError

from dermis.shared.audit import Act, Audit
from dermis.shared.case import CASES_PREFIX, Received, Status, case_key, fact_key
from dermis.shared.erasing import erase
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import made_at
from dermis.shared.listing import Filter, Listed, Order, fold_keys, list_cases, owners
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.stores import open_store
from dermis.standalone.backup.parallel import each
from dermis.standalone.commands import options
from dermis.standalone.owners import find_owner
from dermis.standalone.settings import load_standalone

_LISTED = [status.value for status in Status if status is not Status.ERASED]
_owner = click.option("--owner", metavar="ID", help="Whose cases: a key's id, a session's, or public [default: all].")
_reference = click.option("--reference", metavar="REF", help="Cases that their client called so.")
_ASKED = 20
"""Cases that are shown before they are erased."""
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
    """List cases, the oldest first: when each was received, its state, live or test, id and owner.

    Nothing of what is in them is shown.

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
    store, count = _store(option_values), 0
    for row in each(partial(_row, store), islice(_list(store, owner, order, wanted), limit)):
        click.echo(json.dumps(row) if as_json else _line(row))
        count += 1
    click.echo(_counted(count), err=True)
    if not count and next(store.list(""), None) is None:
        click.echo("the store is empty; look at --store", err=True)


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
@click.option("--reference", metavar="REF", help="Erase all cases that their client called so, or those of --owner.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@options.state
@options.store
def erase_(
    case_ids: tuple[str, ...], owner: str | None, reference: str | None, yes: bool, **option_values: Any
) -> None:
    """Erase cases: nothing of them stays but that they were erased. May be broken off and begun anew.

    Which ones is shown, and asked, before; afterwards the id of each erased case is printed.

    \b
    Examples:
      dermis cases erase case_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis cases erase --reference visit-7
      dermis cases erase --owner key_01k9x4q7e8f3rtw5m2c6b0dvza --yes
    """
    of_many = owner is not None or reference is not None
    if bool(case_ids) == of_many:
        detail = "name the cases to erase, or their --owner or --reference; one or the other"
        raise DermisError(Kind.INVALID, "CASES", detail)
    store = _store(option_values)
    chosen = (
        [(listed.case_id, whose) for listed, whose in _list(store, owner, Order.OLDEST, Filter(reference=reference))]
        if of_many
        else [(case_id, find_owner(store, case_id)) for case_id in dict.fromkeys(case_ids)]
    )
    standing = [(case_id, whose) for case_id, whose in chosen if not has(store, fact_key(whose, case_id, "erased"))]
    if not chosen:
        raise DermisError(Kind.NOT_FOUND, "CASES", _nothing(owner, reference))
    if not yes and standing:
        _ask(standing)
    with _audited(store) as audit, click.progressbar(chosen, label="erase", file=sys.stderr) as steps:
        for case_id, whose in steps:  # those that are erased too: what was broken off is gone on with
            erase(store, owner=whose, case_id=case_id, at=datetime.now(UTC))
            if (case_id, whose) in standing:
                audit.note(Act.ERASE, by="operator", case_id=case_id)
                click.echo(f"{case_id}  {whose}")
    before = len(chosen) - len(standing)
    click.echo(f"{_counted(len(standing))} erased" + (f", {before} had been before" if before else ""))


def _ask(standing: list[tuple[str, str]]) -> None:
    for case_id, whose in standing[:_ASKED]:
        click.echo(f"{made_at(case_id).isoformat(timespec='seconds')}  {case_id}  {whose}", err=True)
    if standing[_ASKED:]:
        click.echo(f"and {len(standing) - _ASKED} more", err=True)
    click.confirm(f"erase {_counted(len(standing))} for good?", abort=True, err=True)


def _nothing(owner: str | None, reference: str | None) -> str:
    named = " and ".join(
        f"{option} {value!r}" for option, value in (("--owner", owner), ("--reference", reference)) if value is not None
    )
    return f"there is no case of {named} here; `dermis cases list` shows all"


def _counted(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _row(store: BlobStore, pair: tuple[Listed, str]) -> dict[str, Any]:
    """Return what is listed of a case; `livemode` is None where its first fact can't be read."""
    listed, owner = pair
    livemode = None
    with contextlib.suppress(BlobNotFound, ValidationError):  # erased just now, or of another version
        livemode = Received.model_validate_json(store.get(fact_key(owner, listed.case_id, "received"))).livemode
    at = made_at(listed.case_id).isoformat(timespec="seconds")
    return {"id": listed.case_id, "owner": owner, "status": listed.status, "livemode": livemode, "received_at": at}


def _line(row: dict[str, Any]) -> str:
    mode = {True: "live", False: "test", None: "-"}[row["livemode"]]
    return f"{row['received_at']}  {row['status']:8}  {mode:4}  {row['id']}  {row['owner']}"


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
    for listed in list_cases(store, owner, now=now, order=order, wanted=wanted):
        yield listed, owner


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
