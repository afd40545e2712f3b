"""dermis webhooks"""

import contextlib
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click
import redis

from dermis.shared.addresses import networks_of
from dermis.shared.audit import Act, Audit
from dermis.shared.case import PUBLIC_OWNER
from dermis.shared.errors import DermisError, Kind
from dermis.shared.presence import read_presence
from dermis.shared.webhook_admin import Webhooks
from dermis.shared.webhook_store import StoredEndpoint, owners_of_webhooks
from dermis.shared.webhooks import CASE_EVENTS, DeliveryState, EventType, StoredDelivery
from dermis.standalone.commands import options
from dermis.standalone.owners import check_owner
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import find_running, open_store_of

_new_owner = click.option(
    "--owner",
    default=PUBLIC_OWNER,
    show_default=True,
    help="Whose cases: the owner that `dermis keys list --json` shows; public: cases without a key.",
)
_owner = click.option("--owner", help="Whose webhook [default: whoever has it].")
_WAIT_S = 2.0
_NOBODY_DELIVERS = (
    "warning: no worker that delivers webhooks shows itself, so events wait in the store until one runs; start one "
    "with DERMIS_WORKER_QUEUES=webhooks, or set webhooks.enabled=true in the chart"
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("webhooks", short_help="Make, list and delete webhooks, and replay events.")
def command() -> None:
    """Webhooks tell a server of yours what becomes of cases, signed as Standard Webhooks says.

    \b
    Examples:
      dermis webhooks create https://example.org/hook --owner key_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis webhooks list
      dermis webhooks deliveries hook_01k9x4q7e8f3rtw5m2c6b0dvza --status dead
    """


@command.command("create")
@click.argument("url")
@click.option(
    "--event",
    "events",
    multiple=True,
    type=click.Choice([event.value for event in EventType]),
    help="Event to send; repeatable [default: all of cases].",
)
@click.option("--description", default="", help="What it is for; no name of a person.")
@click.option(
    "--networks",
    default="",
    envvar="DERMIS_WORKER_WEBHOOK_NETWORKS",
    show_envvar=True,
    help="Private networks that webhooks may go to, as the workers have them.",
)
@_new_owner
@options.placement
def create(
    url: str, events: tuple[str, ...], description: str, networks: str, owner: str, **option_values: Any
) -> None:
    """Make a webhook and print its secret: it is shown this once.

    \b
    Examples:
      dermis webhooks create https://example.org/hook --owner key_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis webhooks create http://10.1.2.3/hook --networks 10.1.0.0/16 --event case.finished
    """
    chosen = tuple(map(EventType, events)) or CASE_EVENTS
    with _webhooks(option_values, networks) as webhooks:
        check_owner(webhooks.store, owner)
        created = webhooks.create(owner=owner, url=url, events=chosen, description=description)
    click.echo(created.secrets[0].secret)
    kind = "" if created.livemode else "test "
    click.echo(f"{created.endpoint.endpoint_id} gets {kind}events of {owner}; the line above is its secret", err=True)
    if _delivers(option_values) is False:
        click.echo(_NOBODY_DELIVERS, err=True)


@command.command("list")
@_json
@_owner
@options.state
@options.store
def list_webhooks(as_json: bool, owner: str | None, **option_values: Any) -> None:
    """List webhooks, an owner's or all, the oldest first; never a secret.

    \b
    Examples:
      dermis webhooks list
    """
    with _webhooks(option_values) as webhooks:
        owners = [owner] if owner else dict.fromkeys(each for each, _ in owners_of_webhooks(webhooks.store))
        rows = [_row(standing) for each in owners for standing in webhooks.of(each)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = f"disabled: {row['disabled']}" if row["disabled"] else "enabled"
        click.echo(f"{row['id']}  {row['owner']}  {state}  {','.join(row['events'])}  {row['url']}")
    if not rows:
        whose = f" of {owner}" if owner else ""
        click.echo(f"there is no webhook{whose}; `dermis webhooks create` makes one")


@command.command("delete")
@click.argument("webhook_id")
@_owner
@options.state
@options.store
def delete(webhook_id: str, owner: str | None, **option_values: Any) -> None:
    """Delete a webhook, its secrets and what waits for it.

    \b
    Examples:
      dermis webhooks delete hook_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    with _webhook(option_values, owner, webhook_id) as (webhooks, whose):
        webhooks.delete(whose, webhook_id)
    click.echo(f"{webhook_id} is deleted")


@command.command("rotate")
@click.argument("webhook_id")
@_owner
@options.state
@options.store
def rotate(webhook_id: str, owner: str | None, **option_values: Any) -> None:
    """Make another secret and print it; for 24 hours the one before signs beside it.

    \b
    Examples:
      dermis webhooks rotate hook_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    with _webhook(option_values, owner, webhook_id) as (webhooks, whose):
        secret, until = webhooks.rotate(whose, webhook_id)
    click.echo(secret.secret)
    click.echo(f"the secret before signs beside it until {until.isoformat(timespec='seconds')}", err=True)


@command.command("enable")
@click.argument("webhook_id")
@_owner
@options.state
@options.store
def enable(webhook_id: str, owner: str | None, **option_values: Any) -> None:
    """Send to a webhook again that was disabled, as its receiver had answered 410.

    \b
    Examples:
      dermis webhooks enable hook_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    with _webhook(option_values, owner, webhook_id) as (webhooks, whose):
        webhooks.enable(whose, webhook_id)
    click.echo(f"{webhook_id} is enabled")


@command.command("test")
@click.argument("webhook_id")
@_owner
@options.placement
def test(webhook_id: str, owner: str | None, **option_values: Any) -> None:
    """Send an event that tells of no case, within a minute.

    \b
    Examples:
      dermis webhooks test hook_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    with _webhook(option_values, owner, webhook_id) as (webhooks, whose):
        click.echo(webhooks.test(whose, webhook_id).delivery.event_id)
    if _delivers(option_values) is False:
        click.echo(_NOBODY_DELIVERS, err=True)


@command.command("deliveries")
@click.argument("webhook_id")
@click.option(
    "--status",
    "wanted",
    type=click.Choice([state.value.lower() for state in DeliveryState]),
    default="pending",
    show_default=True,
    help="Which ones.",
)
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Most that are listed.")
@_json
@_owner
@options.state
@options.store
def deliveries(
    webhook_id: str, wanted: str, limit: int, as_json: bool, owner: str | None, **option_values: Any
) -> None:
    """List deliveries: those that wait, that were given up (dead), or that were taken within three days (delivered).

    \b
    Examples:
      dermis webhooks deliveries hook_01k9x4q7e8f3rtw5m2c6b0dvza --status dead
    """
    with _webhook(option_values, owner, webhook_id) as (webhooks, whose):
        every = webhooks.deliveries(whose, webhook_id, state=DeliveryState(wanted.upper()))
        rows = [_delivery_row(each) for each in islice(every, limit)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        case_id, fault = row["case_id"] or "-", row["last_fault"] or "-"
        click.echo(f"{row['id']}  {row['type']}  {case_id}  tries {row['tries']}  {fault}")
    if not rows:
        click.echo(f"{webhook_id} has no {wanted} delivery")


@command.command("replay")
@click.argument("webhook_id")
@click.argument("delivery_ids", nargs=-1)
@click.option("--dead", "every_dead", is_flag=True, help="All that were given up.")
@_owner
@options.state
@options.store
def replay(
    webhook_id: str, delivery_ids: tuple[str, ...], every_dead: bool, owner: str | None, **option_values: Any
) -> None:
    """Deliver events again, within a minute, with the same ids; for another day where that fails.

    \b
    Examples:
      dermis webhooks replay hook_01k9x4q7e8f3rtw5m2c6b0dvza msg_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis webhooks replay hook_01k9x4q7e8f3rtw5m2c6b0dvza --dead
    """
    chosen = list(delivery_ids)
    if not chosen and not every_dead:
        raise click.UsageError("name the deliveries, or --dead for all that were given up")
    with _webhook(option_values, owner, webhook_id) as (webhooks, whose):
        if every_dead:
            dead = webhooks.deliveries(whose, webhook_id, state=DeliveryState.DEAD)
            chosen += [each.delivery.event_id for each in dead]
        for event_id in chosen:
            webhooks.replay(whose, webhook_id, event_id)
    click.echo(f"{len(chosen)} to be delivered again")


@contextlib.contextmanager
def _webhooks(option_values: dict[str, Any], networks: str = "") -> Iterator[Webhooks]:
    """Give the webhooks of a store; what is changed of them is written to the audit when the context ends."""
    try:
        allowed = networks_of(networks)
    except ValueError as error:
        raise click.BadParameter(f"{error}; use networks as 10.1.0.0/16,fd00::/8", param_hint="--networks") from None
    store = open_store_of(load_standalone(options.overlay(option_values)))
    audit = Audit(store, "webhooks")

    def changed(done: str, webhook_id: str) -> None:
        audit.note(Act.WEBHOOK, by="operator", done=done, webhook_id=webhook_id)

    try:
        yield Webhooks(store=store, networks=allowed, changed=changed)
    finally:  # also what was done before a fault
        audit.flush()


@contextlib.contextmanager
def _webhook(option_values: dict[str, Any], owner: str | None, webhook_id: str) -> Iterator[tuple[Webhooks, str]]:
    """Give the webhooks of a store and whose `webhook_id` is: `owner`, or who has it."""
    with _webhooks(option_values) as webhooks:
        owners = {of: each for each, of in owners_of_webhooks(webhooks.store)} if owner is None else {}
        if owner is None and webhook_id not in owners:
            detail = f"there is no webhook {webhook_id[:64]!r} in this store; `dermis webhooks list` shows all"
            raise DermisError(Kind.NOT_FOUND, "WEBHOOK_NOT_FOUND", detail)
        yield webhooks, owner or owners[webhook_id]


def _delivers(option_values: dict[str, Any]) -> bool | None:
    """Return whether a worker that delivers webhooks shows itself in Redis; None where no Redis can be asked."""
    environ = options.overlay(option_values)
    running = find_running(load_standalone(environ).state)
    url = environ.get("DERMIS_BROKER_URL") or (running.broker_url if running else "")
    if not url:
        return None
    try:
        with redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S) as client:
            return any(each.part == "webhooks" for each in read_presence(client))
    except redis.RedisError:
        return None


def _row(standing: StoredEndpoint) -> dict[str, Any]:
    endpoint, disabled = standing.endpoint, standing.disabled
    return {
        "id": endpoint.endpoint_id,
        "owner": endpoint.owner,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "created_at": endpoint.created_at.isoformat(timespec="seconds"),
        "disabled": disabled.reason if disabled else None,
        "livemode": standing.livemode,
    }


def _delivery_row(stored: StoredDelivery) -> dict[str, Any]:
    delivery = stored.delivery
    return {
        "id": delivery.event_id,
        "type": delivery.type,
        "case_id": delivery.case_id or None,
        "tries": delivery.tries,
        "next_try_at": stored.due.isoformat(timespec="seconds") if stored.due else None,
        "last_fault": delivery.last_fault or None,
    }
