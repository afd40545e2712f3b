"""Run the gateway: python -m dermis.gateway."""

import asyncio
import functools
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn

from dermis.gateway.bootstrap import build
from dermis.gateway.connection import BoundedConnection
from dermis.gateway.connections import Bounds, Connections, most_connections
from dermis.gateway.dependencies import Dependencies
from dermis.gateway.metrics import MetricsOfLoop
from dermis.gateway.settings import GatewaySettings
from dermis.shared.errors import DermisError
from dermis.shared.metrics import serve_metrics
from dermis.shared.presence import Presence
from dermis.shared.settings import load
from dermis.shared.telemetry import configure_logs
from dermis.shared.tracing import configure_traces


class Server(uvicorn.Server):
    """Shows metrics apart from the API, and lets those who wait for news go as soon as the process is told to end.

    uvicorn would wait for them.
    """

    def __init__(self, config: uvicorn.Config, parts: Dependencies) -> None:
        super().__init__(config)
        self._parts = parts
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        metrics = MetricsOfLoop(self._parts.metrics, self._loop, self._parts.broker.load)
        serve_metrics(self._parts.settings.metrics_listen, metrics)
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._parts.pipeline.hub.stop)


def main() -> None:
    try:
        settings = load(GatewaySettings, "GATEWAY", os.environ)
        app = build(settings)
    except DermisError as error:
        sys.exit(f"gateway: {error.detail}")
    configure_logs(part="gateway", level=settings.log_level, form=settings.log_format)
    configure_traces(part="gateway", url=settings.traces_url)
    Presence(settings.broker_url, "gateway").keep_shown()
    connections = Connections(
        Bounds(
            most=most_connections(settings.max_connections),
            most_per_address=0 if settings.trusted_proxies else settings.max_address_connections,
            head_seconds=settings.header_seconds,
        ),
        app.state.parts.metrics.connection_refused,
    )
    config = uvicorn.Config(
        app,
        http=functools.partial(BoundedConnection, connections),  # type: ignore[arg-type]
        ws="none",
        proxy_headers=False,  # uvicorn would believe whoever comes from loopback; see trusted_proxies
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.drain_seconds,
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal again once it has drained
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        Server(config, app.state.parts).run()
    except DermisError as error:
        sys.exit(f"gateway: {error.detail}")


if __name__ == "__main__":
    main()
