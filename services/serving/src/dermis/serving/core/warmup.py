"""Requests to run before a version is announced: those of a bundle's warm-up file, else one of zeros."""

import struct
from collections.abc import Iterator

import numpy as np

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.core.signature import Signature
from dermis.shared.tensors import DTYPES, to_proto

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_HEADER, _CHECKSUM = 12, 4


def read_requests(data: bytes) -> Iterator[pb.PredictRequest]:
    """Yield the Predict requests of a TFRecord file of PredictionLog; DATA_LOSS if the file is cut.

    A record is its length (uint64, little-endian), a checksum, the message, a checksum. The checksums are not looked
    at: the manifest's digest has vouched for the file. Source: tensorflow/core/lib/io/record_writer.h.
    """
    position = 0
    while position < len(data):
        start = position + _HEADER
        if start > len(data) or (end := start + struct.unpack_from("<Q", data, position)[0]) + _CHECKSUM > len(data):
            raise RpcRefusal(pb.DATA_LOSS, f"{WARMUP_FILE} ends within a record")
        log = pb.PredictionLog.FromString(data[start:end])
        if log.HasField("predict_log"):
            yield log.predict_log.request
        position = end + _CHECKSUM


def zero_request(signature: Signature) -> pb.PredictRequest:
    inputs = {
        name: np.zeros([size or 1 for size in spec.shape], DTYPES[spec.dtype])
        for name, spec in signature.inputs.items()
    }
    return pb.PredictRequest(inputs={name: to_proto(array) for name, array in inputs.items()})
