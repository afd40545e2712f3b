"""Follows the store's pointer to the current model, once serving has that version ready."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dermis.shared.bundles import read_current, read_feature_schema, read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import EvaluationReport, read_report
from dermis.shared.manifest import EVALUATION_FILE, FeatureSchema, Manifest, VersionRef
from dermis.shared.ports import BlobStore
from dermis.shared.telemetry import log
from dermis.worker.core import outliers, texture
from dermis.worker.core.outliers import Outliers
from dermis.worker.core.texture import Textures

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
        self._looked = -_LOOK_EVERY_S
        self._outliers: tuple[str, Outliers] | None = None
        self._textures: tuple[str, Textures] | None = None
        self._schema: tuple[str, FeatureSchema] | None = None
        self._evaluation: tuple[str, EvaluationReport | None] | None = None

    def pinned(self) -> Manifest:
        now = time.monotonic()
        if self._manifest is None or now - self._looked >= _LOOK_EVERY_S:
            self._manifest = self._follow()
            self._looked = now
        return self._manifest

    def outliers(self, manifest: Manifest) -> Outliers | None:
        if manifest.outliers is None:
            return None
        if self._outliers is None or self._outliers[0] != manifest.key:
            with self._of_bundle(manifest):
                self._outliers = manifest.key, outliers.from_bytes(self._read(manifest, manifest.outliers.file))
        return self._outliers[1]

    def textures(self, manifest: Manifest) -> Textures | None:
        if manifest.textures is None:
            return None
        if self._textures is None or self._textures[0] != manifest.key:
            with self._of_bundle(manifest):
                self._textures = manifest.key, texture.from_bytes(self._read(manifest, manifest.textures.file))
        return self._textures[1]

    def _read(self, manifest: Manifest, file: str) -> bytes:
        return self._store.get(f"{manifest.key}/{file}")

    def feature_schema(self, manifest: Manifest) -> FeatureSchema:
        if self._schema is None or self._schema[0] != manifest.key:
            with self._of_bundle(manifest):
                schema = read_feature_schema(self._store, VersionRef(name=manifest.name, version=manifest.version))
            self._schema = manifest.key, schema
        return self._schema[1]

    def evaluation(self, manifest: Manifest) -> EvaluationReport | None:
        if self._evaluation is None or self._evaluation[0] != manifest.key:
            self._evaluation = manifest.key, self._report(f"{manifest.key}/{EVALUATION_FILE}")
        return self._evaluation[1]

    def _report(self, key: str) -> EvaluationReport | None:
        try:
            return read_report(self._store, key)
        except DermisError as error:  # no case may fail for a report that is missing or of another form
            if error.kind not in (Kind.NOT_FOUND, Kind.INVALID):
                raise
            return None

    def _follow(self) -> Manifest:
        pointer = read_current(self._store)
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
