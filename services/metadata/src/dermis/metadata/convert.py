"""Converts protobuf messages to the core's values."""

from functools import lru_cache

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.shared.answers import Answers

_NAMES = {field: field.name for field in pb.SelfReport.DESCRIPTOR.fields}


def from_proto(report: pb.SelfReport) -> Answers:
    """Return the fields that are set; an empty text that is set stays, for the core to refuse."""
    return {
        _NAMES[field]: (value,) if isinstance(value, str) else _values(value.SerializeToString())
        for field, value in report.ListFields()
    }


@lru_cache(maxsize=4096)
def _values(choices: bytes) -> tuple[str, ...]:
    """Return the values of a serialised Choices.

    Few combinations make most of a batch, and reading bytes costs less than a view of each.
    """
    return tuple(pb.Choices.FromString(choices).values)
