"""Logs: one JSON object a line on stderr, or text for people.

Nothing personal: ids, reasons, times and counts only, of cases digests.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from dermis.shared.ids import without_case_ids
from dermis.shared.tracing import trace_ids


def configure_logs(*, part: str, level: str = "INFO", form: str = "json") -> None:
    """Send this process's logs, the standard library's included, to stderr in `form` ("json" or "text")."""

    def name_part_and_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["part"] = part
        event.update(trace_ids())
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        name_part_and_trace,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _hide_case_ids,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def _hide_case_ids(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_case_ids(value)
    return event


log: structlog.stdlib.BoundLogger = structlog.get_logger()
