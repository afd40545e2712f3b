"""A real archive takes cases as DICOM and gives them back: Orthanc by STOW-RS and WADO-RS, dciodvfy on each object.

Needs Orthanc with its DICOMweb plugin, and dicom3tools' dciodvfy: Debian's orthanc, orthanc-dicomweb and dicom3tools.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.error import URLError
from urllib.request import urlopen

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import VLPhotographicImageStorage

from dermis.shared.case import OutcomeKind, image_key
from dermis.shared.stores.disk import DiskStore
from tests.support import dicom_cases
from tests.support.dicom_cases import DEMO, OWNER, put_case

PACKAGES = {"Orthanc": "orthanc, orthanc-dicomweb", "dciodvfy": "dicom3tools"}
PLUGINS = ("/usr/share/orthanc/plugins", "/usr/lib/orthanc")
DERMIS = Path(sys.executable).with_name("dermis")
_START_SECONDS = 30
_AS_STORED = (("application/dicom", "*"),)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def orthanc(folder: Path) -> Iterator[str]:
    """Run Orthanc on this machine alone, its data in `folder`; yield the address of its HTTP server."""
    port = free_port()
    config = {
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [place for place in PLUGINS if Path(place).is_dir()],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, folder / "orthanc.log")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(URLError), urlopen(f"{url}/system", timeout=5):  # noqa: S310 - our own address
            return
        time.sleep(0.1)
    raise SystemExit(f"Orthanc did not start:\n{log.read_text()}")


def version(url: str) -> str:
    with urlopen(f"{url}/system", timeout=5) as answer:  # noqa: S310 - our own address
        system = json.load(answer)
    with urlopen(f"{url}/plugins/dicom-web", timeout=5) as answer:  # noqa: S310
        plugin = json.load(answer)
    return f"Orthanc {system['Version']}, DICOMweb plugin {plugin['Version']}"


def run(*arguments: str) -> str:
    done = subprocess.run([DERMIS, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dermis {' '.join(arguments)}: {done.stderr}")
    return done.stdout.strip()


def cases(store: DiskStore) -> Iterator[tuple[str, str]]:
    """Put a case of each kind; yield what it is and its id."""
    photos = dicom_cases.photos()
    for name, photo in photos.items():
        yield f"photo {name}", put_case(store, photo)
    yield "three photos", put_case(store, photos["420"], photos["turned"], photos["grey"])
    yield "demo, test key", put_case(store, photos["420"], model=DEMO, livemode=False)
    yield "abstention", put_case(store, photos["420"], kind=OutcomeKind.ABSTENTION)
    yield "rejection", put_case(store, photos["420"], model=None, kind=OutcomeKind.REJECTION)
    yield "no photo", put_case(store, model=None, kind=OutcomeKind.ABSTENTION)


def errors_of(file: Path) -> list[str]:
    """Return the errors that dciodvfy reports of a file; it warns of private codes and of what is left empty."""
    done = subprocess.run(["dciodvfy", "-new", str(file)], check=False, capture_output=True, text=True)
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("Error")]
    return lines or ([f"exit code {done.returncode}"] if done.returncode else [])


def differences(sent: Dataset, back: Dataset) -> list[str]:
    """Return which elements an archive gave back otherwise."""
    tags = {element.tag for element in (*sent, *back)}
    return [pydicom.datadict.keyword_for_tag(tag) or str(tag) for tag in sorted(tags) if sent.get(tag) != back.get(tag)]


def check_case(folder: Path, store: DiskStore, archive: str, case_id: str) -> tuple[int, list[str]]:
    """Send a case twice, read it back, judge each object; return how many objects it has and what is wrong."""
    where = ["--case", case_id, "--store", (folder / "store").as_uri()]
    out = folder / case_id
    run("dicom", "export", *where, "--out", str(out))
    for _ in range(2):
        run("dicom", "send", *where, "--to", f"{archive}/dicom-web")
    sent = {file: pydicom.dcmread(file) for file in sorted(out.glob("*.dcm"))}
    wrong = [f"{file.name}: {error}" for file in sent for error in errors_of(file)]
    study = next(iter(sent.values())).StudyInstanceUID
    client = DICOMwebClient(f"{archive}/dicom-web")
    back = {each.SOPInstanceUID: each for each in client.retrieve_study(study, media_types=_AS_STORED)}
    if sorted(back) != sorted(each.SOPInstanceUID for each in sent.values()):
        wrong.append(f"sent {len(sent)} instances, twice, got {len(back)} back")
    for file, dataset in sent.items():
        returned = back.get(dataset.SOPInstanceUID)
        if returned is not None:
            wrong += [f"{file.name}: {each} came back otherwise" for each in differences(dataset, returned)]
            wrong += _pixels(store, case_id, file, dataset, returned)
    return len(sent), wrong


def _pixels(store: DiskStore, case_id: str, file: Path, sent: Dataset, back: Dataset) -> list[str]:
    """Hold the pixels that came back against those sent, and a photo's bytes against the stored image."""
    if "PixelData" not in sent:
        return []
    if (sent.pixel_array != back.pixel_array).any():
        return [f"{file.name}: pixels came back otherwise"]
    if sent.SOPClassUID != VLPhotographicImageStorage:
        return []
    coded = next(pydicom.encaps.generate_frames(back.PixelData, number_of_frames=1))
    form: Literal["original", "prepared"] = "original" if sent.ImageType[0] == "ORIGINAL" else "prepared"
    stored = store.get(image_key(OWNER, case_id, sent.InstanceNumber, form))
    return [] if coded.rstrip(b"\0") == stored.rstrip(b"\0") else [f"{file.name}: not the bytes of the {form}"]


def main(arguments: Sequence[str]) -> None:
    lacking = [f"{tool} (Debian: {packages})" for tool, packages in PACKAGES.items() if shutil.which(tool) is None]
    if lacking or arguments:
        raise SystemExit(f"not run: {', '.join(lacking)} is not installed" if lacking else f"no arguments: {arguments}")
    os.environ["PYTHONWARNINGS"] = "error::UserWarning"
    total, faults = 0, 0
    with tempfile.TemporaryDirectory() as name, orthanc(Path(name)) as archive:
        print(version(archive))
        store = DiskStore(Path(name) / "store")
        for what, case_id in cases(store):
            objects, wrong = check_case(Path(name), store, archive, case_id)
            total, faults = total + objects, faults + len(wrong)
            print(f"{what:20} {objects} objects: {'; '.join(wrong) or 'sent twice, read back, identical, no error'}")
    print(f"{total} objects, {faults} faults")
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
