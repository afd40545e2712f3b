"""The system under fault.

All parts are processes, the worker's connections go through proxies, the store is on a small mount.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from dermis.shared.stores import open_store
from dermis.standalone.bundle import ensure_bundle
from dermis.standalone.processes import Part, ProcessPlan, make_plan
from dermis.standalone.settings import load_standalone
from dermis.standalone.supervisor import Sink, Supervisor
from tests.system.proxy import Proxy

MOUNT_MB = 64
MOUNT_INODES = 40_000
QUICK = {
    "DERMIS_SWEEP_INTERVAL_SECONDS": "2",
    "DERMIS_SWEEP_RESEND_AFTER_SECONDS": "5",
    "DERMIS_SWEEP_INCOMPLETE_AFTER_SECONDS": "20",
}
MANY_CALLERS = {"DERMIS_GATEWAY_KEYLESS_RATE_PER_MINUTE": "0"}
"""One address stands for many callers; what is not about a caller's rate must not meet it."""
SMALL = {
    "DERMIS_GATEWAY_MIN_FREE_BYTES": str(8 << 20),
    "DERMIS_GATEWAY_MIN_FREE_INODES": "1000",
    "DERMIS_SWEEP_RESERVE_BYTES": str(4 << 20),
}
"""Of a store of 64 MB."""
_BALLAST_PIECES = (1 << 20, 1 << 12)


class Volume:
    """The folder of the store; `mounted` if it is a file system of its own, which can be filled and made read-only."""

    def __init__(self, folder: Path, *, own: bool) -> None:
        self.folder = folder
        folder.mkdir()
        may = own and sys.platform == "linux" and os.geteuid() == 0
        self.mounted = may and _mount(
            "-t", "tmpfs", "-o", f"size={MOUNT_MB}m,nr_inodes={MOUNT_INODES}", "tmpfs", str(folder)
        )

    def fill(self) -> None:
        """Leave no free block."""
        for piece in _BALLAST_PIECES:
            with (self.folder / f"ballast-{piece}").open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(piece))

    def fill_inodes(self) -> None:
        """Leave no free inode."""
        folder = self.folder / "ballast-inodes"
        folder.mkdir()
        with suppress(OSError):
            for n in range(MOUNT_INODES):
                (folder / str(n)).touch()

    def empty(self) -> None:
        shutil.rmtree(self.folder / "ballast-inodes", ignore_errors=True)
        for piece in _BALLAST_PIECES:
            (self.folder / f"ballast-{piece}").unlink(missing_ok=True)

    def read_only(self, on: bool) -> None:
        deadline = time.monotonic() + 10
        while not _mount(
            "-o", f"remount,{'ro' if on else 'rw'}", str(self.folder)
        ):  # busy while a file is open for writing
            if time.monotonic() > deadline:
                raise RuntimeError(f"the store could not be remounted {'read-only' if on else 'writable'} within 10 s")
            time.sleep(0.005)

    def close(self) -> None:
        if self.mounted:
            for way in ((), ("-l",)):
                if subprocess.run(["umount", *way, str(self.folder)], check=False, capture_output=True).returncode == 0:
                    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    url: str
    store_url: str
    broker_url: str
    redis_folder: Path
    volume: Volume
    proxies: tuple[Proxy, ...]
    supervisor: Supervisor
    controls: Path

    def kill(self, part: str) -> None:
        """Kill -9 a part and its children, as a pod is lost."""
        deadline = time.monotonic() + 30
        while (pid := self.supervisor.children[part].pid) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{part} does not run, so it can't be killed")
            time.sleep(0.05)
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def stop(self, part: str) -> None:
        """SIGSTOP a part and its children, as a machine that stalls."""
        self._signal(part, signal.SIGSTOP)

    def go_on(self, part: str) -> None:
        self._signal(part, signal.SIGCONT)

    def _signal(self, part: str, number: signal.Signals) -> None:
        pid = self.supervisor.children[part].pid
        assert pid
        os.killpg(pid, number)

    def set(self, name: str, value: str) -> None:
        """Change what the parts find in a file of `controls`, by which faults are switched."""
        (self.controls / name).write_text(value)

    def damage_redis(self) -> None:
        """Kill Redis and put zeros into the midst of its append-only file before it is started again."""
        self.kill("redis")
        for path in [*self.redis_folder.glob("appendonly.aof"), *self.redis_folder.glob("appendonlydir/*.aof")]:
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2] + bytes(40) + data[len(data) // 2 :])

    def wipe_redis(self) -> None:
        """Kill Redis and take its data away before it is started again."""
        self.kill("redis")
        for entry in self.redis_folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@contextmanager
def running(folder: Path, *, quick: bool, own_mount: bool = True, **settings: str) -> Iterator[Stack]:
    """Run all parts below `folder` until the block ends; nothing is left running or mounted then."""
    volume = Volume(folder / "volume", own=own_mount)
    proxies: tuple[Proxy, ...] = ()
    try:
        plan = _plan(folder, volume, quick=quick, settings=settings)
        addresses = {name: plan.environ[name] for name in ("DERMIS_METADATA_ADDRESS", "DERMIS_SERVING_ADDRESS")}
        broker = urlsplit(plan.broker_url).netloc.rpartition("@")[2]
        by_name = {name: Proxy(target) for name, target in (*addresses.items(), ("broker", broker))}
        proxies = tuple(by_name.values())
        through = {name: by_name[name].address for name in addresses} | {
            "DERMIS_BROKER_URL": plan.broker_url.replace(broker, by_name["broker"].address)
        }
        supervisor = Supervisor(
            [_redirected(part, through) for part in plan.parts], plan.environ, _logs(folder / "parts.log")
        )
        supervisor.start()
        try:
            ensure_bundle(open_store(plan.environ["DERMIS_STORE_URL"]))
            supervisor.wait_ready(seconds=90, cancelled=threading.Event())
            yield Stack(
                url=plan.url,
                store_url=plan.environ["DERMIS_STORE_URL"],
                broker_url=plan.broker_url,
                redis_folder=folder / "state" / "redis",
                volume=volume,
                proxies=proxies,
                supervisor=supervisor,
                controls=folder / "controls",
            )
        finally:
            supervisor.stop(seconds=10, hurry=threading.Event())
    finally:
        for proxy in proxies:
            proxy.stop()
        if volume.mounted:
            with suppress(RuntimeError):
                volume.read_only(False)
            volume.empty()
            shutil.copytree(volume.folder, folder / "evidence")
        volume.close()


def _plan(folder: Path, volume: Volume, *, quick: bool, settings: dict[str, str]) -> ProcessPlan:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DERMIS_")}
    environ = kept | {
        "DERMIS_STANDALONE_STATE": str(folder / "state"),
        "DERMIS_STORE_URL": (volume.folder / "store").as_uri(),
        "DERMIS_GATEWAY_PORT": "0",
        **(SMALL if volume.mounted else {}),
        **(QUICK if quick else {}),
        **_switches(folder / "controls"),
        **MANY_CALLERS,
        **settings,
    }
    return make_plan(load_standalone(environ), environ)


SWITCHES = Path(__file__).parent / "fault_switches"
"""Its `sitecustomize` reads what `Stack.set` has written."""


def _switches(folder: Path) -> dict[str, str]:
    """Return the variables by which each part loads what switches faults on and off."""
    folder.mkdir()
    return {"PYTHONPATH": str(SWITCHES), "CHAOS_CONTROLS": str(folder)}


def _redirected(part: Part, variables: dict[str, str]) -> Part:
    if part.name != "worker":
        return part
    return replace(part, command=("env", *(f"{name}={value}" for name, value in variables.items()), *part.command))


def _logs(path: Path) -> Sink:
    file = path.open("w", buffering=1)
    lock = threading.Lock()

    def write(part: str, line: str, /) -> None:
        with lock:
            file.write(f"{time.strftime('%H:%M:%S')} {part:9} {line}\n")

    return write


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0
