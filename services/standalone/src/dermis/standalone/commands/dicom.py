"""dermis dicom"""

from pathlib import Path
from typing import Any

import click
import pydicom

from dermis.shared.audit import Act, Audit
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.commands.export import cannot_make, case_keys
from dermis.standalone.dicom.send import check_address, store_instances
from dermis.standalone.dicom.study import StudyFiles, read_study, study_files
from dermis.standalone.owners import find_owner
from dermis.standalone.settings import load_standalone

_case = click.option("--case", "case_id", required=True, help="Id of the case.")


@click.group("dicom", short_help="Give a case out as DICOM, to a folder or to an archive.")
def command() -> None:
    """Give a case out as one DICOM study: photos, heatmaps, and the outcome as a structured report.

    The patient is the client's reference alone. A second time the same instances come out, by the same identifiers.
    What it gives out is personal. That it did is kept in the audit.

    \b
    Examples:
      dermis dicom export --case case_01k9x4q7e8f3rtw5m2c6b0dvza --out study
      dermis dicom send --case case_01k9x4q7e8f3rtw5m2c6b0dvza --to https://archive.example/dicom-web
    """


@command.command("export")
@_case
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to make; it must not be there.",
)
@options.state
@options.store
def export(case_id: str, out: Path, **option_values: Any) -> None:
    """Write a case's study into a new folder that only its owner may read.

    \b
    Examples:
      dermis dicom export --case case_01k9x4q7e8f3rtw5m2c6b0dvza --out study
    """
    store = open_store(load_standalone(options.overlay(option_values)).store_url)
    files = _files(store, case_id)
    try:
        out.mkdir(mode=0o700)
    except OSError as fault:
        raise cannot_make(out, fault) from None
    _note(store, case_id=case_id, to="folder")
    for name, dataset in files.instances.items():
        pydicom.dcmwrite(out / f"{name}.dcm", dataset, enforce_file_format=True)
    click.echo(f"{out}: {_summary(files)}")


@command.command("send")
@_case
@click.option("--to", "url", required=True, metavar="URL", help="Address of the archive's DICOMweb service (STOW-RS).")
@click.option("--allow-http", is_flag=True, help="Send by plain HTTP to another machine, where anyone may read along.")
@options.state
@options.store
def send(case_id: str, url: str, *, allow_http: bool, **option_values: Any) -> None:
    """Store a case's study in an archive by STOW-RS; name and password are taken from ~/.netrc, if it has the host.

    \b
    Examples:
      dermis dicom send --case case_01k9x4q7e8f3rtw5m2c6b0dvza --to https://archive.example/dicom-web
    """
    host = check_address(url, allow_http=allow_http)
    store = open_store(load_standalone(options.overlay(option_values)).store_url)
    files = _files(store, case_id)
    if not files.instances["report"].PatientID:
        detail = f"case {case_id} has no client_reference: an archive would file it with all that have none"
        remedy = "write it to a folder with `dermis dicom export`, and give it a Patient ID there"
        raise DermisError(Kind.CONFLICT, "CLIENT_REFERENCE", f"{detail}; {remedy}")
    _note(store, case_id=case_id, to=host)
    stored = store_instances(url, list(files.instances.values()))
    click.echo(f"{host}: {stored} instances stored, {_summary(files)}")


def _files(store: BlobStore, case_id: str) -> StudyFiles:
    owner = find_owner(store, case_id)
    case_keys(store, owner=owner, case_id=case_id)
    return study_files(store, read_study(store, owner=owner, case_id=case_id))


def _note(store: BlobStore, *, case_id: str, to: str) -> None:
    """Write to the audit that a case goes out, before it does."""
    audit = Audit(store, "dicom")
    audit.note(Act.EXPORT, by="operator", case_id=case_id, form="dicom", to=to)
    audit.flush()


def _summary(files: StudyFiles) -> str:
    text = ", ".join(files.instances)
    lost = ", ".join(map(str, files.unreadable))
    return f"{text}; left out, as it could not be read: photo {lost}" if lost else text
