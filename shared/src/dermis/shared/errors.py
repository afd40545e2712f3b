"""One table of the kinds of errors.

A kind, and what it is called over HTTP and gRPC (RFC 9457, google.rpc.Code).
"""

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """How a command that did not succeed ends, so that a Job knows whether to try it again.

    USAGE: something must be changed first. REFUSED: a gate said no, and would again. RETRY: it may pass, as
    EX_TEMPFAIL in BSD's sysexits.h.
    """

    USAGE = 2
    REFUSED = 3
    RETRY = 75


class Kind(StrEnum):
    INVALID = "INVALID"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    PRECONDITION = "PRECONDITION"
    PERMISSION = "PERMISSION"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    NOT_ACCEPTABLE = "NOT_ACCEPTABLE"
    TOO_LARGE = "TOO_LARGE"
    UNSUPPORTED = "UNSUPPORTED"
    EXHAUSTED = "EXHAUSTED"
    FULL = "FULL"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE = "DEADLINE"
    INTERNAL = "INTERNAL"


HTTP_STATUS = {
    Kind.INVALID: 422,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.PERMISSION: 403,
    Kind.UNAUTHENTICATED: 401,
    Kind.NOT_ACCEPTABLE: 406,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.EXHAUSTED: 429,
    Kind.FULL: 507,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE: 504,
    Kind.INTERNAL: 500,
}
GRPC_CODE = {
    Kind.INVALID: "INVALID_ARGUMENT",
    Kind.NOT_FOUND: "NOT_FOUND",
    Kind.CONFLICT: "ALREADY_EXISTS",
    Kind.PRECONDITION: "FAILED_PRECONDITION",
    Kind.PERMISSION: "PERMISSION_DENIED",
    Kind.UNAUTHENTICATED: "UNAUTHENTICATED",
    Kind.NOT_ACCEPTABLE: "INVALID_ARGUMENT",
    Kind.TOO_LARGE: "INVALID_ARGUMENT",
    Kind.UNSUPPORTED: "INVALID_ARGUMENT",
    Kind.EXHAUSTED: "RESOURCE_EXHAUSTED",
    Kind.FULL: "RESOURCE_EXHAUSTED",
    Kind.UNAVAILABLE: "UNAVAILABLE",
    Kind.DEADLINE: "DEADLINE_EXCEEDED",
    Kind.INTERNAL: "INTERNAL",
}
_RETRYABLE = {Kind.UNAVAILABLE, Kind.DEADLINE, Kind.EXHAUSTED, Kind.FULL}


class DermisError(Exception):
    """An error that may be shown.

    It has `kind`, a stable `reason` (UPPER_SNAKE), a sentence, and a JSON pointer if one fits.
    """

    def __init__(self, kind: Kind, reason: str, detail: str, *, pointer: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.kind = kind
        self.reason = reason
        self.detail = detail
        self.pointer = pointer

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without a change."""
        return self.kind in _RETRYABLE

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.kind, self.reason, self.detail, self.pointer))


def _rebuild(kind: Kind, reason: str, detail: str, pointer: str | None) -> DermisError:
    return DermisError(kind, reason, detail, pointer=pointer)
