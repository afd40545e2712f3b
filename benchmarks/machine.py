"""Where and when something was measured, as a page states it."""

import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from dermis.data.report.markdown import markdown_table

Loads = tuple[float, float, float]
NOISE = "**The machine was not quiet when the run began: others had part of the cores; times are upper bounds.**"


def about(module: str, load: Loads, *, packages: Iterable[str] = (), **more: str) -> str:
    """Return a table of date, command, machine, versions and load; `load`: the averages before the run."""
    cores = os.cpu_count() or 1
    versions = [f"dermis {version('dermis')} at {commit()}", f"Python {platform.python_version()}"]
    versions += [f"{package} {version(package)}" for package in packages]
    versions += [f"{name} {value}" for name, value in more.items()]
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "command": f"`{shlex.join(['python', '-m', module, *sys.argv[1:]])}`",
        "machine": f"{processor()}, {cores} cores, {_memory_gb():.0f} GB, {system}",
        "versions": ", ".join(versions),
        "load average": f"{_averages(load)} before, {_averages(os.getloadavg())} after "
        "(1, 5, 15 min; the run's own load is in the second)",
    }
    return markdown_table(["", ""], facts.items()) + "\n" + (f"\n{NOISE}\n" if load[0] > cores / 4 else "")


def measured_at() -> str:
    """Return date, commit and machine as the start of a sentence."""
    return f"Measured {datetime.now(UTC):%Y-%m-%d} at {commit()}: {os.cpu_count()} cores, {processor()}"


def processor() -> str:
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else None
    return model[1] if model else platform.machine()


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    return subprocess.run(
        command, cwd=Path(__file__).parent, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _averages(load: Loads) -> str:
    return " ".join(f"{each:.2f}" for each in load)


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
