"""The metadata service and TensorFlow Serving (or the twin) over kept gRPC channels, opened after fork."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from dermis.api.metadata.v1 import features_pb2, features_pb2_grpc
from dermis.api.serving.v1 import serving_pb2 as serving
from dermis.shared.answers import to_proto
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Manifest, VersionRef
from dermis.shared.tensors import from_proto as array_of
from dermis.shared.tensors import to_proto as tensor_of
from dermis.shared.vocabulary import SelfReport
from dermis.worker.adapters.breaker import Peer
from dermis.worker.core.answer_shares import AnswerWeights, from_probes, probes
from dermis.worker.ports import Inputs, Outputs

_PROBED_AT_ONCE = 16
_PROBING_S = 5.0
_VERSIONS = 4
_STATUS_S = 2.0
"""Longest wait for a version's state, which serving has at hand.

Two of them and a call must fit into the time of a case.
"""


class MetadataClient:
    """Features port over `dermis.api.metadata.v1.FeatureService`."""

    def __init__(self, channel: grpc.Channel, *, deadline_s: float) -> None:
        self._stub = features_pb2_grpc.FeatureServiceStub(channel)  # type: ignore[no-untyped-call]
        self._deadline_s = deadline_s
        self._peer = Peer("metadata")

    def encode(self, schema_id: str, report: SelfReport) -> npt.NDArray[np.float32]:
        request = features_pb2.EncodeFeaturesRequest(feature_schema_id=schema_id, self_report=to_proto(report))
        with _bundle_lag():
            response = self._peer.call(self._stub.EncodeFeatures, request, deadline_s=self._deadline_s)
        return np.array(response.features, np.float32)


@dataclass(slots=True)
class _Version:
    """What a client keeps of one version; its own circuit breaker, so that a broken candidate opens no other's."""

    peer: Peer = field(default_factory=lambda: Peer("serving"))
    weights: AnswerWeights | None = None
    probed: list[npt.NDArray[np.float32]] = field(default_factory=list)


class ServingClient:
    """Classifier port over TensorFlow Serving's Predict, with messages of our own and TensorFlow's method paths."""

    def __init__(self, channel: grpc.Channel, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._versions: dict[str, _Version] = {}
        self._predict = _method(channel, "PredictionService/Predict", serving.PredictResponse)
        self._status = _method(channel, "ModelService/GetModelStatus", serving.GetModelStatusResponse)

    def predict(self, manifest: Manifest, inputs: Inputs) -> Outputs:
        conditions = len(manifest.conditions)
        shapes: dict[str, tuple[int, ...]] = {
            "probabilities": (conditions,),
            "cam": (manifest.max_images, *manifest.cam_size, conditions),
            "answers_logits": (conditions,),
        }
        if manifest.outliers:
            shapes["embedding"] = (manifest.embedding_size,)
        tensors = {"images": inputs.images, "image_mask": inputs.image_mask, "features": inputs.features}
        outputs = self._call(manifest, {name: tensor_of(value[None]) for name, value in tensors.items()}, shapes)
        return Outputs(**{name: value[0] for name, value in outputs.items()})

    def answer_weights(self, manifest: Manifest, columns: int) -> AnswerWeights | None:
        """Probed once a version: one row for no answer and one for each column.

        The images are zeros that no mask shows. A case waits `_PROBING_S` for it at most, and the next one goes on from
        there: None until then, as a slow backbone must not cost a case its outcome.
        """
        version = self._version(manifest)
        if version.weights is None:
            logits = self._probe(manifest, probes(columns))
            if logits is None:
                return None
            version.weights = from_probes(logits)
        return version.weights

    def _version(self, manifest: Manifest) -> "_Version":
        """Return what is kept of a version: of the last four, as many as a pointer names."""
        version = self._versions.pop(manifest.key, None) or _Version()
        self._versions[manifest.key] = version
        for key in list(self._versions)[:-_VERSIONS]:
            del self._versions[key]
        return version

    def _probe(self, manifest: Manifest, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        parts, end = self._version(manifest).probed, time.monotonic() + _PROBING_S
        starts = range(0, len(rows), _PROBED_AT_ONCE)
        shapes = {"answers_logits": (len(manifest.conditions),)}
        for start in starts[len(parts) :]:
            try:
                outputs = self._call(manifest, _imageless(manifest, rows[start : start + _PROBED_AT_ONCE]), shapes)
            except DermisError as error:
                if not error.retryable:
                    raise
                return None
            parts.append(outputs["answers_logits"])
            if time.monotonic() > end:
                break
        if len(parts) < len(starts):
            return None
        return np.concatenate(parts)

    def _call(
        self, manifest: Manifest, tensors: Mapping[str, serving.TensorProto], shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Return the outputs that `shapes` name, the batch as their first axis.

        INTERNAL if one is not of its shape or not finite.
        """
        request = serving.PredictRequest(
            model_spec=_spec(manifest.name, manifest.version), output_filter=list(shapes), inputs=tensors
        )
        request.model_spec.signature_name = "serving_default"
        with _bundle_lag():
            response = self._version(manifest).peer.call(self._predict, request, deadline_s=self._deadline_s)
        arrays = {name: array_of(response.outputs[name], name).astype(np.float32) for name in shapes}
        for name, value in arrays.items():
            if value.shape[1:] != shapes[name] or not np.isfinite(value).all():
                raise DermisError(
                    Kind.INTERNAL, "SERVING_OUTPUT", f"{name} of shape {value.shape} doesn't fit {manifest.key}"
                )
        return arrays

    def available(self, ref: VersionRef) -> bool:
        """Return whether serving has this version ready; False as well if it can't be asked."""
        request = serving.GetModelStatusRequest(model_spec=_spec(ref.name, ref.version))
        try:
            response = self._status(request, timeout=min(self._deadline_s, _STATUS_S))
        except grpc.RpcError:
            return False
        return any(
            status.version == ref.version and status.state == serving.ModelVersionStatus.AVAILABLE
            for status in response.model_version_status
        )


def _imageless(manifest: Manifest, features: npt.NDArray[np.float32]) -> dict[str, serving.TensorProto]:
    """Return the inputs of rows without any image; the zeros travel as one value."""
    size, rows = manifest.image_size, len(features)
    images = serving.TensorProto(dtype=serving.DT_UINT8, int_val=[0])
    for length in (rows, manifest.max_images, size, size, 3):
        images.tensor_shape.dim.add(size=length)
    return {
        "images": images,
        "image_mask": tensor_of(np.zeros((rows, manifest.max_images), np.bool_)),
        "features": tensor_of(features),
    }


def _spec(name: str, version: int) -> serving.ModelSpec:
    spec = serving.ModelSpec(name=name)
    spec.version.value = version
    return spec


def _method(channel: grpc.Channel, path: str, response: Any) -> Any:
    return channel.unary_unary(
        f"/tensorflow.serving.{path}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )


@contextmanager
def _bundle_lag() -> Iterator[None]:
    """A version or schema that the other side does not know yet will be known soon: the bundle is in the store."""
    try:
        yield
    except DermisError as error:
        if error.kind is Kind.NOT_FOUND:
            raise DermisError(Kind.UNAVAILABLE, error.reason, error.detail) from error
        raise
