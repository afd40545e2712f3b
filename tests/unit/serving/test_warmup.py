"""The warm-up file, and predicting with it."""

import struct
from typing import Any

import pytest

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.warmup import read_requests, zero_request
from dermis.serving.predict import warm_up


def record(message: bytes) -> bytes:
    """A TFRecord with made-up checksums."""
    return struct.pack("<Q", len(message)) + b"crc1" + message + b"crc2"


def warmup_file(*requests: pb.PredictRequest) -> bytes:
    return b"".join(
        record(pb.PredictionLog(predict_log=pb.PredictLog(request=each)).SerializeToString()) for each in requests
    )


def test_reads_every_request(request_: pb.PredictRequest) -> None:
    other = pb.PredictRequest(model_spec=pb.ModelSpec(name="second"))
    assert list(read_requests(warmup_file(request_, other))) == [request_, other]
    assert list(read_requests(b"")) == []


def test_skips_records_that_are_no_predict_request(request_: pb.PredictRequest) -> None:
    assert list(read_requests(record(b"") + warmup_file(request_))) == [request_]


@pytest.mark.parametrize("cut", [1, 4, 30])
def test_a_cut_file_is_data_loss(request_: pb.PredictRequest, cut: int) -> None:
    with pytest.raises(RpcRefusal) as caught:
        list(read_requests(warmup_file(request_)[:-cut]))
    assert caught.value.code == pb.DATA_LOSS


def test_runs_each_recorded_request(runner: Any, request_: pb.PredictRequest) -> None:
    warm_up(runner, warmup_file(request_, request_))
    assert runner.runs == 2


def test_runs_zeros_without_a_file(runner: Any) -> None:
    warm_up(runner, None)
    assert runner.runs == 1
    assert zero_request(runner.signature).inputs["images"].tensor_content == bytes(3 * 4 * 4 * 3)


def test_a_recorded_request_that_does_not_fit_fails_the_load(runner: Any, request_: pb.PredictRequest) -> None:
    del request_.inputs["features"]
    with pytest.raises(RpcRefusal):
        warm_up(runner, warmup_file(request_))
