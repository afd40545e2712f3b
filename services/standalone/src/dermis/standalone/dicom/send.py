"""Stores instances in an archive by STOW-RS (PS3.18, 10.5)."""

import io
from urllib.parse import urlsplit

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from dermis.shared.errors import DermisError, Kind

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_TIMEOUT_SECONDS = (10, 120)
_ONE_PIECE = 1 << 40
"""A body in pieces could not be sent again, as the client does where a server is busy."""


def check_address(url: str, *, allow_http: bool) -> str:
    """Return the host of an archive's address; INVALID if it is none, or would send photos in the open."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DermisError(Kind.INVALID, "TO", f"--to {url!r} is no address; it looks like https://host/dicom-web")
    if parts.username or parts.password:
        detail = "--to holds a name or password, which other users of this machine can see; put them into ~/.netrc"
        raise DermisError(Kind.INVALID, "TO", detail)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_http:
        detail = f"--to {url!r} is plain HTTP, which sends photos in the open; use https, or say --allow-http"
        raise DermisError(Kind.INVALID, "TO", detail)
    return parts.hostname


def store_instances(url: str, instances: list[Dataset]) -> int:
    """Store instances and return how many the archive says it has; an error names what it refused and why."""
    client = DICOMwebClient(url=url.rstrip("/"), chunk_size=_ONE_PIECE, timeout=_TIMEOUT_SECONDS)
    try:
        answer = client.store_instances([_as_file(each) for each in instances])
    except requests.HTTPError as fault:
        raise _refused(url, fault) from None
    except requests.RequestException as fault:
        detail = f"{url} can't be reached ({type(fault).__name__}); see that the archive runs and that --to is right"
        raise DermisError(Kind.UNAVAILABLE, "ARCHIVE", detail) from None
    refused = answer.get("FailedSOPSequence", [])
    if refused:
        reasons = ", ".join(sorted({f"0x{item.FailureReason:04X}" for item in refused}))
        detail = f"{url} refused {len(refused)} of {len(instances)} instances (reason {reasons}, PS3.18 table 10.5.3-2)"
        raise DermisError(Kind.CONFLICT, "ARCHIVE", f"{detail}; ask who runs it which classes it takes")
    return len(answer.get("ReferencedSOPSequence", []))


def _as_file(dataset: Dataset) -> Dataset:
    """Return an instance with preamble and file meta information as a file has them (PS3.10, 7.1).

    The client writes what it is given, and without them it is no DICOM file.
    """
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()))


def _refused(url: str, fault: requests.HTTPError) -> DermisError:
    status = fault.response.status_code if fault.response is not None else 500
    if status in (401, 403):
        detail = f"{url} answered {status}: it does not know you; put its name and password into ~/.netrc"
        return DermisError(Kind.UNAUTHENTICATED, "ARCHIVE", detail)
    if status >= 500:
        return DermisError(Kind.UNAVAILABLE, "ARCHIVE", f"{url} answered {status}; try again later")
    detail = f"{url} answered {status}; --to must name its DICOMweb service, as https://host/dicom-web"
    return DermisError(Kind.INVALID, "ARCHIVE", detail)
