"""dermis status"""

import sys
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from dermis.shared.queue import CeleryQueue
from dermis.shared.settings import RetentionSettings, load, names
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import find_running
from dermis.standalone.status import SystemStatus, ask_parts, look

_URL = "http://127.0.0.1:8080"


@click.command("status", short_help="How a running system does, on one screen.")
@click.option("--url", help=f"Where the gateway is [default: where `dermis up` runs, else {_URL}].")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@options.placement
def command(url: str | None, as_json: bool, **option_values: Any) -> None:
    """Show how a running system does: parts, model, open cases, queue, store, what is to be erased, last backup.

    Exit code: 0, or 1 if there is something to look at.

    \b
    Examples:
      dermis status
      dermis status --json | jq .faults
      dermis status --url https://dermis.example.org --store gs://bucket/dermis --broker redis://10.0.0.5/0
    """
    environ = options.overlay(option_values)
    running = find_running(load_standalone(environ).state)
    if running:
        environ = {**environ, **running.variables, **options.as_variables(option_values)}
    places = {**_of_all(environ), "DERMIS_STORE_URL": load_standalone(environ).store_url}
    settings = load(RetentionSettings, "SWEEP", places)
    where = url or (running.url if running else _URL)
    open_it = partial(open_store, settings.store_url)
    now, parts = datetime.now(UTC), ask_parts(where.rstrip("/"), settings, open_it)
    status = look(open_it, CeleryQueue(settings.broker_url), parts, settings=settings, now=now)
    click.echo(status.model_dump_json(indent=2) if as_json else describe(status, now))
    sys.exit(bool(status.faults))


def _of_all(environ: dict[str, str]) -> dict[str, str]:
    """Return the variables that say where parts are and how long cases are kept."""
    return {name: value for name, value in environ.items() if name in names(RetentionSettings, "SWEEP")}


def describe(status: SystemStatus, now: datetime) -> str:
    """Return a system's status as lines of a name and what is so."""
    rows = [(part.name, _words(part.ok, part.version, part.detail)) for part in status.parts]
    rows += [
        ("model", _models(status)),
        ("cases", f"{status.open_cases} open{_age(status.oldest_open_s)}; {status.open_batches} open batches"),
        ("queue", "unknown" if status.waiting_jobs is None else f"{status.waiting_jobs} jobs wait"),
        ("webhooks", f"{status.dead_letters} given up"),
        ("store", "no bound" if status.room_bytes is None else f"{status.room_bytes / 1e9:,.1f} GB free"),
        ("erasing", _erasing(status)),
        ("backup", _since(status.last_backup_at, now)),
        ("audit", f"checkpoint {_since(status.last_checkpoint_at, now)}"),
    ]
    lines = [f"{name:<9} {text}" for name, text in rows]
    return "\n".join([*lines, *(f"look at:  {fault}" for fault in status.faults)])


def _models(status: SystemStatus) -> str:
    text = f"{status.current_model or 'none'}; before: {status.previous_model or 'none'}"
    if status.canary_model:
        text += f"; canary: {status.canary_model}, {status.canary_percent} % of cases"
    return text + (f"; shadow: {status.shadow_model}" if status.shadow_model else "")


def _words(ok: bool | None, version: str | None, detail: str) -> str:
    state = {True: "ok", False: "away", None: "not asked"}[ok]
    return f"{state:<9} {f'{version}  ' if version else ''}{detail}"


def _erasing(status: SystemStatus) -> str:
    doubt = "; clock in doubt" if status.clock_in_doubt else ""
    return f"{status.overdue_cases} cases overdue, {status.unfinished_erasures} erased ones looked at once more{doubt}"


def _age(seconds: float | None) -> str:
    return "" if seconds is None else f", the oldest for {seconds:.0f} s"


def _since(at: datetime | None, now: datetime) -> str:
    return f"{(now - at).total_seconds() / 3600:.1f} h ago" if at else "none yet"
