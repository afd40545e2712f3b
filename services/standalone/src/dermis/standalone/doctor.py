"""What could keep dermis from running on this machine, and what to do about it."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata

from dermis.shared.bundles import read_current, read_manifest
from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from dermis.shared.manifest import MANIFEST_FILE
from dermis.shared.ports import BlobNotFound
from dermis.shared.settings import load, with_state_folder
from dermis.shared.stores import open_store
from dermis.shared.urls import masked
from dermis.standalone import demo, extras, variables
from dermis.standalone.addresses import LOOPBACK, is_free
from dermis.standalone.broker import find_redis_server
from dermis.standalone.finding import Finding, Level, fail, ok
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import find_running, open_store_of
from dermis.standalone.system import OF_A_SYSTEM, RunningSystem, examine_system, find_system, redis_finding

_LEAST_DISK_MB, _ENOUGH_DISK_MB = 200, 2000
_TO_RUN = ("gateway", "metadata", "serving", "worker")
_TO_TRAIN = ("data", "trainer")
_EXTRA_OF_IMAGE = {"sweep": "models"}
"""Images whose extra has another name than their part."""


def examine(environ: Mapping[str, str], url: str = "") -> Iterator[Finding]:
    """Yield a finding for each thing that was looked at: of this machine, and of the parts of a system that runs.

    A running system is that of `dermis up` with the same state, else that which the variables of a pod name, with its
    gateway at `url`. A fault of one does not keep the others from being looked at.
    """
    there = _system(environ, url)
    for about, check in _CHECKS.items():
        if there and about in OF_A_SYSTEM:
            continue
        try:
            yield check(environ)
        except DermisError as error:
            yield Finding(level=Level.FAIL, about=about, text=error.detail)
        except (OSError, subprocess.SubprocessError) as fault:
            yield fail(
                about,
                f"could not be looked at: {fault}",
                "look at the path or program that is named, and who may use it",
            )
    if there:
        yield from examine_system(there, lambda: open_store(load_standalone(environ).store_url))


def _system(environ: Mapping[str, str], url: str) -> RunningSystem | None:
    try:
        return find_system(environ, find_running(load_standalone(environ).state), url)
    except DermisError:  # `_settings` says what is wrong with them
        return None


def _python(_: Mapping[str, str]) -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return ok("python", f"{version}, {sys.platform}")
    return fail("python", f"{version} is not supported", "make the environment with Python 3.11, 3.12 or 3.13")


def _packages(environ: Mapping[str, str]) -> Finding:
    part = environ.get("PART")  # an image, which holds one part
    wanted = (_EXTRA_OF_IMAGE.get(part, part),) if part else _TO_RUN
    lacking = extras.missing(wanted)
    if lacking:
        names = sorted({name for missing in lacking.values() for name in missing})
        whole = f"the part {part}" if part else "all parts"
        return fail("packages", f"to run {whole}, missing or too old: {', '.join(names)}", extras.remedy(lacking))
    text = f"dermis {metadata.version(extras.DISTRIBUTION)} with {', '.join(wanted)}"
    if part:
        return ok("packages", f"{text}, as the image of {part} has it")
    untrained = extras.missing(_TO_TRAIN)
    return ok(
        "packages",
        text + (f"; without {', '.join(sorted(untrained))} (only needed to profile and train)" if untrained else ""),
    )


def _settings(environ: Mapping[str, str]) -> Finding:
    faults = []
    for part, model in variables.models().items():
        try:
            load(model, part, with_state_folder(environ))
        except DermisError as error:
            faults.extend(error.detail.split("; "))
    if faults:
        return fail(
            "settings", "; ".join(dict.fromkeys(faults)), "correct or unset these variables; `dermis config` shows all"
        )
    return ok("settings", "every DERMIS_* variable is understood; `dermis config` shows them")


def _redis(environ: Mapping[str, str]) -> Finding:
    load_standalone(environ)
    if "DERMIS_BROKER_URL" in environ:
        return redis_finding(environ["DERMIS_BROKER_URL"])
    executable = find_redis_server(environ)
    version = subprocess.run(  # noqa: S603
        [executable, "--version"], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    return ok("redis", f"{executable} ({' '.join(version.split()[:3]) or 'version unknown'}), started by `dermis up`")


def _gateway(environ: Mapping[str, str]) -> Finding:
    host, text = environ.get("DERMIS_GATEWAY_HOST", LOOPBACK), environ.get("DERMIS_GATEWAY_PORT", "8080")
    if text.isdigit() and is_free(host, int(text)):
        return ok("gateway", f"{host}:{text} is free")
    return fail(
        "gateway", f"{host}:{text} is taken or can't be listened on", "stop what is there, or set DERMIS_GATEWAY_PORT"
    )


def _disk(environ: Mapping[str, str]) -> Finding:
    state = load_standalone(environ).state
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    free = shutil.disk_usage(there).free // 10**6
    if free >= _ENOUGH_DISK_MB:
        return ok("disk", f"{free:,} MB free at {there}")
    level = Level.WARN if free >= _LEAST_DISK_MB else Level.FAIL
    return Finding(
        level=level,
        about="disk",
        text=f"{free:,} MB free at {there}",
        remedy="make room, or name another folder with --state",
    )


def _store(environ: Mapping[str, str]) -> Finding:
    settings = load_standalone(environ)
    store = open_store_of(settings)
    key = f"scratch/{new_id('doctor')}"
    store.put_once(key, b"dermis doctor")
    store.delete(key)
    return ok("store", f"{masked(settings.store_url)} can be written")


def _bundle(environ: Mapping[str, str]) -> Finding:
    store = open_store(load_standalone(environ).store_url)
    try:
        current = read_current(store).current
    except DermisError as error:
        if error.reason != "NO_CURRENT_MODEL":
            raise
        if (demo.BUNDLE / MANIFEST_FILE).is_file():
            return Finding(
                level=Level.WARN,
                about="bundle",
                text="the store has no model",
                remedy="`dermis up` installs the demo bundle; else promote one",
            )
        return fail("bundle", "the store has no model, and this installation carries no demo bundle", "promote a model")
    manifest = read_manifest(store, current)
    broken = []
    for path, digest in manifest.files.items():
        try:
            if hashlib.sha256(store.get(f"{manifest.key}/{path}")).hexdigest() != digest:
                broken.append(f"{path} was changed")
        except BlobNotFound:
            broken.append(f"{path} is missing")
    text = f"{manifest.name} version {manifest.version}, purpose {manifest.purpose}"
    if broken:
        return fail(
            "bundle", f"{text}: {', '.join(broken)}", "publish that version again, or point to the previous one"
        )
    if manifest.purpose == "demo":
        return Finding(
            level=Level.WARN,
            about="bundle",
            text=f"{text}: its answers have no clinical meaning",
            remedy="promote a trained model",
        )
    return ok("bundle", f"{text}, all {len(manifest.files)} files whole")


_CHECKS: dict[str, Callable[[Mapping[str, str]], Finding]] = {
    "python": _python,
    "packages": _packages,
    "settings": _settings,
    "redis": _redis,
    "gateway": _gateway,
    "disk": _disk,
    "store": _store,
    "bundle": _bundle,
}
