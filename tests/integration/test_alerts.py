"""Each alert fires by a real fault of a running `dermis up`, and is over once its runbook's commands were run.

A real Prometheus looks at all parts each second by the chart's rules, whose times alone are shortened
(tests/support/prometheus.py). The commands are read from the pages and run as they stand there. At the end a table is
printed: `pytest -m nightly -s tests/integration/test_alerts.py`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest

from dermis.shared.addresses import networks_of
from dermis.shared.bundles import models_root_of, point, publish
from dermis.shared.case import PUBLIC_OWNER, Consent, Received, fact_key, open_key
from dermis.shared.erasing import RetentionMark, link_key, retention_key
from dermis.shared.manifest import MANIFEST_FILE, VersionRef
from dermis.shared.stores.disk_layout import path_of
from dermis.shared.vocabulary import SelfReport
from dermis.shared.webhook_admin import Webhooks
from dermis.shared.webhook_store import CACHE_SECONDS
from dermis.shared.webhooks import EventType
from dermis.standalone import demo
from dermis.standalone.lan import make_face
from dermis.standalone.state import find_running
from tests.integration.test_up import Up, environment, parent_of, processes_of, running, until
from tests.support.images import encode
from tests.support.prometheus import Prometheus, running_prometheus
from tests.support.receivers import Receiver, listening
from tests.support.runbooks import RUN_BY_THE_FAULTS, read_runbook
from tests.support.servers import free_port
from tests.unit.sweep.test_retention import id_at

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
PARTS = ("gateway", "worker", "metadata", "serving", "sweep")
ROOM, LEAST = 512 * 1024**2, 48 * 1024**2
SETTINGS = {
    "DERMIS_SWEEP_INTERVAL_SECONDS": "1",
    "DERMIS_SWEEP_RESEND_AFTER_SECONDS": "3",
    "DERMIS_SWEEP_INCOMPLETE_AFTER_SECONDS": "8",
    "DERMIS_SWEEP_RESERVE_BYTES": "1000000",
    "DERMIS_GATEWAY_MIN_FREE_BYTES": str(LEAST),
    "DERMIS_GATEWAY_MAX_QUEUE_DEPTH": "12",
    "DERMIS_GATEWAY_MAX_QUEUE_SECONDS": "20",
    "DERMIS_GATEWAY_KEYLESS_RATE_PER_MINUTE": "0",
    "DERMIS_WORKER_SERVING_DEADLINE_SECONDS": "0.5",
    "DERMIS_WORKER_WEBHOOK_NETWORKS": "127.0.0.0/8",
    "PYTHONPATH": str(ROOT / "tests" / "system" / "fault_switches"),
}
FIRES_WITHIN_S, OVER_WITHIN_S = 180, 240
ROWS: list[tuple[str, str, float, float]] = []


@dataclass
class Scene:
    """A running system, what watches it, and the names that the runbooks leave to be filled in."""

    up: Up
    prometheus: Prometheus
    controls: Path
    tls_port: int
    second_port: int
    """Where a second worker shows its metrics, if there is one."""
    names: dict[str, str] = field(default_factory=dict)
    ends: ExitStack = field(default_factory=ExitStack)

    def submit(self) -> str | None:
        """Send a case; return its id, or None if it was refused."""
        files = [
            ("images", (image.name, image.read_bytes(), "image/jpeg")) for image in sorted(demo.CASE.glob("*.jpg"))
        ]
        answer = httpx.post(f"{self.up.url}/v1/cases", files=files[:1], data={"self_report": "{}"}, timeout=60)
        return str(answer.json()["id"]) if answer.status_code in (200, 202) else None

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.up.url}/readyz", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    def accepted(self) -> str:
        """Send a case until it is taken; what waited before may have to be worked off first."""
        taken: list[str] = []
        until(lambda: taken or taken.extend(filter(None, [self.submit()])), 90)
        return taken[0]

    def finished(self) -> str:
        case_id = self.accepted()
        until(lambda: self.up.status(case_id) == "FINISHED", 60)
        return case_id

    def stop(self, part: str) -> None:
        os.kill(self.up.pid(part), signal.SIGSTOP)

    def goes_on(self, part: str) -> None:
        os.kill(self.up.pid(part), signal.SIGCONT)

    def file(self, key: str) -> Path:
        return path_of(self.up.state / "store", key)

    def meanwhile(self, act: Callable[[], object], *, every_s: float) -> None:
        """Do something again and again until the fault is over."""
        over = threading.Event()

        def repeat() -> None:
            while not over.wait(every_s):
                with suppress(httpx.HTTPError, OSError):
                    act()

        thread = threading.Thread(target=repeat, daemon=True)
        thread.start()
        self.ends.callback(thread.join, 30)
        self.ends.callback(over.set)

    def run(self, command: str) -> None:
        """Run a runbook's command as it stands there."""
        environ = environment(self.up.state, self.names)
        environ["PATH"] = f"{sys.prefix}/bin:{environ['PATH']}"
        done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=False)
        print(f"$ {command}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        assert done.returncode == 0 or command == "dermis doctor", command  # which ends with 1 where something is wrong


@contextmanager
def disk_of_its_own(folder: Path) -> Iterator[None]:
    """Mount a small disk, so that filling it hurts nobody else."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={ROOM},mode=700", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a disk that may be filled")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("alerts")
    ports, state, controls = {part: free_port() for part in PARTS}, folder / "state", folder / "controls"
    controls.mkdir()
    tls_port, second_port = free_port(), free_port()
    listen = {f"DERMIS_{part.upper()}_METRICS_LISTEN": f"127.0.0.1:{port}" for part, port in ports.items()}
    jobs = {f"dermis-{part}": port for part, port in ports.items()} | {"tls": tls_port, "second-worker": second_port}
    with (
        disk_of_its_own(state / "store"),
        running(state, **SETTINGS, **listen, CHAOS_CONTROLS=str(controls)) as up,
        running_prometheus(folder / "prometheus", jobs) as prometheus,
    ):
        until(prometheus.is_ready, 60)
        store = (state / "store").as_uri()
        names = {"UP": str(up.process.pid), "STORE": str(state / "store"), "DERMIS_STORE_URL": store}
        scene = Scene(
            up,
            prometheus,
            controls,
            tls_port,
            second_port,
            names | listen | SETTINGS | {"CHAOS_CONTROLS": str(controls)},
        )
        scene.names.pop("PYTHONPATH")
        whole = scene.finished()
        scene.meanwhile(lambda: httpx.get(f"{up.url}/v1/cases/{whole}", timeout=30), every_s=0.2)
        time.sleep(8)
        yield scene
        scene.ends.close()
    print_rows()


def print_rows() -> None:
    print("\n| alert | fault | fired after | over after |\n|---|---|---|---|")
    for alert, fault, fired, over in ROWS:
        print(f"| {alert} | {fault} | {fired:.0f} s | {over:.0f} s |")


def metadata_stands_still(scene: Scene) -> None:
    scene.stop("metadata")


def a_fact_is_damaged(scene: Scene) -> None:
    case_id = scene.names["CASE"] = scene.finished()
    scene.file(fact_key("public", case_id, "outcome")).write_bytes(b"{")
    scene.meanwhile(lambda: httpx.get(f"{scene.up.url}/v1/cases/{case_id}", timeout=30), every_s=0.1)


def something_else_loads_the_store(scene: Scene) -> None:
    """For as long as another process runs each operation of the store takes 1.5 s longer."""
    other = subprocess.Popen(["sleep", "1000"])
    scene.names["LOAD"] = str(other.pid)
    switch = scene.controls / "slow_s"

    def load() -> None:
        if other.poll() is None:
            switch.write_text("1.5")
        else:
            switch.unlink(missing_ok=True)

    scene.ends.callback(switch.unlink, missing_ok=True)
    scene.ends.callback(other.kill)
    scene.meanwhile(load, every_s=0.2)


def the_worker_hangs(scene: Scene) -> None:
    scene.stop("worker")
    scene.names["CASE"] = scene.accepted()
    scene.meanwhile(scene.submit, every_s=0.5)


def the_worker_hangs_for_half_a_minute(scene: Scene) -> None:
    scene.stop("worker")
    for _ in range(5):
        scene.accepted()
    time.sleep(32)
    scene.goes_on("worker")


def an_accepted_case_loses_its_marker(scene: Scene) -> None:
    scene.stop("worker")
    scene.names["CASE"] = case_id = scene.accepted()
    scene.file(open_key(case_id)).unlink()
    scene.up.forget_jobs()
    until(lambda: "DermisCaseLost" in scene.prometheus.firing(), FIRES_WITHIN_S)
    scene.goes_on("worker")


def redis_stands_still(scene: Scene) -> None:
    scene.stop("redis")


def the_sweep_stands_still(scene: Scene) -> None:
    scene.stop("sweep")


def an_erased_case_has_a_damaged_object(scene: Scene) -> None:
    case_id = scene.finished()
    link = scene.file(link_key("public", case_id))
    link.unlink(missing_ok=True)
    link.symlink_to(link.name)
    scene.names["KEY"] = str(link.relative_to(scene.up.state / "store"))
    httpx.delete(f"{scene.up.url}/v1/cases/{case_id}", timeout=30)


def the_store_has_no_room(scene: Scene) -> None:
    other = scene.up.state / "store" / "film.mp4"
    scene.names["OTHER"] = str(other)
    free = os.statvfs(other.parent)
    with other.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - LEAST // 2)
    assert scene.submit() is None


def the_certificate_ends_in_a_week(scene: Scene) -> None:
    folder = scene.up.state.parent
    now = datetime.now(UTC)
    old = make_face(folder / "old", address="127.0.0.1", port=1, now=now - timedelta(days=390))
    new = make_face(folder / "new", address="127.0.0.1", port=1, now=now)
    names = {"CERTIFICATE": old.certificate, "KEY_FILE": old.key}
    names |= {"NEW_CERTIFICATE": new.certificate, "NEW_KEY": new.key}
    scene.names |= {name: str(path) for name, path in names.items()}
    environ = environment(scene.up.state, {}) | {
        "DERMIS_STORE_URL": scene.names["DERMIS_STORE_URL"],
        "DERMIS_GATEWAY_PORT": str(free_port()),
        "DERMIS_GATEWAY_TLS_CERTIFICATE": str(old.certificate),
        "DERMIS_GATEWAY_TLS_KEY": str(old.key),
        "DERMIS_GATEWAY_METRICS_LISTEN": f"127.0.0.1:{scene.tls_port}",
    }
    processes: list[subprocess.Popen[bytes]] = []

    def keep_running() -> None:
        if not processes or processes[-1].poll() is not None:
            processes.append(subprocess.Popen([sys.executable, "-m", "dermis.gateway"], env=environ))
            scene.names["TLS_GATEWAY"] = str(processes[-1].pid)

    def end() -> None:
        processes[-1].kill()
        processes[-1].wait()

    scene.ends.callback(end)
    keep_running()
    scene.meanwhile(keep_running, every_s=0.3)


def accepted_cases_are_damaged(scene: Scene) -> None:
    scene.stop("worker")
    files = [scene.file(fact_key("public", scene.accepted(), "received")) for _ in range(5)]
    facts = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(b"{")
    scene.goes_on("worker")
    until(lambda: "DermisFailures" in scene.prometheus.firing(), FIRES_WITHIN_S)
    for file, data in zip(files, facts, strict=True):
        file.write_bytes(data)  # the cause is gone
    scene.names["CASE"] = Received.model_validate_json(facts[0]).case_id


def workers_are_killed_in_the_middle(scene: Scene) -> None:
    main = scene.up.pid("worker")
    for _ in range(6):
        scene.accepted()
    switch = scene.controls / "slow_s"
    switch.write_text("1")  # so that each case is in work for long
    scene.ends.callback(switch.unlink, missing_ok=True)
    begun = time.monotonic()
    while "DermisWorkersLost" not in scene.prometheus.firing():
        assert time.monotonic() - begun < FIRES_WITHIN_S
        child = min((pid for pid in processes_of(scene.up.state) if parent_of(pid) == main), default=None)
        if child:  # one at a time, as a kernel does that is out of memory
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(1.5)


def serving_stands_still(scene: Scene) -> None:
    scene.stop("serving")
    for _ in range(3):
        scene.accepted()


def the_clock_of_the_sweep_jumps(scene: Scene) -> None:
    old = id_at(datetime.now(UTC) - timedelta(days=40), "case")
    store, mark = scene.up.store, retention_key(Consent.ASSESS_ONLY, old)
    received = Received(case_id=old, owner="public", received_at=datetime.now(UTC), images=(), self_report=SelfReport())
    (scene.controls / "clock_sweep_s").write_text("7200")
    until(lambda: scene.prometheus.ask("max(dermis_sweep_clock_in_doubt) > 0"), 60)
    store.put_once(fact_key("public", old, "received"), received.model_dump_json().encode())
    store.put_once(mark, RetentionMark(owner="public").model_dump_json().encode())
    then = time.time() - 40 * 86_400
    os.utime(scene.file(mark), (then, then))


def nobody_sends_webhooks(scene: Scene) -> None:
    """An event waits for its receiver, which is there, as the worker that sends it hangs."""
    webhooks = Webhooks(store=scene.up.store, networks=networks_of("127.0.0.0/8"))
    receiver = scene.ends.enter_context(listening(Receiver(secret="", port=0)))
    created = webhooks.create(owner=PUBLIC_OWNER, url=receiver.url, events=[EventType.CASE_FINISHED])
    receiver.secret = created.secrets[0].secret
    scene.ends.callback(webhooks.delete, PUBLIC_OWNER, created.endpoint.endpoint_id)
    time.sleep(CACHE_SECONDS)
    scene.stop("webhooks")
    scene.finished()


def other_photos_come_in(scene: Scene) -> None:
    """A camera or an app that sends black photos, after cases as they were before."""
    for _ in range(12):
        scene.finished()
    time.sleep(40)  # until they are older than what the rules call the last six hours
    black = encode(np.zeros((400, 400, 3), np.uint8), "JPEG")
    begun = time.monotonic()
    while not {"DermisQualityDrift", "DermisOutcomeDrift"} <= scene.prometheus.firing():
        assert time.monotonic() - begun < FIRES_WITHIN_S
        with suppress(httpx.HTTPError):
            files = [("images", ("black.jpg", black, "image/jpeg"))]
            httpx.post(f"{scene.up.url}/v1/cases", files=files, data={"self_report": "{}"}, timeout=60)


def serving_of_one_worker_never_loads_what_was_promoted(scene: Scene) -> None:
    """A second worker asks a serving of its own, which has looked for versions once."""
    running = find_running(scene.up.state)
    assert running
    address = f"127.0.0.1:{free_port()}"
    environ = environment(scene.up.state, {}) | running.variables
    environ |= {"DERMIS_STORE_URL": scene.names["DERMIS_STORE_URL"], "DERMIS_SERVING_ADDRESS": address}
    serving = {"DERMIS_SERVING_LISTEN": address, "DERMIS_SERVING_POLL_SECONDS": "3600"}
    serving |= {"DERMIS_SERVING_METRICS_LISTEN": ""}
    worker = {"DERMIS_WORKER_METRICS_LISTEN": f"127.0.0.1:{scene.second_port}"}
    for part, variables in (("serving", serving), ("worker", worker)):
        process = subprocess.Popen([sys.executable, "-m", f"dermis.{part}"], env=environ | variables)
        scene.ends.callback(process.wait)
        scene.ends.callback(process.terminate)
    scene.meanwhile(scene.submit, every_s=0.3)
    until(lambda: scene.prometheus.ask("count(dermis_worker_model_version) > 1"), 90)
    again = scene.up.state.parent / "version-2"
    shutil.copytree(demo.BUNDLE, again)
    document = json.loads((again / MANIFEST_FILE).read_text(encoding="utf-8"))
    (again / MANIFEST_FILE).write_text(json.dumps(document | {"version": 2}), encoding="utf-8")
    publish(scene.up.store, again)
    root = models_root_of(scene.names["DERMIS_STORE_URL"])
    point(scene.up.store, VersionRef(name="dermis", version=2), models_root=root)


FAULTS: dict[Callable[[Scene], None], list[str]] = {
    metadata_stands_still: ["DermisPartDown"],
    a_fact_is_damaged: ["DermisErrors", "DermisErrorBudgetBurnsFast", "DermisErrorBudgetBurnsSlowly"],
    something_else_loads_the_store: ["DermisAnswersSlow"],
    the_worker_hangs: ["DermisQueueOld", "DermisCasesStuck", "DermisCaseOverdue", "DermisRefusesCases"],
    the_worker_hangs_for_half_a_minute: ["DermisCasesSlow"],
    redis_stands_still: ["DermisBrokerDown"],
    the_sweep_stands_still: ["DermisSweepSilent"],
    serving_stands_still: ["DermisPeerAway"],
    workers_are_killed_in_the_middle: ["DermisWorkersLost"],
    accepted_cases_are_damaged: ["DermisFailures"],
    an_accepted_case_loses_its_marker: ["DermisCaseLost"],
    an_erased_case_has_a_damaged_object: ["DermisErasureBehind", "DermisBrokenObjects"],
    the_store_has_no_room: ["DermisStoreFull", "DermisStoreFilling"],
    the_certificate_ends_in_a_week: ["DermisCertificateEnds"],
    nobody_sends_webhooks: ["DermisWebhooksBehind"],
    serving_of_one_worker_never_loads_what_was_promoted: ["DermisModelsDiffer"],
    other_photos_come_in: ["DermisQualityDrift", "DermisOutcomeDrift"],
    the_clock_of_the_sweep_jumps: ["DermisClockInDoubt", "DermisRetentionBehind"],
}


def test_every_alert_that_a_page_is_run_for_has_a_fault() -> None:
    assert {alert for alerts in FAULTS.values() for alert in alerts} == RUN_BY_THE_FAULTS


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_alert_fires_and_its_runbook_ends_it(scene: Scene, fault: Callable[[Scene], None]) -> None:
    alerts = FAULTS[fault]
    until(lambda: not scene.prometheus.firing() & set(alerts), OVER_WITHIN_S)
    begun, fired = time.monotonic(), dict[str, float]()
    with ExitStack() as ends:
        kept, scene.ends = scene.ends, ends
        try:
            fault(scene)

            def all_fired() -> bool:
                for alert in scene.prometheus.firing() & set(alerts):
                    fired.setdefault(alert, time.monotonic() - begun)
                return len(fired) == len(alerts)

            until(all_fired, FIRES_WITHIN_S)
            acted, over = time.monotonic(), dict[str, float]()
            for alert in alerts:
                page = read_runbook(alert)
                for query in page.queries:
                    scene.prometheus.ask(query)
                for command in [*page.looks, *page.actions]:
                    scene.run(command)

            def all_over() -> bool:
                firing = scene.prometheus.firing()
                for alert in set(alerts) - firing:
                    over.setdefault(alert, time.monotonic() - acted)
                return not firing & set(alerts)

            until(all_over, OVER_WITHIN_S)
            for alert in alerts:
                ROWS.append((alert, fault.__name__.replace("_", " "), fired[alert], over[alert]))
                print(ROWS[-1])
        finally:
            scene.ends = kept
            for pid in processes_of(scene.up.state):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
    until(scene.is_ready, 60)
    whole = scene.finished()  # the system is well again
    assert scene.up.status(whole) == "FINISHED"
