"""What only the store on Google Cloud Storage has: a network that fails, permissions, connections."""

import gc
import http.server
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound
from dermis.shared.stores import open_store
from tests.support.servers import BUCKET, fake_gcs, free_port
from tests.support.wires import Wire, wire

pytest_plugins = ["tests.support.gcs"]
pytestmark = pytest.mark.usefixtures("gcs_url")  # the emulator's address in the environment; google's library imported


@pytest.fixture
def lossy(gcs_address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    with wire(gcs_address) as proxy:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        yield proxy


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_put_whose_answer_was_lost_still_knows_that_it_won(gcs_url: str, lossy: Wire, lost: int) -> None:
    store = open_store(gcs_url)
    lossy.lose = lost
    assert store.put_once("k", b"1") is True
    assert lossy.lose == 0
    assert store.put_once("k", b"1") is False
    lossy.lose = lost
    generation = store.replace("k", b"2", generation=store.get_versioned("k").generation)
    lossy.lose = lost
    assert store.get_versioned("k").generation == generation
    lossy.lose = lost
    with pytest.raises(BlobConflict):
        store.replace("k", b"3", generation=generation - 1)
    lossy.lose = lost
    assert list(store.list("")) == ["k"]
    lossy.lose = lost
    store.delete("k")
    with pytest.raises(BlobNotFound):
        store.get("k")


def test_a_server_that_is_away_is_a_passing_fault_and_its_return_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with fake_gcs(port=port) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        store = open_store(f"gs://{BUCKET}")
        assert store.put_once("k", b"1")
    began = time.monotonic()
    with pytest.raises(DermisError) as fault:
        store.get("k")
    assert time.monotonic() - began < 8
    assert (fault.value.kind, fault.value.reason) == (Kind.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert fault.value.retryable
    with fake_gcs(port=port):
        assert store.put_once("k", b"2")


def test_a_bucket_that_is_not_there_is_named() -> None:
    store = open_store("gs://no-such-bucket/prefix")
    for call in (lambda: store.put_once("k", b""), lambda: list(store.list(""))):
        with pytest.raises(DermisError, match="'no-such-bucket' is not there") as fault:
            call()
        assert (fault.value.kind, fault.value.reason) == (Kind.NOT_FOUND, "STORE_BUCKET")


TARGETS: list[str] = []
"""What was asked of `refusing`."""


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A server that answers every request with the status that stands in the list."""
    statuses, targets = [500], TARGETS
    targets.clear()

    class Refuse(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            targets.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(statuses[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        yield statuses
        server.shutdown()
        thread.join()
    gc.collect()


def test_a_delete_with_a_generation_asks_for_it_and_another_one_is_left(refusing: list[int]) -> None:
    from dermis.shared.stores.gcs import GcsStore

    refusing[0] = 412  # what Google answers where the object has another generation
    GcsStore(BUCKET).delete("k", generation=17)
    assert any("ifGenerationMatch=17" in target for target in TARGETS), "other stores' retries may come in between"


# Google's library drops the answers to its retried downloads unread, so their sockets wait for the collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (400, Kind.INTERNAL, "STORE_REFUSED"),
        (401, Kind.PERMISSION, "STORE_PERMISSION"),
        (403, Kind.PERMISSION, "STORE_PERMISSION"),
        (429, Kind.UNAVAILABLE, "STORE_UNAVAILABLE"),
        (500, Kind.UNAVAILABLE, "STORE_UNAVAILABLE"),
        (503, Kind.UNAVAILABLE, "STORE_UNAVAILABLE"),
    ],
)
def test_a_refusal_is_translated(refusing: list[int], status: int, kind: Kind, reason: str) -> None:
    from dermis.shared.stores.gcs import GcsStore  # on top it would cost every collection a second

    refusing[0] = status
    store = GcsStore(BUCKET, retry_s=0.3)
    calls = (
        lambda: store.put_once("k", b""),
        lambda: store.get("k"),
        lambda: store.get_versioned("k"),
        lambda: store.replace("k", b"", generation=1),
        lambda: store.delete("k"),
        lambda: list(store.list("")),
    )
    for call in calls:
        with pytest.raises(DermisError) as fault:
            call()
        assert (fault.value.kind, fault.value.reason) == (kind, reason)
        assert BUCKET in fault.value.detail


def test_missing_credentials_name_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path_factory.mktemp("none") / "key.json"))
    with pytest.raises(DermisError, match="give the process credentials") as fault:
        open_store(f"gs://{BUCKET}").get("k")
    assert fault.value.kind is Kind.PERMISSION


def test_an_anonymous_store_looks_for_no_credentials(gcs_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/key.json")
    store = open_store(f"{gcs_url}?anonymous=true")
    assert store.put_once("k", b"1")
    assert open_store(gcs_url).get("k") == b"1"


def test_a_prefix_keeps_to_itself(gcs_url: str) -> None:
    near, far = open_store(f"{gcs_url}/a"), open_store(f"{gcs_url}/ab/c/")
    near.put_once("k", b"near")
    far.put_once("k", b"far")
    assert (list(near.list("")), near.get("k")) == (["k"], b"near")
    assert set(open_store(gcs_url).list("")) == {"a/k", "ab/c/k"}


def test_many_threads_share_kept_connections(gcs_url: str, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(gcs_url)
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(48) as pool:
        assert all(pool.map(lambda n: store.put_once(f"k/{n}", b""), range(300)))
    assert "pool is full" not in caplog.text


def test_a_folder_store_does_not_pay_for_google() -> None:
    code = (
        "import sys; from dermis.shared.stores import open_store; open_store('file:///nowhere');"
        "print([name for name in sys.modules if name.startswith(('google.', 'requests'))])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "[]"
    )
