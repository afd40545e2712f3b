"""Which models and conditions there are, from the bundles in the store."""

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from dermis.gateway.guidance import guidance
from dermis.gateway.http import ConditionList, Evaluation, ModelList, ModelSummary, Promotion, VersionKnowledge
from dermis.gateway.web.reports import DataReport, ReportView, read, read_data
from dermis.shared.bundles import read_current, read_manifest, versions
from dermis.shared.case import NOT_A_MEDICAL_DEVICE
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import EvaluationReport, read_report
from dermis.shared.ids import is_id
from dermis.shared.manifest import EVALUATION_FILE, Current, Manifest, VersionRef, bundle_key
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.telemetry import log

_BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a JSON document may raise that is none, or another one than it should be."""
_UNREADABLE = (Kind.INVALID, Kind.NOT_FOUND)
"""What reading a bundle raises that is broken or not whole."""
_PROMOTIONS = "promotions/"
_EVALUATION = re.compile(r"evaluations/([0-9a-f]{16})/([^/]+)/(\d+)/evaluation\.json")
_DATA_REPORT = re.compile(r"reports/([0-9a-f]{16})/report\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    store: BlobStore

    def models(self) -> ModelList:
        """Return every published version, with what the pointer has it do.

        A bundle that can't be read is left out and logged.
        """
        pointer = self.pointer()
        models = []
        for ref in versions(self.store):
            try:
                models.append(_summary(read_manifest(self.store, ref), pointer))
            except DermisError as error:
                if error.kind not in _UNREADABLE:
                    raise
                log.error("bundle is broken", model=bundle_key(ref.name, ref.version), reason=error.reason)
        return ModelList(models=models)

    def evaluation(self, version: int, *, name: str | None) -> Evaluation:
        """Return a version's report; without `name` that of the current model's, or of the only one.

        NOT_FOUND if none can be read.
        """
        ref = self._ref(version, name)
        report = self._report(_evaluation_key(ref)) if ref else None
        if ref is None or report is None:
            raise _no_model(version, name)
        return Evaluation(model=f"{ref.name} {ref.version}", report=report)

    def report_of(self, version: int, *, name: str) -> ReportView | None:
        """Return a version's report as a page shows it, None if there is none that can be read."""
        ref = self._ref(version, name)
        return self.report_at(_evaluation_key(ref)) if ref else None

    def conditions(self) -> ConditionList:
        """Return the current model's conditions, each with its guidance; UNAVAILABLE if its bundle can't be read."""
        current, texts = self._current(), guidance()
        if current:
            conditions = [(condition.id, condition.name) for condition in self._manifest(current).conditions]
        else:
            conditions = [(entry.id, entry.names[0]) for entry in texts.entries]
        return ConditionList(
            model=f"{current.name} {current.version}" if current else None,
            conditions=[texts.of_condition(condition, name) for condition, name in conditions],
            general=texts.of_general(),
            skin_care=texts.skin_care,
            self_care=texts.of_everyone(),
            clinical_review=texts.clinical_review,
            notice=NOT_A_MEDICAL_DEVICE,
        )

    def answers_as_demo(self) -> bool:
        """Tell whether the current model is a demo; False where there is none, or what it is can't be read now."""
        try:
            current = self._current()
            return current is not None and self._manifest(current).purpose == "demo"
        except DermisError as error:
            log.warning("purpose of the current model is not known", reason=error.reason)
            return False

    def promotions(self, *, before: str = "", size: int) -> list[Promotion]:
        """Return `size` records from the newest on, or from that before the id `before`.

        One that can't be read is left out and logged.
        """
        ids = (key.removeprefix(_PROMOTIONS).removesuffix(".json") for key in self.store.list(_PROMOTIONS))
        older = sorted(
            (each for each in ids if is_id("promotion", each) and (not before or each < before)), reverse=True
        )
        records = (self._promotion(each) for each in older)
        return list(islice((record for record in records if record), size))

    def _promotion(self, promotion_id: str) -> Promotion | None:
        key = f"{_PROMOTIONS}{promotion_id}.json"
        try:
            record = json.loads(self.store.get(key))
            names = {"model": _named(record["ref"]), "over": _named(record["over"]) if record["over"] else None}
            return Promotion.model_validate(record | names)
        except (BlobNotFound, *_BROKEN):
            log.error("promotion's record is broken", key=key)
            return None

    def evaluations(self) -> dict[tuple[str, str], str]:
        """Return the keys of the evaluations on other data than the bundle's own.

        They are named by the data's digest and the model ("dermis 1").
        """
        matches = filter(None, map(_EVALUATION.fullmatch, self.store.list("evaluations/")))
        return {(each[1], f"{each[2]} {each[3]}"): each[0] for each in matches}

    def report_at(self, key: str) -> ReportView | None:
        """Return what a page shows of the report at a key, None if there is none that can be read."""
        report = self._report(key)
        return read(report) if report else None

    def _report(self, key: str) -> EvaluationReport | None:
        try:
            return read_report(self.store, key)
        except DermisError as error:
            if error.kind not in _UNREADABLE:
                raise
            if error.kind is Kind.INVALID:
                log.error("evaluation is broken", key=key, reason=error.reason)
            return None

    def data_reports(self) -> list[str]:
        """Return the ids of the data reports that were published."""
        return [match[1] for key in self.store.list("reports/") if (match := _DATA_REPORT.fullmatch(key))]

    def data_report(self, report_id: str) -> DataReport:
        """Return a published data report; NOT_FOUND if there is none that can be read."""
        key = f"reports/{report_id}/report.json"
        if _DATA_REPORT.fullmatch(key):
            try:
                return read_data(json.loads(self.store.get(key)))
            except BlobNotFound:
                pass
            except _BROKEN:
                log.error("data report is broken", key=key)
        raise DermisError(Kind.NOT_FOUND, "REPORT_NOT_FOUND", f"there is no data report {report_id[:64]!r}; see /data")

    def pointer(self) -> Current | None:
        """Return what the pointer names; None as long as no version is current."""
        try:
            return read_current(self.store)
        except DermisError as error:
            if error.reason != "NO_CURRENT_MODEL":
                raise
            return None

    def _current(self) -> VersionRef | None:
        pointer = self.pointer()
        return pointer.current if pointer else None

    def _manifest(self, ref: VersionRef) -> Manifest:
        try:
            return read_manifest(self.store, ref)
        except DermisError as error:
            if error.kind not in _UNREADABLE:
                raise
            detail = (
                f"the bundle of the current model, {ref.name} {ref.version}, can't be read; publish it again or "
                "point to another"
            )
            raise DermisError(Kind.UNAVAILABLE, "MODEL_BROKEN", detail) from error

    def _ref(self, version: int, name: str | None) -> VersionRef | None:
        published = versions(self.store)
        current = self._current()
        wanted = name or (current.name if current else None)
        of_version = [ref for ref in published if ref.version == version and wanted in (None, ref.name)]
        return of_version[0] if len(of_version) == 1 else None


def _evaluation_key(ref: VersionRef) -> str:
    return f"{bundle_key(ref.name, ref.version)}/{EVALUATION_FILE}"


def _named(ref: dict[str, Any]) -> str:
    return f"{ref['name']} {ref['version']}"


def _summary(manifest: Manifest, pointer: Current | None) -> ModelSummary:
    role = pointer.roles.get(VersionRef(name=manifest.name, version=manifest.version)) if pointer else None
    canary = pointer.canary if pointer and role == "canary" else None
    return ModelSummary(
        name=manifest.name,
        version=manifest.version,
        purpose=manifest.purpose,
        current=role == "current",
        role=role,
        percent=canary.percent if canary else None,
        conditions=list(manifest.conditions),
        image_size=manifest.image_size,
        coverage=manifest.prediction_sets.coverage,
        evaluation=f"/v1/models/{manifest.version}/evaluation?name={manifest.name}",
        knowledge=_knowledge(manifest),
        malignant=list(manifest.malignant.conditions) if manifest.malignant else [],
        declines_unlike=bool(manifest.outliers or manifest.textures),
    )


def _knowledge(manifest: Manifest) -> VersionKnowledge | None:
    if manifest.knowledge is None:
        return None
    knows = manifest.knowledge
    return VersionKnowledge.model_validate(knows.model_dump() | {"not_measured": knows.not_measured})


def _no_model(version: int, name: str | None) -> DermisError:
    which = f"version {version}" + (f" of {name[:64]!r}" if name else " of the current model")
    return DermisError(Kind.NOT_FOUND, "MODEL_NOT_FOUND", f"there is no evaluation of {which}; see GET /v1/models")
