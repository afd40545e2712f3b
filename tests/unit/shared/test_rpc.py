"""Errors over gRPC, without a wire: tests/contract/test_rpc.py has the same over one."""

import grpc
import pytest

from dermis.shared.errors import GRPC_CODE, DermisError, Kind
from dermis.shared.rpc import answer_errors, error_of

COARSER = {
    Kind.FULL: Kind.EXHAUSTED,
    Kind.NOT_ACCEPTABLE: Kind.INVALID,
    Kind.PRECONDITION: Kind.INVALID,
    Kind.TOO_LARGE: Kind.INVALID,
    Kind.UNSUPPORTED: Kind.INVALID,
}
"""What a kind is after gRPC, which has fewer words."""


class Failed(grpc.RpcError, grpc.Call):  # type: ignore[misc]
    """A call that ended as a real one does."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._details


Failed.__abstractmethods__ = frozenset()


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_survives_the_way_there_and_back(kind: Kind) -> None:
    error = error_of(Failed(grpc.StatusCode[GRPC_CODE[kind]], "text"), "metadata")  # type: ignore[abstract]
    coarser = {
        Kind.TOO_LARGE: Kind.INVALID,
        Kind.UNSUPPORTED: Kind.INVALID,
        Kind.FULL: Kind.EXHAUSTED,
        Kind.NOT_ACCEPTABLE: Kind.INVALID,
        Kind.PRECONDITION: Kind.INVALID,
    }
    assert error.kind is coarser.get(kind, kind)
    assert error.retryable is DermisError(kind, "R", "").retryable
    assert error.reason == f"METADATA_{GRPC_CODE[kind]}"
    assert error.detail == "metadata: text"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("CANCELLED", Kind.UNAVAILABLE),
        ("FAILED_PRECONDITION", Kind.INVALID),
        ("UNKNOWN", Kind.INTERNAL),
        ("UNIMPLEMENTED", Kind.INTERNAL),
    ],
)
def test_codes_that_we_never_send(code: str, kind: Kind) -> None:
    error = error_of(Failed(grpc.StatusCode[code], None), "serving")  # type: ignore[abstract]
    assert (error.kind, error.reason) == (kind, f"SERVING_{code}")


def test_an_error_without_a_code_is_ours() -> None:
    assert error_of(grpc.RpcError("odd"), "serving").kind is Kind.INTERNAL


class Context:
    """What a handler sees of a call."""

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise Failed(code, details)  # type: ignore[abstract]


class Servicer:
    @answer_errors
    def Encode(self, request: str, _context: Context) -> str:
        """Says what it got."""
        if request == "bad":
            raise DermisError(Kind.INVALID, "ANSWER", "age_group='x' is unknown")
        return request


def test_a_handlers_error_becomes_its_code_and_sentence() -> None:
    assert Servicer().Encode("good", Context()) == "good"
    with pytest.raises(Failed) as fault:
        Servicer().Encode("bad", Context())
    assert fault.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert fault.value.details() == "age_group='x' is unknown"
    assert Servicer.Encode.__doc__ == "Says what it got."
