"""`dermis models`, `dermis promote`, `dermis rollback`."""

import importlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from dermis.shared.bundles import models_root_of
from dermis.shared.manifest import MODEL_NAME
from dermis.shared.stores import open_store
from dermis.trainer.records import layout

_store = click.option(
    "--store", "store_url", envvar="DERMIS_STORE_URL", show_envvar=True, required=True, help="Object store with models and runs."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_models_root = click.option("--models-root", help="Where TensorFlow Serving sees the store's models/ folder [default: by the store's URL].")


def _registry() -> Any:
    """Heavy (numpy), so not for `dermis --help`."""
    return importlib.import_module("dermis.trainer.registry.promote")


@click.group(invoke_without_command=True)
@_store
@_as_json
@click.pass_context
def models(context: click.Context, store_url: str, as_json: bool) -> None:
    """List training runs and model versions, wherever the runs run: all that is known is in the store.

    \b
    Examples:
      dermis models
      dermis models --json
      dermis models --store gs://bucket/dermis show dermis/3
    """
    context.obj = (store_url, as_json)
    if context.invoked_subcommand:
        return
    listing = importlib.import_module("dermis.trainer.registry.listing")
    found = listing.list_all(open_store(store_url), now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for title, rows in (("Runs", found["runs"]), ("Versions", found["versions"])):
        click.echo(f"{title}\n{_table(rows)}\n")


@models.command()
@click.argument("version")
@_as_json
@click.pass_context
def show(context: click.Context, version: str, as_json: bool) -> None:
    """Print a version's lineage, its evaluations by tone, and its promotions.

    \b
    Examples:
      dermis models show 3
      dermis models show dermis/3 --json
    """
    store_url, json_of_group = context.obj
    listing = importlib.import_module("dermis.trainer.registry.listing")
    found = listing.describe(open_store(store_url), layout.parse_ref(version, name=MODEL_NAME))
    if as_json or json_of_group:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo("\n".join(f"{name}: {value}" for name, value in found["about"].items()))
    click.echo("\nLineage\n" + (_table([{"what": name, "value": value} for name, value in found["lineage"].items()])))
    for evaluation in found["evaluations"]:
        click.echo(f"\nEvaluation on data set {evaluation['data']}, n = {evaluation['n']}\n{_table(evaluation['rows'])}")
    click.echo("\nPromotions\n" + _table(found["promotions"]))


@click.command()
@click.argument("version")
@_store
@click.option("--data-digest", "data", help="Digest of the data set to compare on (its beginning will do) [default: the only one].")
@click.option("--waive", "waived", multiple=True, metavar="SCALE=GROUP", help="Pass over a group that is too small to judge. Repeatable.")
@click.option("--reason", "reasons", multiple=True, metavar="TEXT", help="Why; one for each --waive, or one for all.")
@click.option(
    "--first", is_flag=True, help="No comparable version is current (none, a demo, other conditions): compare with a constant list."
)
@click.option("--lower-purpose", is_flag=True, help="Let a demo take the place of a research or release model: for a first set-up.")
@_models_root
@_as_json
def promote(
    version: str,
    store_url: str,
    data: str | None,
    waived: tuple[str, ...],
    reasons: tuple[str, ...],
    first: bool,
    lower_purpose: bool,
    models_root: str | None,
    as_json: bool,
) -> None:
    """Make VERSION current, if it is not worse than the current one on the same cases, for any skin tone.

    Refused (exit code 1) if it is worse overall by soft top-3, or if a Monk, self-reported or estimated Fitzpatrick group may lose more than
    five points. A group with too few cases needs a waiver. Every answer is recorded under promotions/ in the store.

    \b
    Examples:
      dermis promote 4
      dermis promote dermis/4 --waive monk_bin=MST_7_10 --reason "50 cases in all of SCIN; reviewed by the clinic"
      dermis promote 2 --first --waive monk_bin --reason "this data set does not grade Monk tones"
    """
    registry = _registry()
    wish = registry.Wish(
        ref=layout.parse_ref(version, name=MODEL_NAME),
        data=data,
        waivers=_waivers(registry, waived, reasons),
        first=first,
        lower_purpose=lower_purpose,
    )
    _say(registry, registry.promote(open_store(store_url), wish, models_root=models_root or models_root_of(store_url)), as_json=as_json)


@click.command()
@_store
@_models_root
@_as_json
def rollback(store_url: str, models_root: str | None, as_json: bool) -> None:
    """Make the previous version current again.

    \b
    Examples:
      dermis rollback
    """
    registry = _registry()
    _say(registry, registry.rollback(open_store(store_url), models_root=models_root or models_root_of(store_url)), as_json=as_json)


def _waivers(registry: Any, groups: tuple[str, ...], reasons: tuple[str, ...]) -> tuple[Any, ...]:
    if (groups and len(reasons) not in (1, len(groups))) or not all(reason.strip() for reason in reasons):
        raise click.UsageError(f"{len(groups)} --waive and {len(reasons)} --reason: give one reason for each, or one for all")
    if reasons and not groups:
        raise click.UsageError("--reason without --waive: name the group with --waive SCALE=GROUP")
    each = reasons if len(reasons) == len(groups) else reasons * len(groups)
    return tuple(registry.Waiver(group=group, reason=reason) for group, reason in zip(groups, each, strict=True))


def _say(registry: Any, record: Any, *, as_json: bool) -> None:
    refused = record.action == registry.Action.REFUSED
    if as_json:
        click.echo(record.model_dump_json(indent=1))
    else:
        if record.overall:
            click.echo(f"{record.ref.name} {record.ref.version} against {record.compared_with}, {record.measure}, data set {record.data}")
            click.echo(_table(list(registry.rows((record.overall, *record.tones)))) + "\n")
        over = f", in place of {record.over.name} {record.over.version}" if record.over else ""
        click.echo(f"{record.action}: {record.ref.name} {record.ref.version}{over}; recorded as {record.id}")
        for waiver in record.waivers:
            click.echo(f"waived {waiver.group}: {waiver.reason}")
        for reason in record.reasons:
            click.echo(f"because {reason}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as text columns; "(none)" without any."""
    if not rows:
        return "(none)"
    cells = [list(rows[0]), *(["-" if value is None else str(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells)
