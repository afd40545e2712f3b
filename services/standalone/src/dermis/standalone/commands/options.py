"""Options that several commands take; each stands for a variable."""

import os
from collections.abc import Callable
from typing import Any

import click

state = click.option(
    "--state", metavar="DIR", help="State folder [DERMIS_STANDALONE_STATE; default: ~/.local/share/dermis]."
)
store = click.option(
    "--store",
    metavar="URL",
    help="Object store, file:///folder or gs://bucket/prefix [DERMIS_STORE_URL; default: in the state folder].",
)
broker = click.option(
    "--broker", metavar="URL", help="Redis to use [DERMIS_BROKER_URL; default: `dermis up` starts one]."
)
host = click.option(
    "--host", metavar="ADDRESS", help="Address that the gateway listens on [DERMIS_GATEWAY_HOST; default: 127.0.0.1]."
)
port = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the gateway, 0 for a free one [DERMIS_GATEWAY_PORT; default: 8080].",
)

VARIABLES = {
    "state": "DERMIS_STANDALONE_STATE",
    "store": "DERMIS_STORE_URL",
    "broker": "DERMIS_BROKER_URL",
    "host": "DERMIS_GATEWAY_HOST",
    "port": "DERMIS_GATEWAY_PORT",
}


model = click.option(
    "--model",
    type=click.Choice(["demo", "lesions"]),
    help="A model that dermis ships: drawings without meaning, or six kinds of growths, for research.",
)


def as_variables(options: dict[str, Any]) -> dict[str, str]:
    """Return the variables that the options which were given stand for."""
    return {VARIABLES[name]: str(value) for name, value in options.items() if value is not None}


def overlay(options: dict[str, Any]) -> dict[str, str]:
    """Return the environment with the options that were given in place of their variables."""
    return {**os.environ, **as_variables(options)}


def placement(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say where things are kept."""
    return state(store(broker(command)))
