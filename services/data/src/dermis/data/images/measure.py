"""Runs `dermis data images`: plans, measures, collects, reports, calibrates."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import ValidationError

from dermis.data.images.colors import color_facts, color_tables, shortcuts
from dermis.data.images.shards import (
    SHARD_SIZE,
    RedisShardQueue,
    ShardPlan,
    begin,
    collect,
    make_plan,
    measure_by_workers,
    measure_here,
)
from dermis.data.images.tables import ImageTable, image_tables, images_frame, with_cases
from dermis.data.mapping import CONDITION, MONK_BIN, DataSide, open_side
from dermis.data.report.pictures import picture
from dermis.data.report.report import Report, write_report
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words
from dermis.data.scin.attributes import Answers
from dermis.data.scin.select import fields, parse_where, select
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.report import Verdict
from dermis.shared.stores import open_store
from dermis.worker.core.quality import Policy
from dermis.worker.core.shard import SUFFIXES, missing

if TYPE_CHECKING:
    from dermis.data.images.calibrate_quality import Fitted

SHEET = 12
"""Pictures of a contact sheet."""
POLICY_FILE = "quality_policy.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedImages:
    """Images by key: `expected`, in order, of which those in `there` stand in the source.

    `by_name`: cases know them by name alone.
    """

    side: DataSide | None
    by_name: bool
    expected: Sequence[str]
    there: frozenset[str]

    @property
    def present(self) -> list[str]:
        """Return what is expected and there, in order."""
        return [key for key in self.expected if key in self.there]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be measured: every image of `wanted`; those of them that are there are in `plan`."""

    source: str
    wanted: WantedImages
    policy: Policy
    plan: ShardPlan


def load_quality_policy(path: Path | None) -> Policy:
    """Return the quality policy in a file, or the one that comes with the worker; INVALID if it is none."""
    shipped = files("dermis.worker").joinpath(POLICY_FILE)
    try:
        return Policy.model_validate_json((path or shipped).read_bytes())
    except ValidationError as error:
        raise DermisError(
            Kind.INVALID, "QUALITY_POLICY", f"{path}: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
        ) from error


def choose_images(
    source: str,
    *,
    mapping: str | None = None,
    prefix: str | None = None,
    tables: str | None = None,
    labels: str,
    where: Sequence[str] = (),
) -> WantedImages:
    """Find out which images are meant by reading the tables and listing the images once.

    Without `prefix` these are the images that the tables name, of the cases that fit `where`. With it, every image in
    the store below that prefix; `tables`, a store URL, then only tells whose they are, by the last part of their name.
    """
    if mapping is not None and prefix is not None and tables is None:
        detail = (
            f"mapping {mapping!r} maps no table: leave --prefix out, or name the store that holds the table with "
            "--tables"
        )
        raise DermisError(Kind.INVALID, "DATA_TABLE", detail)
    side = open_side(tables or source, mapping, per="case") if prefix is None or tables else None
    expected: Sequence[str]
    if side and prefix is None:
        mask = select([parse_where(text) for text in where], _fields(side, labels), len(side.units))
        expected = list(
            dict.fromkeys(key for keys, wanted in zip(side.images, mask, strict=True) if wanted for key in keys)
        )
        there = frozenset(open_store(source).list(_folder(expected)))
    else:
        if where:
            raise DermisError(
                Kind.INVALID,
                "WHERE",
                "--where picks cases of the tables: leave --prefix out, which takes all images there are",
            )
        expected = [key for key in open_store(source).list(prefix or "") if key.lower().endswith(SUFFIXES)]
        there = frozenset(expected)
    if not expected:
        raise DermisError(Kind.NOT_FOUND, "IMAGES", f"no images in {source}: check the source and the prefix")
    return WantedImages(side=side, by_name=prefix is not None, expected=expected, there=there)


def _fields(side: DataSide, labels: str) -> dict[str, Answers]:
    """Return what `where` can ask for.

    That is all that SCIN's tables tell, or a mapping's attributes, `label`, `monk_bin` and `images`.
    """
    if side.scin:
        return fields(side.scin.tables, side.scin.labels(labels))
    answers = {
        "label": side.read(CONDITION),
        MONK_BIN: side.read(MONK_BIN),
        "images": [(str(len(keys)),) for keys in side.images],
    }
    return {**side.answers, **{name: values for name, values in answers.items() if values is not None}}


def _folder(keys: Sequence[str]) -> str:
    """Return the folder, with its slash, that all keys lie in."""
    shared = os.path.commonprefix(keys)  # noqa: RUF071 - keys are no paths: `commonpath` fails where only some start with a slash
    return shared[: shared.rfind("/") + 1]


def plan_images(source: str, wanted: WantedImages, *, policy: Policy, size: int = SHARD_SIZE) -> Job:
    return Job(source=source, wanted=wanted, policy=policy, plan=make_plan(source, wanted.present, policy, size=size))


def run_here(job: Job, store_url: str, *, processes: int, step: Callable[[int], None]) -> None:
    """Measure what has no result yet on this machine."""
    measure_here(store_url, job.plan, _begin(store_url, job, step), processes=processes, step=step)


def run_by_workers(
    job: Job,
    store_url: str,
    broker_url: str,
    *,
    resend_after: float,
    step: Callable[[int], None],
    say: Callable[[str], None],
) -> None:
    """Have the workers of the queue `shards` measure what has no result yet."""
    todo = _begin(store_url, job, step)
    with closing(RedisShardQueue(broker_url)) as queue:
        measure_by_workers(open_store(store_url), queue, job.plan, todo, step=step, say=say, resend_after=resend_after)


def _begin(store_url: str, job: Job, step: Callable[[int], None]) -> set[int]:
    todo = begin(open_store(store_url), job.plan)
    listed = job.plan.listed
    step(sum(len(listed.shard(n)) for n in set(range(listed.shards)) - todo))
    return todo


def finish(
    store_url: str,
    job: Job,
    out: Path,
    *,
    pictures: bool,
    calibrate: float | None,
    command: str,
    say: Callable[[str], None],
) -> str:
    """Collect the results and write the image table and the report into `out`.

    With `calibrate`, a share of cases, a fitted policy is written too.
    """
    row_of = {str(row["image"]): row for row in collect(open_store(store_url), job.plan)}
    frame = images_frame([row_of[key] if key in row_of else missing(key) for key in job.wanted.expected])
    images = with_cases(frame, job.wanted.side, by_name=job.wanted.by_name)
    out.mkdir(parents=True, exist_ok=True)
    written = [_write_table(images, out)]
    if find_spec("pyarrow"):
        frame.to_parquet(out / "images.parquet", index=False)
        written.append(out / "images.parquet")
    facts = _facts(job, images)
    tables = image_tables(images) + color_tables(images)
    followed = shortcuts(images)
    facts |= color_facts(followed)
    for each in followed:
        say(f"warning: {each}")
    if calibrate is not None:
        fitted = _calibrated(job, images, loss=calibrate, command=command)
        written.append(_write_policy(fitted.policy, out / POLICY_FILE))
        tables += fitted.tables
        facts["Fitted quality policy"] = fitted.policy.id
        say(_as_text(fitted.tables))
    if pictures:
        tables += contact_sheets(images, open_store(job.source))
    summary = ("overview", "verdicts", *(f"rejected_by_{scale}" for scale in [*images.scales][:1]))
    say(_as_text([table for table in tables if table.name in summary]))
    written += write_report(Report(name="images", title="Images: profile", facts=facts, tables=tables), out)[:2]
    return f"written {', '.join(map(str, written))} and the report's tables in {out / 'images'}/"


def contact_sheets(images: ImageTable, source: BlobStore) -> list[ReportTable]:
    """Return the darkest kept and the darkest dropped images as thumbnails; only these few are read from the source."""
    frame = images.frame.assign(tone=images.tones)[images.decoded]
    sheets = []
    for name, title, rows in (
        ("darkest_kept", "The darkest that are kept", frame[frame["verdict"] != Verdict.UNUSABLE]),
        ("darkest_dropped", "The darkest that are dropped", frame[frame["verdict"] == Verdict.UNUSABLE]),
    ):
        darkest = rows.sort_values(["brightness_mean", "image"]).head(SHEET).reset_index(drop=True)
        darkest["reasons"] = darkest["reasons"].str.replace(" ", ",")
        columns = darkest[["image", "brightness_mean", "underexp", "tone", "verdict", "reasons"]]
        pictures = [
            thumbnail
            for row in darkest.to_dict("records")
            if (thumbnail := picture(source, row["image"], _caption(row)))
        ]
        note = (
            "By mean brightness. The pictures are of people: share this page as you would share them, or leave "
            "them out (--no-pictures)."
        )
        sheets.append(
            ReportTable(name=name, section="Contact sheets", title=title, note=note, frame=columns, pictures=pictures)
        )
    return sheets


def _caption(row: dict[Any, Any]) -> str:
    name = str(row["image"]).rpartition("/")[2]
    reasons = f" ({words(row['reasons'])})" if row["reasons"] else ""
    return f"{name}: brightness {row['brightness_mean']:.0f}, {words(row['tone'])}, {words(row['verdict'])}{reasons}"


def _write_table(images: ImageTable, out: Path) -> Path:
    path = out / "images.csv"
    images.frame.to_csv(path, index=False, lineterminator="\n")
    return path


def _facts(job: Job, images: ImageTable) -> dict[str, str]:
    facts = {
        "Source": job.source,
        "Profile": job.plan.id,
        "Quality policy": job.policy.id,
        "ImageTable": f"{len(images.frame):,}",
    }
    if side := job.wanted.side:
        facts |= {
            "Data set": side.name,
            "Tables": ", ".join(f"{file} sha256:{digest}" for file, digest in side.tables.items()),
        }
    return facts


def _calibrated(job: Job, images: ImageTable, *, loss: float, command: str) -> "Fitted":
    from dermis.data.images.calibrate_quality import fit  # of all runs only this one needs scikit-learn

    side = job.wanted.side
    if side is None or side.scin is None:
        raise DermisError(
            Kind.INVALID,
            "CALIBRATE",
            "calibrating needs the graders' answers in SCIN's tables: name them with --tables",
        )
    tables = ", ".join(f"{file} sha256:{digest[:12]}" for file, digest in side.tables.items())
    provenance = f"{int(images.decoded.sum()):,} images of {job.source} ({tables}), profile {job.plan.id}"
    return fit(images, side.scin.cases, job.policy, loss=loss, source=provenance, by=command)


def _write_policy(policy: Policy, path: Path) -> Path:
    """Write a policy; CONFLICT if another one stands there, and so never over the one that ships."""
    text = json.dumps(policy.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        if path.read_text(encoding="utf-8") != text:
            raise DermisError(
                Kind.CONFLICT,
                "QUALITY_POLICY",
                f"{path} holds another policy and is not overwritten: give another --out",
            ) from None
    return path


def _as_text(tables: Sequence[ReportTable]) -> str:
    return "\n\n".join(f"{table.title}\n{table.frame.to_string(index=False, float_format='%.3f')}" for table in tables)


def default_store(out: Path) -> str:
    """Return where shards done on this machine are kept: beside what is written."""
    return (out / "shards").absolute().as_uri()


def run(context: click.Context, **options: Any) -> None:
    """Measure, collect, write; an interruption says how to go on."""
    out: Path = options["out"]
    store_url = _store_url(context, options)
    wanted = choose_images(
        options["source"],
        mapping=options["mapping"],
        prefix=options["prefix"],
        tables=options["tables"],
        labels=options["policy"],
        where=options["where"],
    )
    policy = load_quality_policy(options["quality_policy"])
    job = plan_images(options["source"], wanted, policy=policy, size=options["shard_size"])
    listed = job.plan.listed

    def say(text: str) -> None:
        click.echo(text, err=True)

    say(
        f"{len(wanted.expected):,} images, {len(wanted.expected) - len(wanted.present):,} of them missing; "
        f"{listed.shards:,} shards, {job.plan.id} in {store_url}"
    )
    try:
        with click.progressbar(length=len(listed.keys), label="images", file=sys.stderr) as bar:
            if options["local"]:
                run_here(job, store_url, processes=options["processes"], step=bar.update)
            else:
                run_by_workers(
                    job, store_url, options["broker"], resend_after=options["resend_after"], step=bar.update, say=say
                )
    except KeyboardInterrupt:
        say("\nstopped; what is measured is kept: run the same command to go on")
        context.exit(130)
    calibrate = options["loss"] if options["calibrate"] else None
    command = f"dermis data images --calibrate --loss {options['loss']:g}"
    click.echo(
        finish(store_url, job, out, pictures=options["pictures"], calibrate=calibrate, command=command, say=click.echo)
    )


def _store_url(context: click.Context, options: dict[str, Any]) -> str:
    """Return where the shards' results are.

    That is the workers' store, or with --local a folder in `out` unless one is named.
    """
    by_option = context.get_parameter_source("store") is click.core.ParameterSource.COMMANDLINE
    if options["local"] and not by_option:
        return default_store(options["out"])
    if not options["store"]:
        remedy = "set DERMIS_STORE_URL or --store to the workers' store, or measure on this machine with --local"
        raise DermisError(Kind.INVALID, "STORE_URL", f"no store that workers could share: {remedy}")
    return str(options["store"])
