import pickle

import pytest

from dermis.shared.errors import GRPC_CODE, HTTP_STATUS, DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_status_in_both_tongues(kind: Kind) -> None:
    assert 400 <= HTTP_STATUS[kind] < 600
    assert GRPC_CODE[kind].isupper()
    assert DermisError(kind, "REASON", "text").retryable is (
        kind in {Kind.UNAVAILABLE, Kind.DEADLINE, Kind.EXHAUSTED, Kind.FULL}
    )


@pytest.mark.parametrize(
    "error",
    [
        DermisError(Kind.INVALID, "ANSWER", "it's wrong: 'x'", pointer="/self_report/age_group"),
        DermisError(Kind.UNAVAILABLE, "STORE_FULL", ""),
        BlobNotFound('cases/a\'b/"c"/received.json'),
        BlobConflict("no quotes"),
    ],
    ids=lambda error: error.reason,
)
def test_an_error_survives_pickling(error: DermisError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error) == f"{error.reason}: {error.detail}"
    assert copy.retryable == error.retryable
