"""A scripted fault run, `python -m tests.system.chaos --cases 50`.

Whatever is killed, cut or full, every accepted case ends with one outcome.
"""

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import httpx

from dermis.shared.case import PUBLIC_OWNER, case_key
from dermis.shared.stores import open_store
from dermis.sweep.settings import SweepSettings
from tests.system import stack, verify
from tests.system.clients import Clients
from tests.system.proxy import Proxy

CLIENTS = 4
STORE_FAULT_S = 10
NETWORK_FAULT_S = 5
SLOW_S = 0.3
ERASED = 5
RECOVERY_LIMIT_S = 300
DRAIN_LIMIT_S = 900
SETTLE_S = 5
MONTH_S = 31 * 86_400
STOPPED_S = 630
UNREADABLE = ("open", "scratch", "open-batches", "retention/ASSESS_ONLY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`begin` returns at once; after `lasts_s` seconds comes `end`."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None] = lambda: None
    lasts_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    fault: str
    in_work: int
    """Open cases at its beginning."""
    seconds: float | None
    """From the end of the fault until a case that was submitted then was finished; None: not within the limit."""


@dataclass(kw_only=True)
class Result:
    cases: int
    seed: int
    quick: bool
    sweep_interval_s: float
    sweep_resend_after_s: float
    skipped: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    accepted: int = 0
    probes: int = 0
    erased: int = 0
    erased_in_work: int = 0
    erased_when_full: int = 0
    client_retries: int = 0
    redelivered: int = 0
    temporary_files_left: int = 0
    drain_s: float = 0
    seconds: float = 0
    bad: list[str] = field(default_factory=list)


class Run:
    def __init__(self, parts: stack.Stack, result: Result) -> None:
        self._parts = parts
        self._result = result
        self._chance = random.Random(result.seed)  # noqa: S311
        self._clients = Clients(parts.url, result.seed)
        self._store = open_store(parts.store_url)
        self._http = httpx.Client(base_url=parts.url, timeout=15)
        self._begun = time.monotonic()
        self._erased: list[str] = []

    def go(self) -> None:
        faults = self._faults()
        self._clients.start(CLIENTS)
        try:
            keys = [f"case-{n}" for n in range(self._result.cases)]
            share = len(keys) / (len(faults) + 1)
            for n, fault in enumerate(faults):
                self._suffer(fault, keys[round(n * share) : round((n + 1) * share)], f"{n + 1}/{len(faults)}")
            for key in keys[round(len(faults) * share) :]:
                self._clients.todo.put(key)
            self._erase_in_work()
            self._drain()
            self._check()
        finally:
            self._clients.stop.set()

    def _faults(self) -> list[Fault]:
        parts, proxies = self._parts, self._parts.proxies

        def each(action: Callable[[Proxy], object]) -> Callable[[], None]:
            def on_all() -> None:
                for proxy in proxies:
                    action(proxy)

            return on_all

        faults = [Fault(name="worker killed", begin=partial(parts.kill, "worker"))] * max(
            2, self._result.cases * 10 // 500
        )
        faults += [
            Fault(name=f"{part} killed", begin=partial(parts.kill, part)) for part in ("serving", "metadata", "gateway")
        ]
        faults += [
            Fault(name="redis killed and wiped", begin=parts.wipe_redis),
            Fault(
                name="connections cut",
                begin=each(lambda proxy: proxy.cut_now()),
                end=each(lambda proxy: setattr(proxy, "cut", False)),
                lasts_s=NETWORK_FAULT_S,
            ),
            Fault(
                name="connections slowed",
                begin=each(lambda proxy: setattr(proxy, "slow_s", SLOW_S)),
                end=each(lambda proxy: setattr(proxy, "slow_s", 0)),
                lasts_s=NETWORK_FAULT_S,
            ),
        ]
        slow = 300 if not self._result.quick else 30
        faults += [
            Fault(name="redis damaged", begin=parts.damage_redis),
            Fault(
                name="store slow",
                begin=partial(parts.set, "slow_s", "2"),
                end=partial(parts.set, "slow_s", "0"),
                lasts_s=slow,
            ),
            Fault(
                name="gateway stopped",
                begin=partial(parts.stop, "gateway"),
                end=partial(parts.go_on, "gateway"),
                lasts_s=25 if self._result.quick else STOPPED_S,
            ),
            *(
                Fault(
                    name=f"{part}'s clock {way}",
                    begin=partial(parts.set, f"clock_{part}_s", str(sign * MONTH_S)),
                    end=partial(parts.set, f"clock_{part}_s", "0"),
                    lasts_s=10,
                )
                for part in ("sweep", "gateway", "worker")
                for way, sign in (("ahead", 1), ("back", -1))
            ),
            Fault(name="unreadable objects", begin=self._plant_unreadable, end=self._remove_unreadable, lasts_s=10),
        ]
        volume = parts.volume
        store = [
            Fault(
                name="store read-only",
                begin=partial(volume.read_only, True),
                end=partial(volume.read_only, False),
                lasts_s=STORE_FAULT_S,
            ),
            Fault(name="store full", begin=volume.fill, end=volume.empty, lasts_s=STORE_FAULT_S),
            Fault(
                name="store full, nobody frees",
                begin=partial(self._fill_in_work, volume.fill),
                end=volume.empty,
                lasts_s=STORE_FAULT_S,
            ),
            Fault(
                name="no inodes, nobody frees",
                begin=partial(self._fill_in_work, volume.fill_inodes),
                end=volume.empty,
                lasts_s=STORE_FAULT_S,
            ),
        ]
        if volume.mounted:
            faults += store
        else:
            self._result.skipped = [fault.name for fault in store]
        self._chance.shuffle(faults)
        return faults

    def _suffer(self, fault: Fault, keys: list[str], number: str) -> None:
        """Begin the fault while the first half of `keys` is in work, and submit the others while it lasts."""
        half = len(keys) // 2
        for key in keys[:half]:
            self._clients.todo.put(key)
        in_work = self._wait_in_work()
        fault.begin()
        try:
            for key in keys[half:]:
                self._clients.todo.put(key)
                time.sleep(fault.lasts_s / len(keys[half:]))
        finally:
            fault.end()
        ended = time.monotonic()
        probe = self._clients.submit(f"probe-{number}", self._http)
        self._result.probes += 1
        seconds = None
        while probe and time.monotonic() - ended < RECOVERY_LIMIT_S:
            if self._clients.finished(probe, self._http):
                seconds = round(time.monotonic() - ended, 1)
                break
            time.sleep(0.05)
        self._result.recoveries.append(Recovery(fault=fault.name, in_work=in_work, seconds=seconds))
        after = "did NOT recover" if seconds is None else f"recovered after {seconds} s"
        self._say(f"fault {number:<5}  {fault.name:<22}  {in_work} in work, {after}")

    def _fill_in_work(self, fill: Callable[[], None]) -> None:
        """Fill the store and wait until all that was accepted is closed.

        Nobody frees anything before, and erasing works meanwhile.
        """
        victim = next(iter(self._clients.accepted.items()), None)
        fill()
        if victim and self._clients.finished(victim[1], self._http):
            self._clients.erase(victim[1], self._http)
            self._clients.accepted.pop(victim[0])
            self._erased.append(victim[1])
            self._result.erased_when_full += 1
        deadline = time.monotonic() + RECOVERY_LIMIT_S
        while (left := list(self._store.list("open/"))) and time.monotonic() < deadline:
            if not {key.rpartition("/")[2] for key in left} - set(self._erased):
                break
            time.sleep(0.2)
        else:
            if left:
                self._result.bad.append(f"{len(left)} cases without an outcome on a full store")

    def _plant_unreadable(self) -> None:
        root = self._parts.volume.folder / "store"
        for prefix in UNREADABLE:
            (root / prefix).mkdir(parents=True, exist_ok=True)
            (root / prefix / "case_00000000000000000000000000").symlink_to("case_00000000000000000000000000")
            (root / prefix / "case_7zzzzzzzzzzzzzzzzzzzzzzzzz").write_bytes(b"no object of ours")

    def _remove_unreadable(self) -> None:
        for prefix in UNREADABLE:
            for name in ("case_00000000000000000000000000", "case_7zzzzzzzzzzzzzzzzzzzzzzzzz"):
                (self._parts.volume.folder / "store" / prefix / name).unlink(missing_ok=True)

    def _wait_in_work(self) -> int:
        """Return how many cases are open, once there are some."""
        deadline = time.monotonic() + 2
        while not (count := len(list(self._store.list("open/")))) and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(self._chance.uniform(0, 0.03))
        return count

    def _erase_in_work(self) -> None:
        """Erase cases while the worker is at them: slowed, so that the erasure comes in between."""
        self._wait_accepted()
        for proxy in self._parts.proxies:
            proxy.slow_s = SLOW_S
        for n in range(ERASED):
            case_id = self._clients.submit(f"erase-{n}", self._http)
            time.sleep(self._chance.uniform(0, 0.4))
            self._result.erased_in_work += not self._clients.finished(case_id, self._http)
            self._clients.erase(case_id, self._http)
            self._erased.append(case_id)
            self._clients.accepted.pop(f"erase-{n}", None)
        for proxy in self._parts.proxies:
            proxy.slow_s = 0
        self._result.erased = len(self._erased)
        self._say(f"erased {ERASED} cases, {self._result.erased_in_work} of them not finished yet")

    def _wait_accepted(self) -> None:
        while self._clients.todo.unfinished_tasks:
            time.sleep(0.1)

    def _drain(self) -> None:
        """Wait until the store says that nothing is open and nothing is left of what was erased."""
        begun = said = time.monotonic()
        while time.monotonic() - begun < DRAIN_LIMIT_S:
            still_open = len(list(self._store.list("open/")))
            traces = sum(
                set(self._store.list(f"{case_key(PUBLIC_OWNER, case)}/")) != {self._tombstone(case)}
                for case in self._erased
            )
            if not still_open and not traces:
                break
            if time.monotonic() - said > 5:
                said = time.monotonic()
                self._say(f"waiting: {still_open} open, {traces} not wholly erased")
            time.sleep(0.2)
        self._result.drain_s = round(time.monotonic() - begun, 1)
        time.sleep(SETTLE_S)  # what comes late must not bring an erased case back

    def _tombstone(self, case_id: str) -> str:
        return f"{case_key(PUBLIC_OWNER, case_id)}/erased.json"

    def _check(self) -> None:
        result, accepted = self._result, list(self._clients.accepted.values())
        result.accepted = len(accepted) - result.probes
        result.client_retries = self._clients.retries
        result.redelivered = sum("/redelivered/" in key for key in self._store.list("cases/"))
        result.bad += self._clients.surprises
        result.bad += verify.wrong_cases(self._store, accepted, self._erased)
        result.bad += [
            f"{case_id}: GET does not say FINISHED"
            for case_id in accepted
            if not self._clients.finished(case_id, self._http)
        ]
        result.bad += [
            f"no recovery from: {recovery.fault}" for recovery in result.recoveries if recovery.seconds is None
        ]
        wanted = result.cases + result.probes - result.erased_when_full
        if len(set(accepted)) != wanted:
            result.bad.append(f"{len(set(accepted))} cases accepted of {wanted}, {result.probes} probes among them")
        result.bad += verify.without_mark(self._store, accepted)
        result.temporary_files_left, stay = verify.temporary_files(self._parts.volume.folder / "store")
        if stay:
            result.bad.append(f"{stay} temporary files stay after an hour")
        result.seconds = round(time.monotonic() - self._begun, 1)

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:6.1f} s  {len(self._clients.accepted):4} accepted  {text}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=500, help="cases of the load (500); 50 or more")
    parser.add_argument("--seed", type=int, default=1, help="of the order and the moments of the faults (1)")
    parser.add_argument(
        "--quick", action="store_true", help="let the sweep look every 2 s and resend after 5 s, not as it ships"
    )
    parser.add_argument("--require-complete", action="store_true", help="fail where a fault could not be made")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument(
        "--keep",
        type=Path,
        help="new folder for the store and the parts' logs; without it they stay only after a failure",
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    defaults = SweepSettings.model_fields
    result = Result(
        cases=options.cases,
        seed=options.seed,
        quick=options.quick,
        sweep_interval_s=2 if options.quick else defaults["interval_seconds"].default,
        sweep_resend_after_s=5 if options.quick else defaults["resend_after_seconds"].default,
    )
    print(
        f"{options.cases} cases, seed {options.seed}; the sweep looks every {result.sweep_interval_s:g} s and resends "
        f"after {result.sweep_resend_after_s:g} s{' (--quick: not as shipped)' if options.quick else ' (as shipped)'}",
        flush=True,
    )
    folder = options.keep or Path(tempfile.mkdtemp(prefix="dermis-chaos-"))
    folder.mkdir(parents=True, exist_ok=options.keep is None)
    try:
        with stack.running(folder, quick=options.quick) as parts:
            if not parts.volume.mounted:
                print(
                    "INCOMPLETE: no tmpfs can be mounted here (root on Linux may); the store is neither "
                    "filled nor made read-only"
                )
            Run(parts, result).go()
    except KeyboardInterrupt:
        print("stopped; the run says nothing", file=sys.stderr)
        return 130
    finally:
        if not options.keep and not result.bad and result.seconds:
            shutil.rmtree(folder)
        else:
            print(f"store and logs: {folder}")
    report(result)
    if options.json:
        options.json.write_text(json.dumps(asdict(result) | {"complete": not result.skipped}, indent=2) + "\n")
    return 1 if result.bad or (result.skipped and options.require_complete) else 0


def report(result: Result) -> None:
    print(f"\n{'fault':<26}{'times':>6}{'in work':>9}{'median s':>10}{'longest s':>11}")
    for name in dict.fromkeys(recovery.fault for recovery in result.recoveries):
        same = [recovery for recovery in result.recoveries if recovery.fault == name]
        taken = [float("inf") if recovery.seconds is None else recovery.seconds for recovery in same]
        in_work = sum(recovery.in_work for recovery in same)
        print(f"{name:<26}{len(taken):>6}{in_work:>9}{statistics.median(taken):>10.1f}{max(taken):>11.1f}")
    print(
        f"\n{result.accepted} of {result.cases} cases and {result.probes} probes accepted "
        f"({result.client_retries} requests sent again)"
    )
    print(
        f"{result.redelivered} redeliveries; nothing open {result.drain_s:g} s after the last case; whole run "
        f"{result.seconds:g} s"
    )
    print(f"{result.erased} cases erased, {result.erased_in_work} before they were finished")
    print(f"{result.temporary_files_left} temporary files of killed writers, cleared by a later put")
    for name in result.skipped:
        print(f"INCOMPLETE: not done here: {name}")
    for line in result.bad:
        print(f"BAD  {line}")
    print("FAILED" if result.bad else "every accepted case has exactly one outcome")


if __name__ == "__main__":
    sys.exit(main())
