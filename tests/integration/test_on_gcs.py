"""The whole system with its store in a bucket."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from dermis.shared.case import Outcome
from dermis.shared.stores import open_store
from dermis.standalone import demo
from tests.support.servers import BUCKET, fake_gcs

DERMIS = (sys.executable, "-m", "dermis.standalone")


def test_a_case_goes_through_with_its_store_in_a_bucket(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with fake_gcs() as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        store_url = f"gs://{BUCKET}/clinic?anonymous=true"
        command = [*DERMIS, "up", "--state", str(tmp_path / "state"), "--store", store_url, "--port", "0"]
        with subprocess.Popen(command, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up:
            assert up.stdout
            ready = next(found for line in up.stdout if (found := re.search(r"^ready in .* s: (http://\S+)", line)))
            images = sorted(map(str, demo.CASE.glob("*.jpg")))
            run = subprocess.run([*DERMIS, "assess", *images, "--url", ready[1], "--json"], check=True, stdout=subprocess.PIPE, text=True)
            up.send_signal(signal.SIGINT)
            up.stdout.read()
        assert up.returncode == 0
        case_id = json.loads(run.stdout)["id"]
        store = open_store(store_url)
        outcome = Outcome.model_validate_json(store.get(f"cases/public/{case_id}/outcome.json"))
        assert outcome.differential
        assert list(store.list("open/")) == []
