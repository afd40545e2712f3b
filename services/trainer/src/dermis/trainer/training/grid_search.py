"""Hyper-parameter search: every combination of some settings is tried, the least validation loss wins."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import click

from dermis.trainer.config import Config, with_settings


def grid_search(
    config: Config, axes: Sequence[tuple[str, str]], metrics_of: Callable[[Config], Mapping[str, float]]
) -> Config:
    """Return the config with the combination of settings that has the least validation loss, after a line for each one.

    `axes`: settings with their values, "a,b,c". `metrics_of`: trains a config and returns its last epoch's metrics.
    """
    tried: list[tuple[float, int, Config]] = []
    for values in itertools.product(*(text.split(",") for _, text in axes)):
        settings = dict(zip((name for name, _ in axes), values, strict=True))
        candidate = with_settings(config, settings)
        metrics = metrics_of(candidate)
        tried.append((metrics["validation_loss"], len(tried), candidate))
        figures = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        click.echo(f"{'  '.join(f'{name}={value}' for name, value in settings.items())}  {figures}")
    _, place, best = min(tried, key=lambda one: one[:2])
    click.echo(f"chosen: combination {place + 1} of {len(tried)}")
    return best
