"""Runs `dermis evaluate`: predicts, measures, and writes into the store and into a folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from dermis.data.cohort import cohort
from dermis.data.dataset import Dataset, open_datasets
from dermis.data.sources import digest_of_samples
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import Part, from_text
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import CohortStep, EvaluationReport, Interval, SeenInTraining, read_report
from dermis.shared.manifest import EVALUATION_FILE, MANIFEST_FILE, MODEL_NAME, VersionRef
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.shared.stores import open_store
from dermis.trainer.evaluation import robustness as studies
from dermis.trainer.evaluation.comparison import Comparison, compare
from dermis.trainer.evaluation.mistakes import mistake_pictures
from dermis.trainer.evaluation.page import as_html
from dermis.trainer.evaluation.predict import Bundle, fetch_bundle, open_bundle, predict
from dermis.trainer.evaluation.predictions import Predictions, from_bytes, to_bytes
from dermis.trainer.evaluation.report import evaluate
from dermis.trainer.evaluation.seen_in_training import seen_in_training, warning
from dermis.trainer.metrics import Floats
from dermis.trainer.model.bundle import as_json, write_json
from dermis.trainer.model.inputs import targets
from dermis.trainer.records.layout import EVALUATIONS, evaluation_key, parse_ref

PREDICTIONS_FILE = "predictions.npz"
PAGE_FILE = "evaluation.html"
STUDIES_FILE = "studies.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What is to be evaluated: `model` and `against` are versions (3, dermis/3) or folders.

    `data`: one data set, or several that are measured as one. `part` of `split`, else all cases.
    """

    model: str
    data: Sequence[str]
    out: Path
    mapping: str | None = None
    policy: str | None = None
    duplicates: Path | None = None
    split: Path | None = None
    part: Part = "test"
    store: str | None = None
    against: str | None = None
    ablation: bool = False
    robustness: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A bundle made ready; `key`: where its evaluation belongs, None if the bundle is not the published one."""

    bundle: Bundle
    folder: Path
    key: str | None


def run(options: EvaluationOptions) -> None:
    """Evaluate and say what was written; INVALID where model and data have nothing in common."""
    store = open_store(options.store) if options.store else None
    whole, dataset, train, part_of = _data(options)
    split = from_text(options.split.read_bytes()).digest if options.split else None
    with ExitStack() as stack:
        model = _model(options.model, dataset, store, stack)
        conditions = [condition.name for condition in model.bundle.manifest.conditions]
        flow = cohort(whole.samples, conditions, part_of=part_of, part=options.part)
        dataset = dataset.labelled(conditions)
        if not len(dataset):
            raise DermisError(
                Kind.INVALID,
                "NO_LABEL",
                f"no case of {', '.join(options.data)} has a condition of {options.model}: measure it on data that "
                "name its conditions",
            )
        other = _other(options.against, model, dataset, store, stack) if options.against else None
        data = f"{whole.source}{f', part {options.part}' if options.split else ''}; label policy {whole.policy}"
        _warn(seen := seen_in_training(model.bundle.manifest, dataset, whole=whole.digest, split=split, store=store))
        predictions, report = _measure(model, dataset, train, flow, data=data, store=store)
        report = report.model_copy(update={"seen_in_training": seen} if seen else {})
        studied = _studies(options, model.bundle, dataset, predictions)
        against = comparison = None
        if other:
            _warn(seen_in_training(other.bundle.manifest, dataset, whole=whole.digest, split=split, store=store))
            theirs, against = _measure(other, dataset, train, flow, data=data, store=store)
            comparison = compare(model.bundle.manifest, predictions, other.bundle.manifest, theirs)
    options.out.mkdir(parents=True, exist_ok=True)
    beside = {**(dict(studied) if studied else {}), **({"comparison": comparison} if comparison else {})}
    write_json(options.out / EVALUATION_FILE, report.model_copy(update=beside))
    (options.out / PREDICTIONS_FILE).write_bytes(to_bytes(predictions))
    if store and model.key:  # without what depends on other versions: it is put once
        files = {EVALUATION_FILE: as_json(report), PAGE_FILE: as_html(report).encode()} | (
            {STUDIES_FILE: as_json(studied)} if studied else {}
        )
        _put(store, model.key, files)
    elif store:
        click.echo(
            f"{options.model} is not the bundle that the store holds as {predictions.model}: nothing was put there",
            err=True,
        )
    evaluated = [*(_evaluated(store) if store else ()), *([against] if against else ()), report]
    tables = studies.as_tables(studied) if studied else ()
    page = as_html(
        report,
        against=against,
        comparison=comparison,
        evaluated=_once(evaluated),
        studies=tables,
        pictures=mistake_pictures(dataset, report.mistakes or ()),
    )
    (options.out / PAGE_FILE).write_text(page, encoding="utf-8")
    _say(options, report, comparison, studied)
    _warn(seen)


def _warn(seen: SeenInTraining | None) -> None:
    """Say, before what takes long and again below the figures, that cases were in training."""
    if seen:
        _alert(warning(seen))


def _alert(line: str) -> None:
    click.secho(f"WARNING: {line}", err=True, fg="red", bold=True)


def _data(options: EvaluationOptions) -> tuple[Dataset, Dataset, Dataset | None, dict[str, str] | None]:
    """Return the data set, the cases to measure on, and where a split tells them those of training and each's part."""
    duplicates = read_duplicates(options.duplicates.read_bytes()) if options.duplicates else None
    chosen: dict[str, Any] = {"policy": options.policy} if options.policy else {}
    whole = open_datasets(options.data, mapping=options.mapping, duplicates=duplicates, **chosen)
    if not options.split:
        return whole, whole, None, None
    split = from_text(options.split.read_bytes())
    part_of: dict[str, str] = {case.case_id: case.part for case in split.cases}
    return whole, whole.part(split, options.part), whole.part(split, "train"), part_of


def _model(text: str, dataset: Dataset, store: BlobStore | None, stack: ExitStack) -> _Model:
    folder = Path(text)
    if not folder.is_dir():
        if store is None:
            raise DermisError(
                Kind.INVALID,
                "MODEL",
                f"{text!r} is no folder, and without --store there are no versions: name one of both",
            )
        folder = Path(stack.enter_context(TemporaryDirectory()))
        fetch_bundle(store, parse_ref(text, name=MODEL_NAME), folder)
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    cases = dataset.labelled([condition.name for condition in manifest.conditions])
    digest = digest_of_samples(cases.samples)
    published = False
    if store:
        try:
            published = store.get(f"{manifest.key}/{MANIFEST_FILE}") == (folder / MANIFEST_FILE).read_bytes()
        except BlobNotFound:
            published = False
    key = evaluation_key(digest, VersionRef(name=manifest.name, version=manifest.version)) if published else None
    return _Model(bundle=bundle, folder=folder, key=key)


def _other(text: str, model: _Model, dataset: Dataset, store: BlobStore | None, stack: ExitStack) -> _Model:
    """Return the model to compare with; INVALID, before either has predicted, if it names other conditions."""
    other = _model(text, dataset, store, stack)
    names, others = ({condition.id for condition in each.bundle.manifest.conditions} for each in (model, other))
    if model.bundle.manifest.conditions != other.bundle.manifest.conditions:
        differing = ", ".join(sorted(names ^ others)[:5]) or "the same ones in another order"
        raise DermisError(
            Kind.INVALID,
            "NOT_PAIRED",
            f"--against {text} names other conditions ({differing}): measure each alone, without --against",
        )
    return other


def _measure(
    model: _Model,
    dataset: Dataset,
    train: Dataset | None,
    flow: Sequence[CohortStep],
    *,
    data: str,
    store: BlobStore | None,
) -> tuple[Predictions, EvaluationReport]:
    manifest = model.bundle.manifest
    dataset = replace(dataset, digest=digest_of_samples(dataset.samples))
    predictions = _stored_predictions(store, model.key)
    if predictions is None:
        lost: list[str] = []
        with click.progressbar(length=len(dataset), label=f"{manifest.name}/{manifest.version}") as bar:
            predictions = predict(model.bundle, dataset, step=bar.update, say=lost.append)
        for line in lost:  # below the bar
            _alert(line)
        if store and model.key:  # first of all, so that a stopped evaluation goes on from here
            store.put_once(f"{model.key}/{PREDICTIONS_FILE}", to_bytes(predictions))
    own = _own_report(model)
    prior, calibrated_on = _trained_on(model, own, train, dataset)
    report = evaluate(
        manifest,
        predictions,
        prior=prior,
        calibrated_on=calibrated_on,
        data=data,
        outliers=model.bundle.outliers,
        graders=[sample.graders for sample in dataset.samples],
        cohort=flow,
    )
    return predictions, report.model_copy(update={"learning": own.learning} if own and own.learning else {})


def _stored_predictions(store: BlobStore | None, key: str | None) -> Predictions | None:
    if not store or not key:
        return None
    try:
        return from_bytes(store.get(f"{key}/{PREDICTIONS_FILE}"))
    except BlobNotFound:
        return None


def _own_report(model: _Model) -> EvaluationReport | None:
    file = model.folder / EVALUATION_FILE
    return EvaluationReport.model_validate_json(file.read_bytes()) if file.is_file() else None


def _trained_on(
    model: _Model, own: EvaluationReport | None, train: Dataset | None, dataset: Dataset
) -> tuple[Floats, int | None]:
    """Return the prior [K] and the calibration cases.

    As the bundle's own evaluation says, else from the split, else from these cases.
    """
    conditions = model.bundle.manifest.conditions
    calibrated_on = (
        (own and own.calibrated_on) or sum(model.bundle.manifest.prediction_sets.calibrated_on.values()) or None
    )
    if own and own.prior:
        return np.array([own.prior.get(condition.name, 0.0) for condition in conditions]), calibrated_on
    click.echo(
        "the bundle does not say its training prior: floors are of "
        + ("the split's training part" if train else "these cases"),
        err=True,
    )
    return targets((train or dataset).samples, conditions)[0].mean(0), calibrated_on


def _studies(
    options: EvaluationOptions, bundle: Bundle, dataset: Dataset, whole: Predictions
) -> studies.Studies | None:
    if not options.ablation and not options.robustness:
        return None
    results: dict[str, Any] = {}
    source = options.data[0] if len(options.data) == 1 else ""
    rounds = studies.passes(source, ablation=options.ablation, robustness=options.robustness)
    with click.progressbar(length=rounds * len(dataset), label="studies") as bar:
        step: Callable[[int], None] = bar.update
        if options.ablation:
            results["ablation"] = studies.ablation(bundle, dataset, whole, step=step)
        if options.robustness:
            results["robustness"] = studies.robustness(bundle, dataset, whole, step=step)
            results["skin_tone_flips"] = studies.tone_flips(bundle, dataset, whole, source=source, step=step)
    return studies.Studies(**results)


def _evaluated(store: BlobStore) -> Iterator[EvaluationReport]:
    """Yield the evaluations that the store holds.

    One that can't be read is passed over, and a warning names its key.
    """
    for key in store.list(EVALUATIONS):
        if not key.endswith(f"/{EVALUATION_FILE}"):
            continue
        try:
            yield read_report(store, key)
        except DermisError as error:
            if error.kind is not Kind.INVALID:
                raise
            _alert(f"{error.detail}, or remove it: it is passed over")


def _once(reports: Sequence[EvaluationReport]) -> list[EvaluationReport]:
    """Return the last report of each model on each data set, by data and model."""
    last = {(report.data_digest, report.model): report for report in reports}
    return [last[key] for key in sorted(last)]


def _put(store: BlobStore, key: str, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        try:
            store.put_once(f"{key}/{name}", data)
        except BlobConflict:
            click.echo(
                f"{key}/{name} stands with other content and is left: what is new is in the folder alone", err=True
            )


def _say(
    options: EvaluationOptions, report: EvaluationReport, comparison: Comparison | None, studied: studies.Studies | None
) -> None:
    click.echo(f"{report.model} on {report.n:,} cases")
    for name in (
        "top_1",
        "top_3",
        "top_3_soft",
        "balanced_accuracy",
        "macro_auroc",
        "expected_calibration_error",
        "set_coverage_soft",
        "aurc",
    ):
        figure, floor = report.overall[name], report.floors.of(name)
        text = _text(figure.value, figure.interval) + (f"  floor {floor:.3f}" if floor is not None else "")
        click.echo(f"  {name:28} {text}")
    if comparison:
        for name, paired in comparison.differences.items():
            click.echo(
                f"  {name:28} {_text(paired.difference, paired.interval, sign='+')}  against {comparison.against}"
            )
    if studied and (flips := studied.skin_tone_flips):
        click.echo(
            f"  skin-tone flip rate          {_text(flips.flip_rate.value, flips.flip_rate.interval)}  {flips.how}"
        )
    click.echo(f"written {options.out / EVALUATION_FILE}, {options.out / PAGE_FILE}, {options.out / PREDICTIONS_FILE}")


def _text(value: float | None, interval: Interval, *, sign: str = "") -> str:
    if value is None:
        return "not stated"
    return f"{value:{sign}.3f}" + (f"  ({interval[0]:{sign}.3f} to {interval[1]:{sign}.3f})" if interval else "")
