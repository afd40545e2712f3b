"""The parts of dermis as processes of one machine, with the variables that a pod gives them."""

import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import WEBHOOKS_QUEUE
from dermis.standalone import extras
from dermis.standalone.addresses import LOOPBACK, free_ports, ip_is_loopback, is_free
from dermis.standalone.broker import find_redis_server, move_queue_aside, redis_config, write_redis_config
from dermis.standalone.lan import LanFace
from dermis.standalone.probes import Probe, always, answers_ok, queue_is_read, redis_answers, serves
from dermis.standalone.settings import StandaloneSettings
from dermis.standalone.state import make_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process to keep running; parts with a lower `leaves` are drained before those with a higher one."""

    name: str
    command: tuple[str, ...]
    ready: Probe
    leaves: int
    prepare: Callable[[], None] = lambda: None
    """Called before each start."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Those that this part has in place of the plan's."""
    mend: Callable[[], str] = lambda: ""
    """Called when it ended with an error soon after its start; says what was done about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """What is to run, with which variables, and where it will answer."""

    parts: tuple[Part, ...]
    environ: Mapping[str, str]
    url: str
    broker_url: str
    external: tuple[str, ...]
    """Variables that name a part which runs elsewhere and is not started here."""


def make_plan(settings: StandaloneSettings, environ: Mapping[str, str], lan: LanFace | None = None) -> ProcessPlan:
    """Plan the parts: Redis, metadata and serving at free loopback ports, unless `environ` says where they run already.

    With `lan` a second gateway, which phones of the same network reach.

    CONFLICT if the gateway's port is taken, NOT_FOUND if a package or redis-server is missing.
    """
    lacking = extras.missing(("gateway", "metadata", "serving", "worker"))
    if lacking:
        detail = (
            f"not installed: {', '.join(sorted({name for names in lacking.values() for name in names}))}; "
            f"{extras.remedy(lacking)}"
        )
        raise DermisError(Kind.NOT_FOUND, "EXTRA_MISSING", detail)
    redis_port, metadata_port, serving_port, gateway_port = free_ports(4)
    redis_port = settings.redis_port or redis_port
    password = secrets.token_urlsafe(24)
    host = environ.get("DERMIS_GATEWAY_HOST", LOOPBACK)
    port = _port(environ.get("DERMIS_GATEWAY_PORT", "8080")) or gateway_port
    here = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    wanted_ports = [("--host", host, "--port", port), ("", LOOPBACK, "DERMIS_STANDALONE_REDIS_PORT", redis_port)]
    wanted_ports += [("--lan-address", lan.address, "--lan-port", lan.port)] if lan else []
    for host_option, address, option, wanted in wanted_ports:
        if not is_free(address, 0):
            detail = f"{host_option} {address!r} is no address of this machine; name one that it has, or 127.0.0.1"
            raise DermisError(Kind.INVALID, "ADDRESS", detail)
        if not is_free(address, wanted):
            raise DermisError(
                Kind.CONFLICT,
                "PORT_TAKEN",
                f"{address}:{wanted} is taken by another process; name another {option}, or 0",
            )
    variables = {
        "DERMIS_LOG_FORMAT": "text",
        "DERMIS_METADATA_ADDRESS": f"{LOOPBACK}:{metadata_port}",
        "DERMIS_SERVING_ADDRESS": f"{LOOPBACK}:{serving_port}",
        "DERMIS_BROKER_URL": f"redis://:{password}@{LOOPBACK}:{redis_port}/0",
        # Who can reach loopback is on this machine; anywhere else a key is needed unless it is said otherwise.
        "DERMIS_GATEWAY_KEYLESS": str(ip_is_loopback(host)).lower(),
        **environ,
        "DERMIS_STORE_URL": settings.store_url,
        "DERMIS_METADATA_LISTEN": f"{LOOPBACK}:{metadata_port}",
        "DERMIS_SERVING_LISTEN": f"{LOOPBACK}:{serving_port}",
        "DERMIS_GATEWAY_HOST": host,
        "DERMIS_GATEWAY_PORT": str(port),
    }
    broker_url = variables["DERMIS_BROKER_URL"]
    parts = [
        _python("gateway", answers_ok(here, port, "/readyz"), leaves=0),
        _python("sweep", always, leaves=0),
        _python("worker", queue_is_read(broker_url), leaves=1),
        _webhooks_part(broker_url),
    ]
    if lan:
        parts.append(_lan_part(lan))
    if "DERMIS_METADATA_ADDRESS" not in environ:
        parts.append(_python("metadata", serves(variables["DERMIS_METADATA_ADDRESS"]), leaves=2))
    if "DERMIS_SERVING_ADDRESS" not in environ:
        parts.append(_python("serving", serves(variables["DERMIS_SERVING_ADDRESS"]), leaves=2))
    if "DERMIS_BROKER_URL" not in environ:
        make_folder(settings.state)
        folder = settings.state / "redis"
        redis = Part(
            name="redis",
            command=(str(find_redis_server(environ)), str(redis_config(folder))),
            ready=redis_answers(broker_url),
            leaves=3,
            prepare=partial(write_redis_config, port=redis_port, folder=folder, password=password),
            mend=partial(move_queue_aside, folder),
        )
        parts.insert(0, redis)
    external = tuple(
        name for name in ("DERMIS_BROKER_URL", "DERMIS_METADATA_ADDRESS", "DERMIS_SERVING_ADDRESS") if name in environ
    )
    url = f"http://{f'[{here}]' if ':' in here else here}:{port}"
    return ProcessPlan(parts=tuple(parts), environ=variables, url=url, broker_url=broker_url, external=external)


def _webhooks_part(broker_url: str) -> Part:
    """Return the worker that delivers webhooks: one of its own, so that no slow receiver takes a case's turn."""
    return Part(
        name="webhooks",
        command=(sys.executable, "-m", "dermis.worker"),
        ready=queue_is_read(broker_url, of_webhooks=True),
        leaves=1,
        variables={
            "DERMIS_WORKER_QUEUES": WEBHOOKS_QUEUE,
            "DERMIS_WORKER_METRICS_LISTEN": "",
        },
    )


def _lan_part(lan: LanFace) -> Part:
    return Part(
        name="lan",
        command=(sys.executable, "-m", "dermis.gateway"),
        ready=answers_ok(lan.address, lan.port, "/readyz", certificate=lan.certificate),
        leaves=0,
        variables=lan.variables,
    )


def _python(name: str, ready: Probe, *, leaves: int) -> Part:
    return Part(name=name, command=(sys.executable, "-m", f"dermis.{name}"), ready=ready, leaves=leaves)


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise DermisError(Kind.INVALID, "SETTINGS", f"DERMIS_GATEWAY_PORT={text!r} is no port; use 0 (a free one) to 65535")
