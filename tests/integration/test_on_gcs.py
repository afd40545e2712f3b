"""The whole system with its store in a bucket."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from dermis.client import BatchResult, Client
from dermis.shared.case import Outcome
from dermis.shared.stores import open_store
from dermis.standalone import demo
from tests.support.servers import BUCKET, fake_gcs

DERMIS = (sys.executable, "-m", "dermis.standalone")


def finish(client: Client, source: str) -> list[BatchResult]:
    """Have a batch of the images below a prefix of a bucket done and return its results."""
    batch = client.create_batch(source, prefix="skin/")
    client.wait_for_batch(batch.id, timeout=60)
    return list(client.batch_results(batch.id))


def test_a_case_and_a_batch_go_through_with_their_stores_in_a_bucket(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with fake_gcs() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setenv("DERMIS_GATEWAY_BATCH_SOURCES", f"gs://{BUCKET}/source")
        source_url = f"gs://{BUCKET}/source?anonymous=true"
        for image in demo.CASE.glob("*.jpg"):
            open_store(source_url).put_once(f"skin/{image.name}", image.read_bytes())
        store_url = f"gs://{BUCKET}/clinic?anonymous=true"
        command = [*DERMIS, "up", "--state", str(tmp_path / "state"), "--store", store_url, "--port", "0"]
        with subprocess.Popen(
            command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as up:
            assert up.stdout
            ready = next(found for line in up.stdout if (found := re.search(r"^ready in .* s: (http://\S+)", line)))
            images = sorted(map(str, demo.CASE.glob("*.jpg")))
            run = subprocess.run(
                [*DERMIS, "assess", *images, "--url", ready[1], "--json"], check=True, stdout=subprocess.PIPE, text=True
            )
            make = [*DERMIS, "keys", "create", "--name", "batches", "--scope", "admin", "--store", store_url]
            key = subprocess.run(make, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
            with Client(ready[1], key=key) as client:
                results = finish(client, source_url)
            up.send_signal(signal.SIGINT)
            up.stdout.read()
        assert up.returncode == 0
        case_id = json.loads(run.stdout)["id"]
        store = open_store(store_url)
        outcome = Outcome.model_validate_json(store.get(f"cases/public/{case_id}/outcome.json"))
        assert outcome.differential
        assert [result.name for result in results] == [
            "skin/at_an_angle.jpg",
            "skin/at_distance.jpg",
            "skin/close_up.jpg",
        ]
        assert all(result.outcome and result.outcome.differential for result in results)
        assert list(store.list("open/")) == []
