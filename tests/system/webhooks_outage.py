"""A receiver of webhooks is down while events gather, and the worker is killed: each event has one effect all the same.

Real Redis, store on disk, worker and sweep; events are put as a worker puts them before it closes a case. The worker is
killed (SIGKILL) twice: while the receiver is down, and in the midst of delivering. The outage lasts as long as it takes
to put the events: that half an hour of it loses none is shown in simulated time by tests/unit/worker/test_deliver.py.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from celery import Celery

from dermis.shared.addresses import networks_of
from dermis.shared.case import Outcome, OutcomeKind
from dermis.shared.ids import new_id
from dermis.shared.stores.disk import DiskStore
from dermis.shared.webhook_admin import Webhooks
from dermis.shared.webhook_store import Outbox
from dermis.shared.webhooks import DELIVERED_PREFIX, PENDING_PREFIX, event_id_of
from dermis.worker.bootstrap import send_delivery
from tests.support.receivers import Receiver, listening
from tests.support.servers import free_port, redis_server

OWNER = "key_01m82nmrzdescb95c4e8msawzy"
LOOPBACK = "127.0.0.0/8"
LONGEST_S = 900.0


class Part:
    """A part of dermis as a process, which can be killed and started anew."""

    def __init__(self, name: str, store: Path, broker_url: str, **settings: str) -> None:
        self._command = [sys.executable, "-m", f"dermis.{name}"]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
        self._environ = {**plain, "DERMIS_STORE_URL": store.as_uri(), "DERMIS_BROKER_URL": broker_url, **settings}
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def put_events(count: int, store: DiskStore, broker_url: str) -> set[str]:
    """Put the events of finished cases, as a worker does before it closes them; return their ids."""
    app = Celery(broker=broker_url, set_as_current=False)
    outbox = Outbox(store, send=lambda job: send_delivery(app, job), keep_seconds=60)
    ids = set()
    for _ in range(count):
        fact = Outcome(case_id=new_id("case"), finished_at=datetime.now(UTC), kind=OutcomeKind.REJECTION)
        ids |= {event_id_of(job.key) for job in outbox.put(fact, owner=OWNER)}
    app.close()
    return ids


def run(events: int, folder: Path, broker_url: str, ends: contextlib.ExitStack) -> bool:
    store = DiskStore(folder)
    receiver = Receiver(secret="", port=free_port())
    made = Webhooks(store=store, networks=networks_of(LOOPBACK)).create(owner=OWNER, url=receiver.url)
    receiver.secret = made.secrets[0].secret
    sender = {"DERMIS_WORKER_QUEUES": "webhooks", "DERMIS_WORKER_WEBHOOK_NETWORKS": LOOPBACK}
    worker = Part("worker", folder, broker_url, **sender)
    ends.callback(worker.stop)
    sweep = Part("sweep", folder, broker_url, DERMIS_SWEEP_INTERVAL_SECONDS="2")
    ends.callback(sweep.stop)
    begun = time.monotonic()
    ids = put_events(events // 2, store, broker_url)
    worker.kill()
    worker.start()
    ids |= put_events(events - len(ids), store, broker_url)
    pending = sum(1 for _ in store.list(PENDING_PREFIX))
    print(f"{len(ids):,} events in {time.monotonic() - begun:.0f} s while the receiver was down; {pending:,} pending")
    back = time.monotonic()
    ends.enter_context(listening(receiver))
    receiver.wait_for(events // 10, within_s=LONGEST_S)
    worker.kill()
    print(f"worker killed after {len(receiver.effects):,} effects")
    worker.start()
    receiver.wait_for(len(ids), within_s=LONGEST_S - (time.monotonic() - back))
    took = time.monotonic() - back
    while any(True for _ in store.list(PENDING_PREFIX)) and time.monotonic() - back < LONGEST_S:
        time.sleep(0.5)
    pending, receipts = (sum(1 for _ in store.list(prefix)) for prefix in (PENDING_PREFIX, DELIVERED_PREFIX))
    missing, strange = ids - set(receiver.effects), set(receiver.effects) - ids
    again = sum(count - 1 for count in receiver.requests.values())
    print(
        f"{len(receiver.effects):,} of {len(ids):,} events had their one effect, {took:.0f} s after the receiver came "
        f"back; {again:,} came more than once and had no second one; missing {len(missing)}, strange {len(strange)}, "
        f"pending {pending}, receipts {receipts:,}"
    )
    return not missing and not strange and pending == 0 and receipts == len(ids)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    events = parser.parse_args().events
    with tempfile.TemporaryDirectory() as folder, redis_server() as broker_url, contextlib.ExitStack() as ends:
        whole = run(events, Path(folder), broker_url, ends)
    print("held" if whole else "NOT HELD")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
