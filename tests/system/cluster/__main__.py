"""A day of dermis on the cluster of KUBECONFIG, `python -m tests.system.cluster --tag 0.1.0`.

The chart is installed into a namespace of its own; cases come while all is upgraded, drained, killed and restored. No
case may be lost or refused; how long cases waited is printed beside the aim, and judged by who knows the machine.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.cluster.clients import photos
from tests.system.cluster.kube import CHART, Release, chosen_filter, kubectl
from tests.system.cluster.stages import STAGES, Day

FIRST = ("look", "install")
"""Without these there is no day."""


def perform(day: Day, stages: dict[str, Callable[[Day], str]]) -> list[str]:
    """Do each stage and print its time and verdict; return what is not as it must be."""
    begun = time.monotonic()
    for name, stage in stages.items():
        start, before = time.monotonic(), len(day.bad)
        try:
            verdict = stage(day)
        except Exception as fault:  # noqa: BLE001 - one line for what broke, whatever it is
            verdict = f"{type(fault).__name__}: {fault}"
            day.bad.append(f"{name}: {verdict}")
        well = "ok " if len(day.bad) == before else "BAD"
        print(f"{well} {time.monotonic() - start:6.1f} s  {name:<22} {verdict}", flush=True)
        if name in FIRST and len(day.bad) > before:
            break
    print(f"{time.monotonic() - begun:.0f} s in all", flush=True)
    return day.bad


def clean_up(*namespaces: str) -> None:
    kubectl("delete", "namespace", *namespaces, "--ignore-not-found", "--timeout=180s")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.cluster", description=__doc__)
    parser.add_argument("--tag", required=True, help="of the images, which the nodes have or can pull")
    parser.add_argument("--namespace", default="dermis-test", help="made anew and deleted in the end (dermis-test)")
    parser.add_argument("--only", default="", help=f"stages, separated by commas, of {', '.join(STAGES)}")
    parser.add_argument("--chart", type=Path, default=CHART, help="another chart, an older one to compare with")
    parser.add_argument("--set", action="append", default=[], help="a value of the chart, name=value; may be repeated")
    parser.add_argument("--out", type=Path, help="folder for results and pictures; without it they go with the run")
    parser.add_argument("--keep", action="store_true", help="leave the namespaces as they are in the end")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    only = [name for name in options.only.split(",") if name]
    if unknown := set(only) - set(STAGES):
        parser.error(f"--only {','.join(sorted(unknown))}: no such stage; there are {', '.join(STAGES)}")
    stages = {name: stage for name, stage in STAGES.items() if not only or name in only}
    clients = f"{options.namespace}-clients"
    bad = ["it did not come to its end"]
    release = Release(
        namespace=options.namespace,
        tag=options.tag,
        filter=chosen_filter(),
        chart=options.chart,
        values=tuple(options.set),
    )
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        try:
            clean_up(options.namespace, clients)
            bad = perform(Day(release=release, client_namespace=clients, images=photos(), out=out), stages)
        except KeyboardInterrupt:
            print("stopped; the run says nothing", file=sys.stderr)
        finally:
            if not options.keep:
                clean_up(options.namespace, clients)
    for line in bad[:30]:
        print(f"BAD  {line}")
    print("FAILED" if bad else "no case was lost, none was refused")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
