"""The feature service's interfaces to the outside."""

from typing import Protocol

from dermis.shared.manifest import FeatureSchema


class SchemaSource(Protocol):
    def get(self, schema_id: str) -> FeatureSchema:
        """Return the schema with this content id; NOT_FOUND if no bundle of the store carries it."""
        ...
