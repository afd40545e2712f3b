"""All parts in a temporary folder on free ports, beside whatever runs already, for as long as they are needed."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dermis.client.errors import ApiError
from dermis.shared.errors import DermisError
from dermis.shared.stores import open_store
from dermis.shared.temporary import held_folder
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


@contextmanager
def temporary_run(
    model: str | None = None, *, timeout_s: float, say: Callable[[str], None] = lambda _line: None
) -> Iterator[str]:
    """Yield the gateway's URL once all parts are ready; then stop them at once, as nothing of it is kept.

    `model`: a shipped one by name, None for the demo's. Their logs are shown only if something went wrong.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with held_folder("dermis-demo-") as folder:
        own = {"DERMIS_STANDALONE_STATE": str(folder), "DERMIS_GATEWAY_PORT": "0", "DERMIS_LOG_FORMAT": "text"}
        environ = {name: value for name, value in os.environ.items() if name not in _OWN} | own
        settings = load_standalone(environ)
        plan = make_plan(settings, environ)
        logs, never = Kept(), threading.Event()
        supervisor = Supervisor(plan.parts, plan.environ, logs)
        say(f"starting {', '.join(part.name for part in plan.parts)} ...")
        supervisor.start()
        try:
            from dermis.standalone.bundle import ensure_model  # heavy; meanwhile the parts are starting

            ensure_model(open_store(settings.store_url), model)
            supervisor.wait_ready(seconds=timeout_s, cancelled=never)
            yield plan.url
        except (ApiError, DermisError):
            logs.pour(Prefixed(sys.stderr))
            raise
        finally:
            supervisor.stop(seconds=0, hurry=never)
