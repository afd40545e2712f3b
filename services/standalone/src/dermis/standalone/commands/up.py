"""dermis up"""

import os
import signal
import sys
import threading
import time
from typing import Any

import click

from dermis.shared.options import SECONDS
from dermis.shared.stores import open_store
from dermis.standalone.commands import options
from dermis.standalone.lan import describe, make_face, own_address
from dermis.standalone.logs import Prefixed
from dermis.standalone.processes import make_plan
from dermis.standalone.settings import load_standalone
from dermis.standalone.state import Running, hold
from dermis.standalone.supervisor import Supervisor


@click.command("up")
@options.placement
@options.host
@options.port
@options.model
@click.option(
    "--wait", "wait_s", type=SECONDS, default=60, show_default=True, help="Seconds that the parts get to become ready."
)
@click.option(
    "--drain",
    "drain_s",
    type=SECONDS,
    default=40,
    show_default=True,
    help="Seconds that the parts get to finish their work.",
)
@click.option("--lan", is_flag=True, help="Offer the page to phones of this network too, with TLS and a QR code.")
@click.option("--lan-address", metavar="ADDRESS", help="This machine's address for --lan, where it has several.")
@click.option(
    "--lan-port", type=click.IntRange(1, 65535), default=8443, show_default=True, help="Port of --lan's address."
)
def command(
    wait_s: float,
    drain_s: float,
    lan: bool,
    lan_address: str | None,
    lan_port: int,
    model: str | None,
    **option_values: Any,
) -> None:
    """Run all parts on this machine until Ctrl-C.

    Starts Redis, metadata, serving, worker, sweep and gateway as processes with the variables that a pod has, and
    starts each again if it dies. A part whose variable is set (DERMIS_BROKER_URL, DERMIS_METADATA_ADDRESS,
    DERMIS_SERVING_ADDRESS) is used and not started. A store without a model gets the demo bundle; --model makes a
    shipped one current, in any store. Ctrl-C drains; a second one kills.

    \b
    Examples:
      dermis up
      dermis up --model lesions
      dermis up --lan
      dermis up --port 9000 --state ./state
      DERMIS_BROKER_URL=redis://10.0.0.5/0 dermis up --store gs://bucket/dermis
    """
    begun = time.monotonic()
    stop, hurry = threading.Event(), threading.Event()

    def on_signal(*_: object) -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    environ = options.overlay(option_values)
    settings = load_standalone(environ)
    face = make_face(settings.state, address=lan_address or own_address(), port=lan_port) if lan else None
    plan = make_plan(settings, environ, face)
    logs = Prefixed(sys.stderr)
    for variable in plan.external:
        logs("up", f"{variable} is set: what it names is used and not started")
    running = Running(
        pid=os.getpid(),
        url=plan.url,
        broker_url=plan.broker_url,
        variables={name: value for name, value in plan.environ.items() if name.startswith("DERMIS_")},
        sources={name: "environment" for name in os.environ if name.startswith("DERMIS_")}
        | dict.fromkeys(options.as_variables(option_values), "option"),
        lan_url=face.url if face else "",
    )
    with hold(settings.state, running):
        supervisor = Supervisor(plan.parts, plan.environ, logs)
        supervisor.start()
        try:
            from dermis.standalone.bundle import ensure_model  # heavy; meanwhile the parts are starting

            manifest = ensure_model(open_store(settings.store_url), model)
            supervisor.wait_ready(seconds=wait_s, cancelled=stop)
            if not stop.is_set():
                click.echo(
                    f"ready in {time.monotonic() - begun:.1f} s: {plan.url} "
                    f"(model {manifest.name} version {manifest.version}, purpose: {manifest.purpose}); Ctrl-C stops"
                )
                if face:
                    click.echo(describe(face))
            stop.wait()
        finally:
            stop.set()
            supervisor.stop(seconds=drain_s, hurry=hurry)
    click.echo("stopped")
