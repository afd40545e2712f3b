"""Converts a self-report to the message of the feature service."""

from collections.abc import Mapping

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.shared.vocabulary import ScinAnswers, SelfReport

Answers = Mapping[str, tuple[str, ...]]
"""Field -> chosen values; a field that is not there was not answered."""


def answers_of(report: SelfReport) -> Answers:
    """Return what may be encoded; warning signs and an age under 18 are no features."""
    answers = ((name, getattr(report, name)) for name in ScinAnswers.model_fields)
    return {name: (value,) if isinstance(value, str) else value for name, value in answers if value is not None}


def to_proto(report: SelfReport) -> pb.SelfReport:
    """Return the message of a self-report, answers that were not given left unset."""
    message = pb.SelfReport()
    for name, values in answers_of(report).items():
        if message.DESCRIPTOR.fields_by_name[name].message_type is None:
            setattr(message, name, values[0])
        else:
            getattr(message, name).values.extend(values)
    return message
