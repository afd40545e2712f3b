"""dermis audit"""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from typing import Any

import click

from dermis.shared.audit import AUDIT_PREFIX, CHECKPOINTS, checkpoint_key, day_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.stores import open_source
from dermis.standalone.backup.parallel import each
from dermis.standalone.commands import options
from dermis.standalone.core.audit_chain import AuditVerdict, verify
from dermis.standalone.settings import load_standalone

_SHOWN = 10
_DIGEST = re.compile("[0-9a-f]{64}")


@click.group("audit", short_help="See whether the audit is whole.")
def command() -> None:
    """See whether the records of who read, erased, exported and promoted what are whole.

    \b
    Examples:
      dermis audit verify
      dermis audit verify --head 7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a
    """


@command.command("verify")
@click.option("--head", metavar="DIGEST", help="A head that was published before, as with a backup: it must be there.")
@options.state
@options.store
def verify_(head: str | None, **option_values: Any) -> None:
    """Say that the audit is whole, or name the first object that is missing, changed or added.

    Each object names the one that its process put before; the sweep's checkpoints name all objects and each other.
    What was cut off at the end is told by --head alone: keep the head elsewhere. Exit code: 0, or 1 if it is broken.

    \b
    Examples:
      dermis audit verify
      dermis audit verify --store gs://bucket/dermis
      dermis audit verify --head 7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a
    """
    if head is not None and not _DIGEST.fullmatch(head):
        detail = f"--head {head[:80]!r} is no head; it has 64 characters of 0-9 and a-f, as `dermis backup` prints it"
        raise DermisError(Kind.INVALID, "HEAD", detail)
    store = open_source(load_standalone(options.overlay(option_values)).store_url)
    if next(store.list(""), None) is None:
        raise DermisError(Kind.NOT_FOUND, "STORE_EMPTY", "the store is empty; look at --store")
    verdict = _verify(store, head)
    if verdict.broken and max(store.list(CHECKPOINTS), default="") != checkpoint_key(
        verdict.last.number if verdict.last else 0
    ):
        verdict = _verify(store, head)  # a checkpoint came meanwhile, and what it says is over went
    for broken in verdict.broken[:_SHOWN]:
        click.echo(f"{broken.fault}: {broken.key}: {broken.why}")
    if verdict.broken[_SHOWN:]:
        click.echo(f"and {len(verdict.broken) - _SHOWN} more")
    click.echo(_describe(verdict))
    sys.exit(bool(verdict.broken))


def _verify(store: BlobStore, head: str | None) -> AuditVerdict:
    checkpoints = list(_read(store, store.list(CHECKPOINTS)))  # first: what comes meanwhile none of them names
    keys = takewhile(lambda key: day_of(key)[:1].isdigit(), store.list(AUDIT_PREFIX))
    return verify(checkpoints, _read(store, keys), head=head)


def _read(store: BlobStore, keys: Iterator[str]) -> Iterator[tuple[str, bytes]]:
    def read(key: str) -> tuple[str, bytes] | None:
        with suppress(BlobNotFound):  # its time ended just now
            return key, store.get(key)
        return None

    return filter(None, each(read, keys))


def _describe(verdict: AuditVerdict) -> str:
    state = "BROKEN" if verdict.broken else "intact"
    if verdict.last is None:
        return f"{state}: {verdict.objects} objects, no checkpoint yet"
    ended = (
        f"; records before {verdict.last.kept_from} were ended as their time was over" if verdict.last.first > 1 else ""
    )
    return (
        f"{state}: {verdict.objects} objects, {verdict.since} since checkpoint {verdict.last.number} of "
        f"{verdict.last.made_at:%Y-%m-%dT%H:%M:%SZ}{ended}\nhead {verdict.head}"
    )
