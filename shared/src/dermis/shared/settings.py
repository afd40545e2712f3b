"""Typed settings from DERMIS_* variables: all faults at once, unknown names refused with a suggestion."""

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dermis.shared.addresses import Network, networks_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import URL_FORMS, is_store_url
from dermis.shared.tracing import URL_FORMS as URL_FORMS_OF_TRACES
from dermis.shared.tracing import is_traces_url
from dermis.shared.urls import masked

S = TypeVar("S", bound="Settings")
LISTEN = r"^(|[^\s:]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})$"
"""host:port, or nothing."""
PARTS = ("GATEWAY", "WORKER", "METADATA", "SERVING", "TRAINER", "SWEEP", "STANDALONE")

REMOVED = dict.fromkeys(
    ("DERMIS_GATEWAY_MAX_IMAGE_PIXELS", "DERMIS_GATEWAY_MAX_IMAGE_SIDE"),
    "one limit holds for every route, on what comes out of the decoder; take it out",
)
"""Variables of an earlier version and what to do about them."""


def is_broker_url(url: str) -> bool:
    """Return whether both Celery and Redis' own client take it: its database is a number, if it names one."""
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("redis", "rediss")
            and (parts.port or 1) > 0
            and re.fullmatch(r"(/[0-9]*)?", parts.path) is not None
        )
    except ValueError:  # no port
        return False


class Settings(BaseModel):
    """What every part knows. A part's own settings add fields, read from DERMIS_<PART>_<FIELD>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_url: str = Field(description=f"object store: {URL_FORMS}")
    broker_url: str = Field("redis://127.0.0.1:6379/0", description="Redis: queue and wake-ups")
    metadata_address: str = Field("127.0.0.1:50051", description="host:port of the metadata service")
    serving_address: str = Field("127.0.0.1:8500", description="host:port of TensorFlow Serving or the twin")
    traces_url: str = Field("", description=f"where traces go: {URL_FORMS_OF_TRACES}; empty: nowhere")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="least level that is logged")
    log_format: str = Field("json", pattern="^(json|text)$", description="json for machines, text for people")

    @field_validator("store_url")
    @classmethod
    def _store_is_understood(cls, url: str) -> str:
        if not is_store_url(url):
            raise ValueError(f"not understood; use {URL_FORMS}")
        return url

    @field_validator("broker_url")
    @classmethod
    def _broker_is_understood(cls, url: str) -> str:
        if not is_broker_url(url):
            raise ValueError(
                "not understood; use redis://host:port/0, or rediss:// for TLS, with user:password@ before "
                "the host if needed"
            )
        return url

    @field_validator("traces_url")
    @classmethod
    def _traces_are_understood(cls, url: str) -> str:
        if not is_traces_url(url):
            raise ValueError(f"not understood; use {URL_FORMS_OF_TRACES}")
        return url


class RetentionSettings(Settings):
    """When cases end. The sweep's variables, which the gateway reads as well, to say on its page what is so."""

    retention_days: float = Field(30, ge=0, description="a case or a batch is erased after this time; 0: never")
    improvement_retention_days: float = Field(
        365, ge=0, description="the same for a case that may be kept for improvement"
    )


class WebhookSettings(Settings):
    """Where webhooks may go. The worker's variable, which the gateway reads as well, to refuse at once what can't."""

    webhook_networks: str = Field(
        "",
        description="private networks that webhooks may go to, also by http, as 10.1.0.0/16,fd00::/8; empty: public "
        "addresses by https alone",
    )

    @field_validator("webhook_networks")
    @classmethod
    def _networks_are_understood(cls, text: str) -> str:
        try:
            networks_of(text)
        except ValueError as error:
            raise ValueError(f"{error}; use networks as 10.1.0.0/16,fd00::/8") from None
        return text

    @property
    def networks(self) -> tuple[Network, ...]:
        return networks_of(self.webhook_networks)


_OTHERS: dict[type[Settings], str] = {RetentionSettings: "SWEEP", WebhookSettings: "WORKER"}
"""Whose variables they are that several parts read."""


def names(model: type[Settings], part: str) -> dict[str, str]:
    """Map each variable that `part` reads to its field."""
    return {_variable(name, part): name for name in model.model_fields}


def _variable(field: str, part: str) -> str:
    if field in Settings.model_fields:
        return f"DERMIS_{field.upper()}"
    owner = next((owner for shared, owner in _OTHERS.items() if field in shared.model_fields), part)
    return f"DERMIS_{owner}_{field.upper()}"


def load(model: type[S], part: str, environ: Mapping[str, str]) -> S:
    """Build `part`'s settings; a fault names the variable, its value and the remedy, and all faults come together.

    Variables of other parts (DERMIS_<OTHER>_...) are theirs to check.
    """
    variables = names(model, part)
    others = tuple(f"DERMIS_{other}_" for other in PARTS if other != part)
    values = {
        name: value
        for name, value in environ.items()
        if name in variables or (name.startswith("DERMIS_") and not name.startswith(others))
    }
    faults = []
    bare = {name.removeprefix("DERMIS_"): name for name in variables}
    for name in sorted(set(values) - set(variables)):
        if name in REMOVED:
            faults.append(f"{name} is no longer a setting: {REMOVED[name]}")
            continue
        close = difflib.get_close_matches(name.removeprefix("DERMIS_"), bare, n=1)
        faults.append(
            f"{name} is not a setting"
            + (f"; did you mean {bare[close[0]]}?" if close else f"; known: {', '.join(sorted(variables))}")
        )
    try:
        settings = model.model_validate({variables[name]: value for name, value in values.items() if name in variables})
    except ValidationError as error:
        variable = {field: name for name, field in variables.items()}
        for fault in error.errors():
            problem = fault["msg"].removeprefix("Value error, ")  # which pydantic puts before our words
            named = [variable[str(place)] for place in fault["loc"][:1]]
            faults.append("".join(f"{name}={masked(values.get(name, ''))!r}: " for name in named) + problem)
    if faults:
        raise DermisError(Kind.INVALID, "SETTINGS", "; ".join(faults))
    return settings


def with_state_folder(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the state folder (XDG base directories) and the store in it, where they are not set."""
    # Path.expanduser would raise for a user without a home.
    home = environ.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
    data = Path(environ.get("XDG_DATA_HOME") or Path(home) / ".local" / "share")
    state = Path(environ.get("DERMIS_STANDALONE_STATE") or data / "dermis").absolute()
    return {"DERMIS_STORE_URL": (state / "store").as_uri(), **environ, "DERMIS_STANDALONE_STATE": str(state)}
