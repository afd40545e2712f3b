"""dermis demo"""

import os
import signal
import sys
import threading
import time

import click

from dermis.client.errors import ApiError
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import open_store
from dermis.shared.temporary import held_folder
from dermis.standalone import demo
from dermis.standalone.core.render import render, stages
from dermis.standalone.logs import Kept, Prefixed
from dermis.standalone.processes import make_plan
from dermis.standalone.settings import load_standalone
from dermis.standalone.supervisor import Supervisor

_OWN = (
    "DERMIS_STORE_URL",
    "DERMIS_BROKER_URL",
    "DERMIS_METADATA_ADDRESS",
    "DERMIS_SERVING_ADDRESS",
    "DERMIS_GATEWAY_HOST",
)


@click.command("demo", short_help="Put a sample case through all parts, show its outcome, stop.")
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=90,
    show_default=True,
    help="Seconds that start and case may take together.",
)
@click.option("--where", is_flag=True, help="Only print the folder of the sample case: its images and answers.json.")
def command(timeout_s: float, where: bool) -> None:
    """Put a sample case through all parts, show its outcome, and stop.

    Runs in a temporary folder on free ports, beside whatever runs already. The images are drawn by a program, and the
    model has learned from such drawings: the answer has no clinical meaning. Exits 0 only if the case was finished.

    \b
    Examples:
      dermis demo
      dermis assess $(dermis demo --where)/*.jpg --answers $(dermis demo --where)/answers.json
    """
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    if not (demo.CASE / "answers.json").is_file():
        raise DermisError(
            Kind.NOT_FOUND,
            "NO_DEMO",
            "this installation carries no sample case; install dermis from its wheel or a clone",
        )
    if where:
        click.echo(demo.CASE)
        return
    with held_folder("dermis-demo-") as folder:
        own = {"DERMIS_STANDALONE_STATE": str(folder), "DERMIS_GATEWAY_PORT": "0", "DERMIS_LOG_FORMAT": "text"}
        environ = {name: value for name, value in os.environ.items() if name not in _OWN} | own
        settings = load_standalone(environ)
        plan = make_plan(settings, environ)
        logs, never = Kept(), threading.Event()
        supervisor = Supervisor(plan.parts, plan.environ, logs)
        click.echo(f"starting {', '.join(part.name for part in plan.parts)} ...")
        supervisor.start()
        try:
            from dermis.standalone.bundle import ensure_bundle  # these two are heavy; meanwhile the parts are starting
            from dermis.standalone.sample import assess_sample

            ensure_bundle(open_store(settings.store_url))
            supervisor.wait_ready(seconds=timeout_s, cancelled=never)
            ready = time.monotonic()
            case = assess_sample(plan.url, deadline=begun + timeout_s)
            finished = time.monotonic()
            click.echo(f"{render(case)}\n\nstages of the worker: {stages(case)}")
            if case["status"] != "FINISHED":
                raise DermisError(
                    Kind.INTERNAL, "NOT_FINISHED", f"the sample case is {case['status']}; see the log above"
                )
        except (ApiError, DermisError):
            logs.pour(Prefixed(sys.stderr))
            raise
        finally:
            supervisor.stop(seconds=0, hurry=never)  # at once: nothing of it is kept
    click.echo(
        f"time: start to ready {ready - begun:.1f} s, case (submitted to seen) {finished - ready:.2f} s, "
        f"stop {time.monotonic() - finished:.1f} s, in all {time.monotonic() - begun:.1f} s"
    )
