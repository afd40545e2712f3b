"""dermis backup"""

import time
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import click

from dermis.shared.audit import Act, Audit
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store, overlap
from dermis.shared.urls import masked
from dermis.standalone.backup.erasures import forget
from dermis.standalone.backup.index import deployment_of
from dermis.standalone.backup.save import Say, save
from dermis.standalone.commands import options
from dermis.standalone.commands.progress import ProgressLine
from dermis.standalone.commands.resuming import resuming
from dermis.standalone.settings import load_standalone


@click.command("backup", short_help="Copy the store into another one, while it is in use.")
@click.argument("dest_url")
@click.option(
    "--erasures", is_flag=True, help="Only have the backup forget what was erased since; quick, for every minute."
)
@click.option(
    "--states",
    type=click.IntRange(1, 366),
    help="Keep the states of so many days, each in a folder of its own below DEST_URL, which is written over in turn.",
)
@options.state
@options.store
def command(dest_url: str, erasures: bool, states: int | None, **option_values: Any) -> None:
    """Copy the store to DEST_URL, file:///folder or gs://bucket/prefix, while cases come in.

    What DEST_URL has is not copied again; a backup that is broken off or killed goes on where it was, by the same
    command. What was erased goes from the backup too, from all its states. Encrypt DEST_URL at rest: it holds photos.

    \b
    Examples:
      dermis backup file:///mnt/backup/dermis
      dermis backup gs://bucket-elsewhere/dermis --store gs://bucket/dermis
      dermis backup file:///mnt/backup/dermis --erasures
      dermis backup gs://bucket-elsewhere/dermis --states 7
    """
    store_url = load_standalone(options.overlay(option_values)).store_url
    if overlap(store_url, dest_url):
        raise DermisError(Kind.INVALID, "BACKUP_TARGET", f"DEST_URL {dest_url!r} lies in the store or around it")
    source, begun = open_store(store_url), time.monotonic()
    urls = [_below(dest_url, str(n)) for n in range(states)] if states else [dest_url]
    url = urls[source.clock().date().toordinal() % len(urls)]
    others = [open_store(each) for each in urls if each != url or erasures]
    with resuming("backup", source=store_url, target=url), ProgressLine("backup") as say:
        if not erasures:
            _save(source, url, begun, say)
            click.echo(f"restore it from {masked(url)}")
        standing = [other for other in others if not states or deployment_of(other)]  # not each day's turn was yet
        erased = {thing_id for other in standing for thing_id in forget(source, other)}
    if erasures:
        click.echo(f"{len(erased)} cases and batches erased in the backup")


def _save(source: BlobStore, url: str, begun: float, say: Say) -> None:
    backup, saver = save(source, open_store(url), dermis=version("dermis"), say=say)
    audit = Audit(source, "backup")
    audit.note(Act.BACKUP, by="operator", backup_id=backup.id)
    audit.flush()
    seconds = time.monotonic() - begun
    click.echo(
        f"{backup.id}: {backup.objects:,} objects, {backup.bytes:,} bytes, {backup.cases:,} cases; "
        f"new {saver.new:,} objects, {saver.new_bytes:,} bytes; {seconds:.1f} s"
    )
    click.echo(f"it holds every case that was accepted before {backup.begun_at.isoformat(timespec='milliseconds')}")
    click.echo(f"audit head {backup.audit_head}" if backup.audit_head else "no audit head: no checkpoint was made yet")


def _below(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
