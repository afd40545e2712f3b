"""dermis replay"""

from datetime import UTC, datetime
from typing import Any

import click

from dermis.shared.case import OpenCase, case_key, fact_key, open_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobConflict, BlobStore, has
from dermis.shared.queue import CeleryQueue
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.owners import find_owner
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import find_running


@click.command("replay", short_help="Try a failed case again.")
@click.argument("case_id")
@options.placement
def command(case_id: str, **option_values: Any) -> None:
    """Try a failed case again: opens its next attempt and sends it to the workers.

    \b
    Examples:
      dermis replay case_01k9x4q7e8f3rtw5m2c6b0dvza
    """
    environ = options.overlay(option_values)
    settings = load_standalone(environ)
    running = find_running(settings.state)
    broker_url = running.broker_url if running and "DERMIS_BROKER_URL" not in environ else settings.broker_url
    job = reopen(open_store(settings.store_url), case_id, now=datetime.now(UTC))
    try:
        CeleryQueue(broker_url).send(job)
    except DermisError as error:
        click.echo(f"attempt {job.attempt} of {case_id} is open; {error.detail}: the sweep sends it as soon as it can")
    else:
        click.echo(f"attempt {job.attempt} of {case_id} is on its way")


def reopen(store: BlobStore, case_id: str, *, now: datetime) -> AssessJob:
    """Put the marker of a failed case's next attempt and return its job; CONFLICT if the case has not failed."""
    owner = find_owner(store, case_id)
    folder = case_key(owner, case_id)
    for key, what in (
        (fact_key(owner, case_id, "erased"), "was erased"),
        (fact_key(owner, case_id, "outcome"), "has its outcome"),
    ):
        if has(store, key):
            detail = f"case {case_id} {what}; only a failed case can be replayed"
            raise DermisError(Kind.CONFLICT, "CASE_CLOSED", detail)
    failed = [int(key.rpartition("/")[2].removesuffix(".json")) for key in store.list(f"{folder}/failed/")]
    if not failed:
        raise DermisError(Kind.CONFLICT, "CASE_OPEN", f"case {case_id} has not failed; it is in work still")
    marker = OpenCase(case_id=case_id, owner=owner, opened_at=now, attempt=max(failed) + 1)
    while not _open(store, marker):
        # the marker of the attempt that failed, not cleared away yet; or this replay, done before
        standing = store.get_versioned(open_key(case_id))
        if standing.generation:
            opened = OpenCase.model_validate_json(standing.data)
            if opened.attempt >= marker.attempt:
                break
            marker = marker.model_copy(update={"line": opened.line})
            store.delete(open_key(case_id), generation=standing.generation)
    return AssessJob(case_id=case_id, owner=owner, attempt=marker.attempt, line=marker.line)


def _open(store: BlobStore, marker: OpenCase) -> bool:
    try:
        store.put_once(open_key(marker.case_id), marker.model_dump_json().encode())
    except BlobConflict:
        return False
    return True
