"""dermis restore"""

import sys
import time
from pathlib import Path
from typing import Any

import click

from dermis.shared.audit import Act, Audit
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.stores import open_source, overlap
from dermis.standalone.backup.index import last_backup
from dermis.standalone.backup.restore import restore
from dermis.standalone.commands import options
from dermis.standalone.commands.progress import ProgressLine
from dermis.standalone.commands.resuming import resuming
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import open_store_of

_SHOWN = 10


@click.command("restore", short_help="Put a backup into a store.")
@click.argument("src_url")
@click.option(
    "--erased",
    "erased_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with ids of cases and batches, one a line, that may not come back.",
)
@click.option("--partial", is_flag=True, help="Restore what an unfinished backup has.")
@options.state
@options.store
def command(src_url: str, erased_file: Path | None, partial: bool, **option_values: Any) -> None:
    """Put the backup at SRC_URL into the store, then read everything back and compare digests.

    The store must be empty, or of the same deployment. Cases that were erased since stay erased: those that the
    store's tombstones, the audit in backup and store, or --erased name. Open cases go on when the parts run.

    \b
    Examples:
      dermis restore file:///mnt/backup/dermis --store file:///srv/dermis
      dermis restore gs://bucket-elsewhere/dermis --store gs://bucket/dermis --erased erased.txt
    """
    settings, begun = load_standalone(options.overlay(option_values)), time.monotonic()
    if overlap(settings.store_url, src_url):
        raise DermisError(Kind.INVALID, "BACKUP_SOURCE", f"SRC_URL {src_url!r} lies in the store or around it")
    erased = read_ids(erased_file) if erased_file else frozenset()
    source, target = open_source(src_url), open_store_of(settings)
    with resuming("restore", source=src_url, target=settings.store_url), ProgressLine("restore") as say:
        done = restore(source, target, erased=erased, partial=partial, say=say)
        backup, audit = last_backup(source), Audit(target, "restore")
        audit.note(Act.RESTORE, by="operator", backup_id=backup.id if backup else "unfinished")
        audit.flush()
    seconds = time.monotonic() - begun
    click.echo(
        f"{done.objects:,} objects, {done.bytes:,} bytes, {done.cases:,} cases restored; new {done.new:,} objects; "
        f"{len(done.erased):,} erased cases and batches stay erased; {seconds:.1f} s"
    )
    for what, keys in (("damaged or missing in the backup", done.damaged), ("another content stands", done.kept)):
        for key in keys[:_SHOWN]:
            click.echo(f"{what}: {key}", err=True)
        if keys[_SHOWN:]:
            click.echo(f"{what}: {len(keys) - _SHOWN} more", err=True)
    if done.damaged:
        sys.exit(1)
    click.echo(
        "every digest agrees with the backup's index" if not partial else "restored without an index to check by"
    )


def read_ids(path: Path) -> frozenset[str]:
    """Return the ids in a file, one a line; INVALID, naming the line, if one is none."""
    ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    for number, thing_id in enumerate(ids, start=1):
        if thing_id and not any(is_id(kind, thing_id) for kind in ("case", "batch")):
            detail = f"--erased {path}, line {number}: {thing_id[:64]!r} is no id of a case or batch"
            raise DermisError(Kind.INVALID, "ERASED_FILE", detail)
    return frozenset(filter(None, ids))
