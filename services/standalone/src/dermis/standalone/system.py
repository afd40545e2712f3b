"""Whether each part of a running system is well: one finding for each, with what to do.

Parts that use Redis show themselves there (`dermis.shared.presence`), so that they are seen from wherever Redis is;
metadata and serving are asked.
"""

import ssl
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import islice
from urllib.parse import urlsplit

import redis

from dermis.shared.bundles import read_current
from dermis.shared.case import Status
from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from dermis.shared.listing import Filter, list_cases, owners
from dermis.shared.ports import BlobStore
from dermis.shared.presence import Present, read_presence
from dermis.shared.queue import CeleryQueue
from dermis.shared.urls import masked
from dermis.shared.webhook_store import owners_of_webhooks
from dermis.shared.webhooks import DEAD_PREFIX, endpoint_of
from dermis.standalone.finding import Finding, Level, fail, ok, warn
from dermis.standalone.peers import PeerAnswer, ask_health, ask_serving
from dermis.standalone.probes import answers_ok
from dermis.standalone.state import Running

_WAIT_S = 3.0
_SLOW_REDIS_MS, _SLOW_STORE_MS = 50, 1000
_CLOCK_WARN, _CLOCK_FAIL = timedelta(minutes=1), timedelta(minutes=10)
_LEAST_FREE_BYTES = "1073741824"
_CERTIFICATE_WARN = timedelta(days=14)
OF_A_SYSTEM = ("redis", "gateway", "store")
"""What is looked at here in place of the machine's own."""
MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSystem:
    """Where the parts of a running system are; an empty address is not looked at."""

    broker_url: str
    metadata_address: str
    serving_address: str
    url: str = ""
    """Of the gateway."""
    pid: int = 0
    """The process of `dermis up`."""
    certificate_urls: tuple[str, ...] = ()
    least_free_bytes: int = int(_LEAST_FREE_BYTES)


def find_system(environ: Mapping[str, str], running: Running | None, url: str = "") -> RunningSystem | None:
    """Return where the parts are: of a `dermis up`, else by the variables of a pod or `url`; None if none is named."""
    names = ("DERMIS_BROKER_URL", "DERMIS_METADATA_ADDRESS", "DERMIS_SERVING_ADDRESS")
    if running is None and not url and not all(name in environ for name in names):
        return None
    variables = running.variables if running else environ
    broker, metadata, serving = (variables.get(name, "") for name in names)
    address = url or (running.url if running else "")
    faces = (address, running.lan_url if running else "")
    return RunningSystem(
        broker_url=broker,
        metadata_address=metadata,
        serving_address=serving,
        url=address,
        pid=running.pid if running else 0,
        certificate_urls=tuple(face for face in faces if face.startswith("https://")),
        least_free_bytes=int(environ.get("DERMIS_GATEWAY_MIN_FREE_BYTES", _LEAST_FREE_BYTES)),
    )


def examine_system(there: RunningSystem, open_it: Callable[[], BlobStore]) -> Iterator[Finding]:
    """Yield a finding for each part; a fault of one does not keep the others from being looked at."""
    checks: dict[str, Callable[[], Finding]] = {
        "redis": lambda: redis_finding(there.broker_url),
        "gateway": lambda: _gateway(there),
        "worker": lambda: _present(there, "worker", "no case comes to an outcome"),
        "sweep": lambda: _present(there, "sweep", "lost jobs stay lost and nothing is erased by its time"),
        "metadata": lambda: _metadata(there.metadata_address),
        "serving": lambda: _serving(there.serving_address, open_it()),
        "queue": lambda: _queue(there, open_it()),
        "webhooks": lambda: _webhooks(there, open_it()),
        "store": lambda: _store(there, open_it()),
    }
    for n, url in enumerate(there.certificate_urls):
        checks[f"certificate {n}"] = lambda url=url: _certificate(url)  # type: ignore[misc]
    for about, check in checks.items():
        try:
            yield check()
        except DermisError as error:
            yield fail(about, error.detail, "mend that first")
        except (redis.RedisError, ValueError) as fault:
            yield fail(about, f"Redis can't be asked ({type(fault).__name__})", "see the line about redis")
        except OSError as fault:
            yield fail(about, f"could not be looked at: {fault}", "look at what is named, and who may reach it")


def _client(there: RunningSystem) -> "redis.Redis":
    return redis.Redis.from_url(there.broker_url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S)


def redis_finding(url: str) -> Finding:
    """Return whether Redis answers soon, and keeps jobs when it is full."""
    try:
        with redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S) as client:
            took_ms = statistics.median([_timed(client.ping) for _ in range(5)])
            policy, number = _policy(client), client.info("server")["redis_version"]
    except (redis.RedisError, ValueError) as fault:
        text, remedy = (
            f"{masked(url)} does not answer ({type(fault).__name__})",
            "start it, or correct DERMIS_BROKER_URL",
        )
        return fail("redis", text, f"{remedy}; cases are stored meanwhile, and none is lost")
    text = f"{masked(url)} answers in {took_ms:.1f} ms, version {number}, {policy or 'policy not to be asked for'}"
    if policy not in ("noeviction", None):
        return fail("redis", text, "set maxmemory-policy to noeviction: else Redis deletes jobs when it is full")
    if took_ms > _SLOW_REDIS_MS:
        return warn("redis", text, "bring Redis nearer, or give it more CPU")
    return ok("redis", text)


def _policy(client: "redis.Redis") -> str | None:
    """Return what Redis does when it is full, None where it doesn't tell."""
    try:
        return str(dict(client.config_get("maxmemory-policy")).get("maxmemory-policy"))
    except redis.ResponseError:  # a managed one has no such command
        return None


def _timed(act: Callable[[], object]) -> float:
    """Return the milliseconds that `act` takes."""
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def _gateway(there: RunningSystem) -> Finding:
    """Whether the API answers, where its address is named, and which versions of it are there."""
    process = f" (process {there.pid})" if there.pid else ""
    if there.url and not _is_ready(there):
        what = f"runs at {there.url}{process} but is not ready"
        return fail("gateway", what, "see its log, or the logs of `dermis up`; docs/runbooks/DermisPartDown.md")
    try:
        present = _present(there, "gateway", "nobody is served")
    except (redis.RedisError, ValueError):
        if not there.url:
            raise
        return ok("gateway", f"runs and is ready at {there.url}{process}")
    if not there.url:
        return present
    text = f"runs and is ready at {there.url}{process}; {present.text}"
    return ok("gateway", text) if present.level is Level.OK else warn("gateway", text, present.remedy)


def _is_ready(there: RunningSystem) -> bool:
    """Whether the gateway is ready; from elsewhere, whether it lives: proxies show no readiness."""
    parts = urlsplit(there.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    path = "/readyz" if there.pid else "/livez"
    return answers_ok(parts.hostname or "", port, path, tls=parts.scheme == "https")()


def _present(there: RunningSystem, part: str, without: str) -> Finding:
    with _client(there) as client:
        present = [each for each in read_presence(client) if each.part == part]
    if not present:
        remedy = f"start {part}, or end it if it hangs: {without}; docs/runbooks/DermisPartDown.md"
        return fail(part, "none has shown itself in Redis within its time", remedy)
    return _of_one_version(part, present)


def _of_one_version(part: str, present: list[Present]) -> Finding:
    versions = sorted({each.version for each in present})
    text = f"{len(present)} at work, version {', '.join(versions)}"
    if versions != [version("dermis")]:
        return warn(
            part, f"{text}; this command is {version('dermis')}", "let the roll-out end, or upgrade what is left"
        )
    return ok(part, text)


def _metadata(address: str) -> Finding:
    if not address:
        return _unnamed("metadata")
    answer = ask_health(address)
    remedy = "start metadata, or end it if it hangs; cases wait meanwhile: docs/runbooks/DermisPeerAway.md"
    return _of_peer("metadata", answer, remedy)


def _serving(address: str, store: BlobStore) -> Finding:
    """Whether serving has the current version AVAILABLE, and those on trial."""
    if not address:
        return _unnamed("serving")
    pointer = read_current(store)
    remedy = "wait while it loads; else see its log, promote a version that it has, or `dermis rollback`"
    finding = _of_peer("serving", ask_serving(address, pointer.current), f"{remedy}: docs/runbooks/DermisPeerAway.md")
    if finding.level is Level.FAIL:
        return finding
    for role, ref in (("shadow", pointer.shadow), ("canary", pointer.canary and pointer.canary.ref)):
        if ref and ask_serving(address, ref).ok is False:
            text = f"{finding.text}; the {role}, version {ref.version}, is not"
            instead = "the current version answers its share; " if role == "canary" else ""
            return warn("serving", text, f"{instead}see serving's log, or `dermis promote --end-{role}`")
    return finding


def _unnamed(part: str) -> Finding:
    return warn(part, "its address is not named", f"set DERMIS_{part.upper()}_ADDRESS as for the workers")


def _of_peer(part: str, answer: PeerAnswer, remedy: str) -> Finding:
    if answer.ok is None:
        return warn(part, f"can't be asked here: {answer.detail}", "pip install 'dermis[metadata]', which has gRPC")
    if not answer.ok:
        return fail(part, answer.detail, remedy)
    text = f"{answer.detail}, answers in {answer.took_ms:.0f} ms"
    if answer.version is None:
        return ok(part, text)
    if answer.version != version("dermis"):
        remedy = "let the roll-out end, or upgrade what is left"
        return warn(part, f"{text}, version {answer.version}; this command is {version('dermis')}", remedy)
    return ok(part, f"{text}, version {answer.version}")


def _webhooks(there: RunningSystem, store: BlobStore) -> Finding:
    """Whether somebody delivers events where there are webhooks, and whether any were given up."""
    count = sum(1 for _ in owners_of_webhooks(store))
    if not count:
        return ok("webhooks", "there are none")
    present = _present(there, "webhooks", "events wait, a day at most; docs/runbooks/DermisWebhooksBehind.md")
    dead = sum(1 for _ in islice(store.list(DEAD_PREFIX), MOST_COUNTED))
    text = f"{count} webhooks, {present.text}"
    if present.level is Level.FAIL:
        return fail("webhooks", text, f"{present.remedy}; a worker with DERMIS_WORKER_QUEUES=webhooks")
    if dead:
        hooks = ", ".join(sorted({endpoint_of(key) for key in islice(store.list(DEAD_PREFIX), MOST_COUNTED)})[:3])
        remedy = (
            "`dermis webhooks deliveries HOOK_ID --status dead` says why; "
            "once the receiver is back, `dermis webhooks replay HOOK_ID --dead`"
        )
        return warn("webhooks", f"{text}; {dead} events were given up, of {hooks}", remedy)
    return Finding(level=present.level, about="webhooks", text=text, remedy=present.remedy)


def _queue(there: RunningSystem, store: BlobStore) -> Finding:
    """How much waits, and whether cases ended as failures since yesterday: the queue's dead letters."""
    queue = CeleryQueue(there.broker_url)
    text = f"{queue.waiting() + queue.waiting_steps()} jobs wait"
    failed = list(islice(_failed_since(store, datetime.now(UTC) - timedelta(days=1)), MOST_COUNTED))
    if not failed:
        return ok("queue", f"{text}, no case failed within a day")
    remedy = (
        f"`dermis cases show {failed[0]}` has the reason; once its cause is gone `dermis replay {failed[0]}`, "
        "and each that `dermis cases list --status FAILED` lists: docs/runbooks/DermisFailures.md"
    )
    return warn("queue", f"{text}, {len(failed)} cases failed within a day", remedy)


def _failed_since(store: BlobStore, start: datetime) -> Iterator[str]:
    wanted = Filter(statuses=(Status.FAILED,), start=start)
    for owner in owners(store):
        yield from (each.case_id for each in list_cases(store, owner, now=datetime.now(UTC), wanted=wanted))


def _store(there: RunningSystem, store: BlobStore) -> Finding:
    """Put, read and delete an object, compare the clocks, look at the room."""
    key, data = f"scratch/{new_id('doctor')}", b"dermis doctor"

    def walk() -> None:
        store.put_once(key, data)
        if store.get(key) != data:
            raise OSError("what was put is not what was read")
        store.delete(key)

    took_ms, room = _timed(walk), store.room()
    skew = abs(store.clock() - datetime.now(UTC))
    free = f", {room.bytes / 1e9:.1f} GB free" if room else ""
    text = f"put, read and deleted in {took_ms:.0f} ms{free}, clocks {skew.total_seconds():.1f} s apart"
    if room and room.bytes < there.least_free_bytes:
        return fail("store", text, "make room: new cases are refused; docs/runbooks/DermisStoreFull.md")
    if skew > _CLOCK_FAIL:
        return fail("store", text, "set the clock: nothing is erased by its time; docs/runbooks/DermisClockInDoubt.md")
    if room and room.bytes < 2 * there.least_free_bytes:
        return warn("store", text, "make room soon; docs/runbooks/DermisStoreFilling.md")
    if skew > _CLOCK_WARN:
        return warn("store", text, "look at the time service of this machine and of the store's")
    if took_ms > _SLOW_STORE_MS:
        return warn("store", text, "look at the store's disk or network; docs/runbooks/DermisAnswersSlow.md")
    return ok("store", text)


def _certificate(url: str) -> Finding:
    from cryptography import x509

    parts = urlsplit(url)
    pem = ssl.get_server_certificate((parts.hostname or "", parts.port or 443), timeout=_WAIT_S)
    left = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc - datetime.now(UTC)
    text = f"of {url} ends in {left.days} days"
    if left < timedelta(0):
        return fail("certificate", text, "renew it: nobody can connect; docs/runbooks/DermisCertificateEnds.md")
    if left < _CERTIFICATE_WARN:
        return warn("certificate", text, "renew it; docs/runbooks/DermisCertificateEnds.md")
    return ok("certificate", text)
