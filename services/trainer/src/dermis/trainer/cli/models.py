"""`dermis models`, `dermis promote`, `dermis rollback`."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from dermis.shared import options
from dermis.shared.bundles import models_root_of
from dermis.shared.errors import ExitCode
from dermis.shared.manifest import MODEL_NAME
from dermis.shared.stores import open_store
from dermis.trainer.records import layout

if TYPE_CHECKING:
    from dermis.shared.promotions import PromotionFact, Waiver
    from dermis.trainer.registry.trial import Trial

_models_root = click.option(
    "--models-root", help="Where TensorFlow Serving sees the store's models/ folder [default: by the store's URL]."
)


@click.group(short_help="List training runs and model versions.", invoke_without_command=True)
@options.store
@options.as_json
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
    from dermis.trainer.registry.listing import list_all

    tables = list_all(open_store(store_url), now=datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(tables, indent=1))
        return
    for title, rows in (("Runs", tables["runs"]), ("Versions", tables["versions"])):
        click.echo(f"{title}\n{_table(rows)}\n")


@models.command()
@click.argument("version")
@options.as_json
@click.pass_context
def show(context: click.Context, version: str, as_json: bool) -> None:
    """Print a version's lineage, its evaluations by tone, and its promotions.

    \b
    Examples:
      dermis models show 3
      dermis models show dermis/3 --json
    """
    store_url, json_of_group = context.obj
    from dermis.trainer.registry.listing import describe

    description = describe(open_store(store_url), layout.parse_ref(version, name=MODEL_NAME))
    if as_json or json_of_group:
        click.echo(json.dumps(description, indent=1))
        return
    click.echo("\n".join(f"{name}: {value}" for name, value in description["about"].items()))
    click.echo(
        "\nLineage\n" + (_table([{"what": name, "value": value} for name, value in description["lineage"].items()]))
    )
    for evaluation in description["evaluations"]:
        click.echo(
            f"\nEvaluation on data set {evaluation['data']}, n = {evaluation['n']}\n{_table(evaluation['rows'])}"
        )
    click.echo("\nPromotions\n" + _table(description["promotions"]))


@models.command()
@click.option("--waive", "waived", multiple=True, metavar="SCALE=GROUP", help="Pass over a group of too few cases.")
@click.option("--end", is_flag=True, help="End what is refused, and record why.")
@options.as_json
@click.pass_context
def judge(context: click.Context, waived: tuple[str, ...], end: bool, as_json: bool) -> None:
    """Judge the shadow and the canary by what doctors and laboratories confirmed, for each skin tone.

    A version is REFUSED once a loss is certain, or can't be ruled out on as many cases as the gate needs; until then
    the answer is NOT_ENOUGH_CASES, with how many there are and how many it takes. With --end it is fit for a timer.

    \b
    Examples:
      dermis models judge
      dermis models judge --waive monk_bin --waive fitzpatrick_estimated
      dermis models judge --end --json
    """
    store_url, json_of_group = context.obj
    from dermis.trainer.registry.feedback import rows
    from dermis.trainer.registry.trial import judge_trials

    trials = judge_trials(open_store(store_url), waived=waived, end=end)
    if as_json or json_of_group:
        click.echo(json.dumps([trial.summary() for trial in trials], indent=1))
    for trial in () if as_json or json_of_group else trials:
        click.echo(f"{trial.role} {trial.ref.name} {trial.ref.version}: {trial.judgement.verdict}")
        click.echo(_table(list(rows(trial.judgement))) + "\n" + "\n".join(trial.judgement.reasons) + "\n")
        if trial.ended:
            click.echo(f"{trial.ended.action}; recorded as {trial.ended.id}")
    if not trials and not (as_json or json_of_group):
        click.echo("no version is a shadow or a canary: start one with `dermis promote VERSION --shadow`")
    if any(trial.judgement.verdict == "REFUSED" for trial in trials):
        raise click.exceptions.Exit(ExitCode.REFUSED)


@click.command(short_help="Make a version current, if the gate lets it.")
@click.argument("version", required=False)
@options.store
@click.option("--shadow", is_flag=True, help="Have it answer beside the current version; nobody is shown its answers.")
@click.option(
    "--canary",
    "percent",
    type=click.IntRange(1, 50),
    metavar="PERCENT",
    help="Have it answer this share of the cases, 1 to 50.",
)
@click.option("--end-shadow", "end", flag_value="shadow", help="End the shadow; names no VERSION.")
@click.option("--end-canary", "end", flag_value="canary", help="End the canary; names no VERSION.")
@click.option(
    "--data-digest",
    "data",
    help="Digest of the data set to compare on (its beginning will do) [default: the only one].",
)
@click.option(
    "--waive",
    "waived",
    multiple=True,
    metavar="SCALE=GROUP",
    help="Pass over a group that is too small to judge. Repeatable.",
)
@click.option("--reason", "reasons", multiple=True, metavar="TEXT", help="Why; one for each --waive, or one for all.")
@click.option(
    "--first",
    is_flag=True,
    help="No comparable version is current (none, a demo, other conditions): compare with a constant list.",
)
@click.option(
    "--lower-purpose",
    is_flag=True,
    help="Let a demo take the place of a research or release model: for a first set-up.",
)
@_models_root
@options.as_json
def promote(
    version: str | None,
    store_url: str,
    shadow: bool,
    percent: int | None,
    end: "Trial | None",
    data: str | None,
    waived: tuple[str, ...],
    reasons: tuple[str, ...],
    first: bool,
    lower_purpose: bool,
    models_root: str | None,
    as_json: bool,
) -> None:
    """Make VERSION current, if it is not worse than the current one on the same cases, for any skin tone.

    Refused (exit code 3) if it is worse overall by soft top-3, or if a Monk, self-reported or estimated Fitzpatrick
    group may lose more than five points. A group with too few cases needs a waiver. Every answer is recorded under
    promotions/ in the store.

    By degrees: as a shadow VERSION answers beside the current one and is never shown; as a canary it answers a share of
    the cases. `dermis models judge` judges both by what people say became of their cases; a running canary that is
    REFUSED by that does not become current, unless its loss is not certain and `--waive canary` says why.

    \b
    Examples:
      dermis promote 4
      dermis promote dermis/4 --waive monk_bin=MST_7_10 --reason "50 cases in all of SCIN; reviewed by the clinic"
      dermis promote 2 --first --waive monk_bin --reason "this data set does not grade Monk tones"
      dermis promote 4 --shadow
      dermis promote 4 --canary 10
      dermis promote --end-canary
    """
    from dermis.trainer.registry import promote as registry
    from dermis.trainer.registry import trial

    store, root = open_store(store_url), models_root or models_root_of(store_url)
    if sum((shadow, percent is not None, end is not None)) > 1:
        raise click.UsageError("--shadow, --canary, --end-shadow and --end-canary: name one of them")
    if (version is None) is not bool(end):
        raise click.UsageError(f"--end-{end} names no VERSION: leave it out" if end else "name a VERSION, such as 4")
    if end:
        _show(trial.end_trial(store, end), as_json=as_json)
        return
    request = registry.PromotionRequest(
        ref=layout.parse_ref(str(version), name=MODEL_NAME),
        data=data,
        waivers=_waivers(waived, reasons),
        first=first,
        lower_purpose=lower_purpose,
    )
    if shadow:
        record = trial.start_shadow(store, request, models_root=root)
    elif percent:
        record = trial.start_canary(store, request, percent=percent, models_root=root)
    else:
        record = registry.promote(store, request, models_root=root)
    _show(record, as_json=as_json)


@click.command()
@options.store
@_models_root
@options.as_json
def rollback(store_url: str, models_root: str | None, as_json: bool) -> None:
    """Make the previous version current again.

    \b
    Examples:
      dermis rollback
    """
    from dermis.trainer.registry import promote as registry

    _show(
        registry.rollback(open_store(store_url), models_root=models_root or models_root_of(store_url)), as_json=as_json
    )


def _waivers(groups: tuple[str, ...], reasons: tuple[str, ...]) -> "tuple[Waiver, ...]":
    from dermis.shared.promotions import Waiver

    if (groups and len(reasons) not in (1, len(groups))) or not all(reason.strip() for reason in reasons):
        raise click.UsageError(
            f"{len(groups)} --waive and {len(reasons)} --reason: give one reason for each, or one for all"
        )
    if reasons and not groups:
        raise click.UsageError("--reason without --waive: name the group with --waive SCALE=GROUP")
    each = reasons if len(reasons) == len(groups) else reasons * len(groups)
    return tuple(Waiver(group=group, reason=reason) for group, reason in zip(groups, each, strict=True))


def _show(record: "PromotionFact", *, as_json: bool) -> None:
    from dermis.shared.promotions import PromotionAction
    from dermis.trainer.registry.promote import rows

    refused = record.action == PromotionAction.REFUSED
    if as_json:
        click.echo(record.model_dump_json(indent=1))
    else:
        if record.overall:
            data = f", data set {record.data}" if record.data else ""
            click.echo(f"{record.ref.name} {record.ref.version} against {record.compared_with}, {record.measure}{data}")
            click.echo(_table(list(rows((record.overall, *record.tones)))) + "\n")
        trial = record.action not in (PromotionAction.PROMOTED, PromotionAction.ROLLED_BACK, PromotionAction.REFUSED)
        place = "beside" if trial else "in place of"
        over = f", {place} {record.over.name} {record.over.version}" if record.over else ""
        share = f", {record.percent} % of the cases" if record.percent else ""
        click.echo(f"{record.action}: {record.ref.name} {record.ref.version}{over}{share}; recorded as {record.id}")
        for waiver in record.waivers:
            click.echo(f"waived {waiver.group}: {waiver.reason}")
        for reason in record.reasons:
            click.echo(f"because {reason}", err=True)
    if refused:
        raise click.exceptions.Exit(ExitCode.REFUSED)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as text columns; "(none)" without any."""
    if not rows:
        return "(none)"
    cells = [list(rows[0]), *(["-" if value is None else str(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )
