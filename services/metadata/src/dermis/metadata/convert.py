"""Protobuf messages -> the core's values."""

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.metadata.core.encode import VOCABULARY
from dermis.shared.answers import Answers

_SINGLE = tuple(name for name in VOCABULARY if pb.SelfReport.DESCRIPTOR.fields_by_name[name].message_type is None)
_SEVERAL = tuple(name for name in VOCABULARY if name not in _SINGLE)


def from_proto(report: pb.SelfReport) -> Answers:
    """Return the fields that are set; an empty text that is set stays, for the core to refuse."""
    answers: dict[str, tuple[str, ...]] = {}
    for name in _SINGLE:
        value = getattr(report, name)
        if value or report.HasField(name):
            answers[name] = (value,)
    for name in _SEVERAL:
        if report.HasField(name):
            answers[name] = tuple(getattr(report, name).values)
    return answers
