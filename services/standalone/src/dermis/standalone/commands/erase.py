"""dermis erase"""

from datetime import UTC, datetime
from typing import Any

import click

from dermis.shared.audit import Act, Audit
from dermis.shared.case import PUBLIC_OWNER, case_key
from dermis.shared.erasing import erase
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone


@click.command("erase", short_help="Erase a case, wholly.")
@click.option("--case", "case_id", required=True, help="Id of the case.")
@click.option(
    "--owner", default=PUBLIC_OWNER, show_default=True, help="Whose case it is: the id of the key that submitted it."
)
@options.state
@options.store
def command(case_id: str, owner: str, **option_values: Any) -> None:
    """Erase a case for a person who asks the operator: all of it goes but a tombstone. The audit keeps that it did.

    \b
    Examples:
      dermis erase --case case_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis erase --case case_01k9x4q7e8f3rtw5m2c6b0dvza --owner key_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    store = open_store(load_standalone(options.overlay(option_values)).store_url)
    if not is_id("case", case_id):
        raise DermisError(
            Kind.INVALID,
            "CASE_ID",
            f"--case {case_id[:64]!r} is no id of a case; it looks like case_01k9x4q7e8f3rtw5m2c6b0dvza",
        )
    if next(iter(store.list(f"{case_key(owner, case_id)}/")), None) is None:
        raise DermisError(
            Kind.NOT_FOUND,
            "CASE",
            f"there is no case {case_id} of owner {owner!r} in this store; look at --store and --owner",
        )
    erase(store, owner=owner, case_id=case_id, at=datetime.now(UTC))
    audit = Audit(store, "erase")
    audit.note(Act.ERASE, by="operator", case_id=case_id)
    audit.flush()
    click.echo(f"{case_id} is erased; what a worker that has it in hand still writes, the sweep removes")
