"""A tus client from elsewhere (tuspy) against a running gateway: cut three times, and over the gateway's own death."""

import contextlib
import hashlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from dermis.shared.case import fact_key
from dermis.shared.uploads import UploadedImage, part_key, upload_key
from tests.integration.test_gateway import System, running

pytestmark = pytest.mark.timeout(120)
TUS = {"Tus-Resumable": "1.0.0"}
NOISE = np.random.default_rng(7).integers(0, 255, (1100, 1000, 3), np.uint8)
IMAGE = cv2.imencode(".png", NOISE)[1].tobytes()
"""About 3 MB."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with running(tmp_path / "store") as each:
        yield each


@contextlib.contextmanager
def cutting(port: int, *, after: int) -> Iterator[int]:
    """Run a proxy that lets `after` bytes of the first connection's requests pass, then cuts it; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_cut, args=(listener, port, after), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(20)


def _cut(listener: socket.socket, port: int, after: int) -> None:
    client, _ = listener.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        left = after
        while left and (data := client.recv(min(65536, left))):
            server.sendall(data)
            left -= len(data)


def offset_of(system: System, place: str) -> int:
    return int(system.http.head(place, headers=TUS).headers["upload-offset"])


def test_tuspy_brings_an_upload_to_its_end_that_was_cut_three_times(system: System) -> None:
    base = str(system.http.base_url).rstrip("/")
    port = httpx.URL(base).port or 0
    client = TusClient(f"{base}/v1/uploads")
    begun = client.uploader(file_stream=_stream(), metadata={"filetype": "image/png"}, chunk_size=len(IMAGE))
    place = begun.create_url()
    assert place
    before, path = 0, httpx.URL(place).path
    for after in (700_000, 900_000, 1_100_000):
        with cutting(port, after=after) as proxy:
            through = place.replace(f":{port}/", f":{proxy}/")
            with httpx.Client() as http, contextlib.suppress(httpx.HTTPError):
                headers = {**TUS, "Upload-Offset": str(before), "Content-Type": "application/offset+octet-stream"}
                http.patch(through, content=IMAGE[before:], headers=headers)
        for _ in range(100):  # until the gateway has seen that the client is gone
            offset = offset_of(system, path)
            if offset > before + after - 70_000:
                break
            threading.Event().wait(0.05)
        assert before + after - 70_000 < offset < before + after, "all that the proxy let pass but the head is kept"
        before = offset
    resumed = client.uploader(file_stream=_stream(), url=place, chunk_size=100_000)
    assert resumed.offset == before
    resumed.upload()
    assert resumed.offset == len(IMAGE)
    state = system.http.get(path).json()
    assert (state["status"], state["length"]) == ("COMPLETE", len(IMAGE))
    fact = UploadedImage.model_validate_json(system.store.get(upload_key("public", state["id"], "uploaded.json")))
    assert fact.sent_sha256 == hashlib.sha256(IMAGE).hexdigest()
    case = system.http.post("/v1/cases", json={"uploads": [state["id"]]})
    assert case.status_code == 202, case.text
    assert system.store.get(fact_key("public", case.json()["id"], "received"))


def test_a_gateway_that_is_killed_between_parts_loses_half_a_mebibyte_at_most(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with running(store, ends=-signal.SIGKILL) as first:
        place = first.http.post("/v1/uploads", headers={**TUS, "Upload-Length": str(len(IMAGE))}).headers["location"]
        port = first.http.base_url.port or 0
        with socket.create_connection(("127.0.0.1", port)) as wire:
            head = f"PATCH {place} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
            wire.sendall(
                f"{head}Content-Type: application/offset+octet-stream\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()
            )
            wire.sendall(IMAGE[:1_500_000])
            for _ in range(200):
                if offset_of(first, place) >= 2 * 512 * 1024:
                    break
                threading.Event().wait(0.05)
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(10)
    with running(store) as second:
        offset = offset_of(second, place)
        assert 1_500_000 - 512 * 1024 <= offset <= 1_500_000
        uploader = TusClient(f"{str(second.http.base_url).rstrip('/')}/v1/uploads").uploader(
            file_stream=_stream(), url=f"{str(second.http.base_url).rstrip('/')}{place}", chunk_size=1_000_000
        )
        uploader.upload()
        state = second.http.get(place).json()
        assert state["status"] == "COMPLETE"
        assert not list(second.store.list(part_key("public", state["id"], 0)[:-12]))


def test_tuspy_hears_that_what_it_sent_is_no_image(system: System) -> None:
    client = TusClient(f"{str(system.http.base_url).rstrip('/')}/v1/uploads")
    uploader = client.uploader(file_stream=_stream(b"%PDF-1.7 " * 1000), chunk_size=5000)
    with pytest.raises(TusCommunicationError):
        uploader.upload()
    state = system.http.get(httpx.URL(uploader.url).path).json()
    assert (state["status"], state["refusal"]["reason"]) == ("REFUSED", "IMAGE_FORMAT")


def _stream(data: bytes = IMAGE) -> BytesIO:
    return BytesIO(data)
