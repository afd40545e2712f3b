"""Feature schemas out of the store's bundles."""

import threading

from pydantic import ValidationError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FEATURE_SCHEMA_FILE, FeatureSchema
from dermis.shared.ports import BlobStore
from dermis.shared.telemetry import log


class StoreSchemas:
    """Reads each bundle's schema once; looks at the store again only for an id that it has not seen."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._by_id: dict[str, FeatureSchema] = {}
        self._read: set[str] = set()
        self._lock = threading.Lock()

    def get(self, schema_id: str) -> FeatureSchema:
        if schema_id not in self._by_id:
            with self._lock:
                self._look()
        try:
            return self._by_id[schema_id]
        except KeyError:
            raise DermisError(
                Kind.NOT_FOUND,
                "UNKNOWN_FEATURE_SCHEMA",
                f"feature_schema_id {schema_id!r} is in no bundle of the store; publish its bundle first",
            ) from None

    def _look(self) -> None:
        for key in self._store.list("models/"):
            if not key.endswith(f"/{FEATURE_SCHEMA_FILE}") or key in self._read:
                continue
            try:
                schema = FeatureSchema.model_validate_json(self._store.get(key))
            except ValidationError as error:
                log.warning("feature schema not readable", key=key, faults=error.error_count())
            else:
                self._by_id[schema.id] = schema
            self._read.add(key)
