"""Stable codes of what is wrong with one field of a request."""

from enum import StrEnum


class FieldCode(StrEnum):
    """What is wrong with a field, where the problem's `reason` speaks of the whole body or of all parameters."""

    REQUIRED = "REQUIRED"
    UNKNOWN_FIELD = "UNKNOWN_FIELD"
    UNKNOWN_PARAMETER = "UNKNOWN_PARAMETER"
    UNKNOWN_VALUE = "UNKNOWN_VALUE"
    WRONG_TYPE = "WRONG_TYPE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    INVALID_VALUE = "INVALID_VALUE"


_CODES = {
    "missing": FieldCode.REQUIRED,
    "extra_forbidden": FieldCode.UNKNOWN_FIELD,
    "enum": FieldCode.UNKNOWN_VALUE,
    "literal_error": FieldCode.UNKNOWN_VALUE,
    "too_long": FieldCode.OUT_OF_RANGE,
    "too_short": FieldCode.OUT_OF_RANGE,
    "string_too_long": FieldCode.OUT_OF_RANGE,
    "string_too_short": FieldCode.OUT_OF_RANGE,
    "greater_than": FieldCode.OUT_OF_RANGE,
    "greater_than_equal": FieldCode.OUT_OF_RANGE,
    "less_than": FieldCode.OUT_OF_RANGE,
    "less_than_equal": FieldCode.OUT_OF_RANGE,
}


def code_of(kind: str) -> FieldCode:
    """Return the code of a validation error of pydantic, by its `type`."""
    if kind.endswith(("_type", "_parsing")):
        return FieldCode.WRONG_TYPE
    return _CODES.get(kind, FieldCode.INVALID_VALUE)
