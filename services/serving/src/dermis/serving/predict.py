"""Answers one Predict request by a loaded version."""

from dermis.api.serving.v1 import serving_pb2 as pb
from dermis.serving.core.signature import SIGNATURE_NAME, check_inputs, check_signature_name, chosen_outputs
from dermis.serving.core.warmup import read_requests, zero_request
from dermis.serving.ports import Runner
from dermis.shared.rpc import MAX_MESSAGE_BYTES
from dermis.shared.tensors import from_proto, to_proto


def predict(runner: Runner, version: int, request: pb.PredictRequest) -> pb.PredictResponse:
    """Answer `request`; a Refusal or a DermisError of kind INVALID if it does not fit the signature."""
    check_signature_name(request.model_spec.signature_name)
    # A tensor of one repeated value is as small on the wire as it is large in memory.
    check_inputs(runner.signature, request.inputs, max_size=MAX_MESSAGE_BYTES)
    outputs = chosen_outputs(runner.signature, request.output_filter)
    results = runner.run({name: from_proto(tensor, name) for name, tensor in request.inputs.items()}, outputs)
    response = pb.PredictResponse(outputs={name: to_proto(array) for name, array in results.items()})
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = version
    response.model_spec.signature_name = SIGNATURE_NAME
    return response


def warm_up(runner: Runner, recorded: bytes | None) -> None:
    """Run the requests of a warm-up file, or one of zeros if the bundle has none."""
    for request in read_requests(recorded) if recorded is not None else [zero_request(runner.signature)]:
        predict(runner, 0, request)
