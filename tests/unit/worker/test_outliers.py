"""The outlier score and its file."""

import io

import numpy as np
import pytest

from dermis.shared.errors import DermisError
from dermis.worker.core.outliers import Outliers, from_bytes, to_bytes

KNOWN = Outliers(mean=np.array([1.0, 0, 0]), axes=np.array([[1.0, 0, 0]]), variances=np.array([4.0]), rest=0.25)


def test_the_score_by_hand() -> None:
    assert KNOWN.score(np.array([3.0, 0.5, 0])) == pytest.approx((4 / 4 + 0.25 / 0.25) / 3)
    assert KNOWN.score(np.array([[1.0, 0, 0], [1, 0, 3]])).tolist() == pytest.approx([0, 36 / 3])


def test_a_file_holds_it() -> None:
    read = from_bytes(to_bytes(KNOWN))
    assert read.score(np.array([3.0, 0.5, 0.1])) == pytest.approx(KNOWN.score(np.array([3.0, 0.5, 0.1])))


def _npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    whole = {"mean": np.zeros(3), "axes": np.zeros((1, 3)), "variances": np.ones(1), "rest": np.float64(1)} | arrays
    np.savez(buffer, **whole)  # type: ignore[arg-type]
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no npz",
        _npz(axes=np.zeros((2, 3))),
        _npz(rest=np.float64(0)),
        _npz(variances=np.array([np.nan])),
        _npz(mean=np.array([None, None, None])),
    ],
    ids=["empty", "other", "shape", "no variance", "nan", "pickled"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(DermisError, match="no outlier file"):
        from_bytes(data)


def _broken() -> list[bytes]:
    whole, random = to_bytes(KNOWN), np.random.default_rng(0)
    cut = [whole[:end] for end in range(0, len(whole), 16)]
    changed = []
    for _ in range(500):
        data = np.frombuffer(whole, np.uint8).copy()
        data[random.integers(len(data), size=3)] = random.integers(256, size=3)
        changed.append(data.tobytes())
    one = io.BytesIO()
    np.save(one, np.zeros(3))
    return [
        *cut,
        *changed,
        one.getvalue(),
        _npz(variances=np.float64(1)),
        _npz(mean=np.float64(1)),
        _npz(axes=np.array(["a"])),
    ]


def test_whatever_happened_to_a_file_it_is_read_or_told_to_be_broken() -> None:
    reasons = set()
    for data in _broken():
        try:
            from_bytes(data)
        except DermisError as error:
            reasons.add(error.reason)
    assert reasons == {"OUTLIERS"}
