"""Hyper-parameter search: every combination of some settings, the least validation loss wins."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.config import Config, changed
from dermis.trainer.model.feature_schema import schema_of
from dermis.trainer.training.stages import Parts
from dermis.trainer.training.train import fit_model, known_conditions


def search(config: Config, parts: Parts, axes: Sequence[tuple[str, str]], *, cache: Path, quiet: bool) -> Config:
    """Return the config with the combination of settings that has the least validation loss; each one's is said."""
    if parts.validation is None or not len(parts.validation):
        raise DermisError(Kind.INVALID, "GRID", "a grid needs validation cases: split with a share for them")
    conditions = known_conditions(parts.train, config)
    found: list[tuple[float, int, Config]] = []
    for values in itertools.product(*(text.split(",") for _, text in axes)):
        settings = dict(zip((name for name, _ in axes), values, strict=True))
        tried = with_settings(config, settings)
        _, metrics = fit_model(tried, parts.of(conditions), conditions, cache=cache, quiet=quiet)
        found.append((metrics["validation_loss"], len(found), tried))
        told = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        click.echo(f"{'  '.join(f'{name}={value}' for name, value in settings.items())}  {told}")
    best = min(found)
    click.echo(f"chosen: combination {best[1] + 1} of {len(found)}")
    return best[2]


def with_settings(config: Config, settings: Mapping[str, str]) -> Config:
    """Return the config with settings as text; `features=baseline+symptoms` names the groups of answers that are read."""
    rest = {name: text for name, text in settings.items() if name != "features"}
    config = changed(config, rest)
    return dataclasses.replace(config, schema=schema_of(settings["features"].split("+"))) if "features" in settings else config


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise DermisError(Kind.INVALID, "SETTING", f"{text!r} is no setting: write NAME=VALUE")
    return name, value
