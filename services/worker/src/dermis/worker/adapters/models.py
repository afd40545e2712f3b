"""Follows the store's pointer to the current model, once serving has that version ready."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dermis.shared.bundles import read_current, read_feature_schema, read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import EvaluationReport, read_report
from dermis.shared.manifest import EVALUATION_FILE, Current, FeatureSchema, Manifest, VersionRef
from dermis.shared.ports import BlobStore
from dermis.shared.telemetry import log
from dermis.worker.core import answer_shares, outliers, texture
from dermis.worker.core.answer_shares import AnswerWeights
from dermis.worker.core.outliers import Outliers
from dermis.worker.core.texture import Textures
from dermis.worker.ports import Candidates

_LOOK_EVERY_S = 2.0
_BROKEN = (Kind.INVALID, Kind.NOT_FOUND)
"""What reading a bundle raises that is broken or not whole."""


class StoreModels:
    """Models port: looks at the pointer at most every two seconds.

    It keeps the held version until the new one is ready.
    """

    def __init__(self, store: BlobStore, available: Callable[[VersionRef], bool]) -> None:
        self._store = store
        self._available = available
        self._manifest: Manifest | None = None
        self._candidates = Candidates()
        self._looked = -_LOOK_EVERY_S
        self._outliers: dict[str, Outliers] = {}
        self._textures: dict[str, Textures] = {}
        self._answer_weights: dict[str, AnswerWeights] = {}
        self._schemas: dict[str, FeatureSchema] = {}
        self._evaluations: dict[str, EvaluationReport | None] = {}

    def pinned(self) -> Manifest:
        return self._look()[0]

    def candidates(self) -> Candidates:
        return self._look()[1]

    def _look(self) -> tuple[Manifest, Candidates]:
        now = time.monotonic()
        if self._manifest is None or now - self._looked >= _LOOK_EVERY_S:
            pointer = read_current(self._store)
            self._manifest = self._follow(pointer)
            self._candidates = self._staged(pointer)
            self._looked = now
            self._forget()
        return self._manifest, self._candidates

    def _forget(self) -> None:
        """Let go of what belongs to versions that no case is answered with any more."""
        versions = (self._manifest, self._candidates.canary, self._candidates.shadow)
        keys = {manifest.key for manifest in versions if manifest}
        kept: tuple[dict[str, Any], ...] = (
            *(self._outliers, self._textures, self._answer_weights),
            *(self._schemas, self._evaluations),
        )
        for each in kept:
            for key in each.keys() - keys:
                del each[key]

    def outliers(self, manifest: Manifest) -> Outliers | None:
        if manifest.outliers is None:
            return None
        if manifest.key not in self._outliers:
            with self._of_bundle(manifest):
                self._outliers[manifest.key] = outliers.from_bytes(self._read(manifest, manifest.outliers.file))
        return self._outliers[manifest.key]

    def textures(self, manifest: Manifest) -> Textures | None:
        if manifest.textures is None:
            return None
        if manifest.key not in self._textures:
            with self._of_bundle(manifest):
                self._textures[manifest.key] = texture.from_bytes(self._read(manifest, manifest.textures.file))
        return self._textures[manifest.key]

    def bundle_answer_weights(self, manifest: Manifest) -> AnswerWeights | None:
        if manifest.answer_weights is None:
            return None
        if manifest.key not in self._answer_weights:
            with self._of_bundle(manifest):
                read = answer_shares.from_bytes(self._read(manifest, manifest.answer_weights))
            self._answer_weights[manifest.key] = read
        return self._answer_weights[manifest.key]

    def _read(self, manifest: Manifest, file: str) -> bytes:
        return self._store.get(f"{manifest.key}/{file}")

    def feature_schema(self, manifest: Manifest) -> FeatureSchema:
        if manifest.key not in self._schemas:
            with self._of_bundle(manifest):
                schema = read_feature_schema(self._store, VersionRef(name=manifest.name, version=manifest.version))
            self._schemas[manifest.key] = schema
        return self._schemas[manifest.key]

    def evaluation(self, manifest: Manifest) -> EvaluationReport | None:
        if manifest.key not in self._evaluations:
            self._evaluations[manifest.key] = self._report(f"{manifest.key}/{EVALUATION_FILE}")
        return self._evaluations[manifest.key]

    def _report(self, key: str) -> EvaluationReport | None:
        try:
            return read_report(self._store, key)
        except DermisError as error:  # no case may fail for a report that is missing or of another form
            if error.kind not in (Kind.NOT_FOUND, Kind.INVALID):
                raise
            return None

    def _follow(self, pointer: Current) -> Manifest:
        pinned = VersionRef(name=self._manifest.name, version=self._manifest.version) if self._manifest else None
        if self._manifest and pointer.current == pinned:
            return self._manifest
        if self._available(pointer.current) and (manifest := self._readable(pointer.current)):
            return manifest
        if self._manifest:
            return self._manifest
        if pointer.previous and self._available(pointer.previous) and (manifest := self._readable(pointer.previous)):
            return manifest
        raise DermisError(
            Kind.UNAVAILABLE,
            "MODEL_NOT_READY",
            f"{pointer.current.name}/{pointer.current.version} is not ready in serving, or its bundle can't be read",
        )

    def _staged(self, pointer: Current) -> Candidates:
        canary, shadow = pointer.canary, pointer.shadow
        return Candidates(
            canary=self._ready(canary.ref, self._candidates.canary) if canary else None,
            percent=canary.percent if canary else 0,
            promotion=canary.promotion if canary else "",
            shadow=self._ready(shadow, self._candidates.shadow) if shadow else None,
        )

    def _ready(self, ref: VersionRef, standing: Manifest | None) -> Manifest | None:
        """Return a candidate's manifest once serving has it ready; None until then, and where it can't be read now."""
        if standing and (standing.name, standing.version) == (ref.name, ref.version):
            return standing
        try:
            return self._readable(ref) if self._available(ref) else None
        except DermisError as error:  # no case may wait for a version that is not current
            log.warning("candidate not read", model=f"{ref.name}/{ref.version}", reason=error.reason)
            return None

    def _readable(self, ref: VersionRef) -> Manifest | None:
        """Return a version's manifest, None if it is broken or missing: cases wait for one that is whole."""
        try:
            return read_manifest(self._store, ref)
        except DermisError as error:
            if error.kind not in _BROKEN:
                raise
            log.error("bundle can't be read", model=f"{ref.name}/{ref.version}", reason=error.reason)
            return None

    @contextmanager
    def _of_bundle(self, manifest: Manifest) -> Iterator[None]:
        """Cases wait until a file of the bundle that is broken or missing is mended."""
        try:
            yield
        except DermisError as error:
            if error.kind not in _BROKEN:
                raise
            raise DermisError(
                Kind.UNAVAILABLE, "BUNDLE_BROKEN", f"{manifest.key}: {error.detail}; publish it again"
            ) from error
