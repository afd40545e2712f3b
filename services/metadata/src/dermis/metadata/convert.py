"""Protobuf messages -> the core's values."""

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.shared.answers import Answers

_NAMES = {field.number: field.name for field in pb.SelfReport.DESCRIPTOR.fields}


def from_proto(report: pb.SelfReport) -> Answers:
    """Return the fields that are set; an empty text that is set stays, for the core to refuse."""
    return {_NAMES[field.number]: (value,) if isinstance(value, str) else tuple(value.values) for field, value in report.ListFields()}
