"""TensorFlow Serving's gRPC face: its method paths with our own subset of its messages."""

import functools
from collections.abc import Callable
from typing import TypeVar

import grpc

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.refusal import RpcRefusal
from dermis.serving.models import ServedModels
from dermis.serving.predict import predict
from dermis.shared.rpc import answer_errors

Request = TypeVar("Request", pb.PredictRequest, pb.GetModelStatusRequest)
Response = TypeVar("Response")
PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"


def _answer_refusals(answer: Callable[[Request], Response]) -> Callable[[Request, grpc.ServicerContext], Response]:
    @functools.wraps(answer)
    def wrapped(request: Request, context: grpc.ServicerContext) -> Response:
        if not request.HasField("model_spec"):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
        try:
            return answer(request)
        except RpcRefusal as refusal:
            context.abort(grpc.StatusCode[pb.Code.Name(refusal.code)], refusal.message)

    return answer_errors(wrapped)


def handlers(models: ServedModels) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return the handlers of Predict and GetModelStatus; every other method of the two services is UNIMPLEMENTED."""

    @_answer_refusals
    def answer_predict(request: pb.PredictRequest) -> pb.PredictResponse:
        version, runner = models.find(request.model_spec)
        return predict(runner, version, request)

    @_answer_refusals
    def answer_status(request: pb.GetModelStatusRequest) -> pb.GetModelStatusResponse:
        return pb.GetModelStatusResponse(model_version_status=models.status(request.model_spec))

    return (
        grpc.method_handlers_generic_handler(
            PREDICTION_SERVICE,
            {
                "Predict": grpc.unary_unary_rpc_method_handler(
                    answer_predict, pb.PredictRequest.FromString, pb.PredictResponse.SerializeToString
                )
            },
        ),
        grpc.method_handlers_generic_handler(
            MODEL_SERVICE,
            {
                "GetModelStatus": grpc.unary_unary_rpc_method_handler(
                    answer_status, pb.GetModelStatusRequest.FromString, pb.GetModelStatusResponse.SerializeToString
                )
            },
        ),
    )
