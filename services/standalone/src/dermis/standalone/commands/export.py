"""dermis export"""

import zipfile
from pathlib import Path
from typing import Any

import click

from dermis.shared.audit import Act, Audit
from dermis.shared.case import case_key, fact_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.releases import SHADOW_FOLDER
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.owners import find_owner
from dermis.standalone.settings import load_standalone


@click.command("export", short_help="Give out all that is kept of a case.")
@click.option("--case", "case_id", required=True, help="Id of the case.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="ZIP to write [default: <case>.zip]; it must not be there.",
)
@options.state
@options.store
def command(case_id: str, out: Path | None, **option_values: Any) -> None:
    """Give out all that is kept of a case: its facts, the images as they were stored, and what was made of them.

    What a version on trial made of it beside the current one is nobody's answer, and stays out.

    The file is personal: hand it to the person whose case it is, and delete it. That it was made is kept in the audit.

    \b
    Examples:
      dermis export --case case_01k9x4q7e8f3rtw5m2c6b0dvza
      dermis export --case case_01k9x4q7e8f3rtw5m2c6b0dvza --out case.zip
    """
    store = open_store(load_standalone(options.overlay(option_values)).store_url)
    path = out or Path(f"{case_id}.zip")
    owner = find_owner(store, case_id)
    keys = case_keys(store, owner=owner, case_id=case_id)
    pack(store, keys, prefix=f"{case_key(owner, case_id)}/", out=path)
    audit = Audit(store, "export")
    audit.note(Act.EXPORT, by="operator", case_id=case_id)
    audit.flush()
    click.echo(f"{path}: {len(keys)} files")


def case_keys(store: BlobStore, *, owner: str, case_id: str) -> list[str]:
    """Return the keys of all that is kept of a case; NOT_FOUND where it was erased."""
    prefix = f"{case_key(owner, case_id)}/"
    keys = [key for key in store.list(prefix) if not key.startswith(f"{prefix}{SHADOW_FOLDER}")]
    if fact_key(owner, case_id, "erased") in keys:
        raise DermisError(Kind.NOT_FOUND, "CASE_ERASED", f"case {case_id} was erased: nothing of it is kept but that")
    return keys


def cannot_make(out: Path, fault: OSError) -> DermisError:
    return DermisError(Kind.CONFLICT, "OUT", f"--out {out} can't be made ({fault.strerror}); name another one")


def pack(store: BlobStore, keys: list[str], *, prefix: str, out: Path) -> None:
    """Write the objects of `keys` to a new ZIP that only its owner may read; nothing is left of one that breaks off."""
    try:
        out.touch(mode=0o600, exist_ok=False)
    except OSError as fault:
        raise cannot_make(out, fault) from None
    try:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for key in keys:
                archive.writestr(key.removeprefix(prefix), store.get(key))
    except BaseException:
        out.unlink()
        raise
