"""The metadata service and TensorFlow Serving (or the twin) over kept gRPC channels, opened after fork."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from dermis.worker.ports import Inputs, Outputs


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


class ServingClient:
    """Classifier port over TensorFlow Serving's Predict, with messages of our own and TensorFlow's method paths."""

    def __init__(self, channel: grpc.Channel, *, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        self._peer = Peer("serving")
        self._predict = _method(channel, "PredictionService/Predict", serving.PredictResponse)
        self._status = _method(channel, "ModelService/GetModelStatus", serving.GetModelStatusResponse)

    def predict(self, manifest: Manifest, inputs: Inputs) -> Outputs:
        wanted = {"probabilities": len(manifest.conditions)} | ({"embedding": manifest.embedding_size} if manifest.outliers else {})
        request = serving.PredictRequest(model_spec=_spec(manifest.name, manifest.version), output_filter=list(wanted))
        request.model_spec.signature_name = "serving_default"
        for name, value in (("images", inputs.images), ("image_mask", inputs.image_mask), ("features", inputs.features)):
            request.inputs[name].CopyFrom(tensor_of(value[None]))
        with _bundle_lag():
            response = self._peer.call(self._predict, request, deadline_s=self._deadline_s)
        found: dict[str, npt.NDArray[np.float32]] = {}
        for name, size in wanted.items():
            found[name] = array_of(response.outputs[name], name)[0].astype(np.float32)
            if found[name].shape != (size,) or not np.isfinite(found[name]).all():
                raise DermisError(Kind.INTERNAL, "SERVING_OUTPUT", f"{name} of shape {found[name].shape} don't fit {manifest.key}")
        return Outputs(probabilities=found["probabilities"], embedding=found.get("embedding"))

    def available(self, ref: VersionRef) -> bool:
        """Return whether serving has this version ready; False as well if it can't be asked."""
        request = serving.GetModelStatusRequest(model_spec=_spec(ref.name, ref.version))
        try:
            response = self._status(request, timeout=self._deadline_s)
        except grpc.RpcError:
            return False
        return any(
            status.version == ref.version and status.state == serving.ModelVersionStatus.AVAILABLE
            for status in response.model_version_status
        )


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
