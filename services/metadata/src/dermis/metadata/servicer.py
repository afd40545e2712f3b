"""dermis.api.metadata.v1.FeatureService."""

import grpc

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.api.metadata.v1 import features_pb2_grpc as api
from dermis.metadata.convert import from_proto
from dermis.metadata.core.encode import encoder
from dermis.metadata.ports import SchemaSource
from dermis.shared.errors import DermisError, Kind
from dermis.shared.rpc import answer_errors

MAX_ROWS = 8192


class FeatureServicer(api.FeatureServiceServicer):
    def __init__(self, schemas: SchemaSource) -> None:
        self._schemas = schemas

    @answer_errors
    def EncodeFeatures(
        self, request: pb.EncodeFeaturesRequest, _context: grpc.ServicerContext
    ) -> pb.EncodeFeaturesResponse:
        schema = self._schemas.get(request.feature_schema_id)
        matrix = encoder(schema).encode([from_proto(request.self_report)])
        return pb.EncodeFeaturesResponse(features=matrix[0].tolist())

    @answer_errors
    def BatchEncodeFeatures(
        self, request: pb.BatchEncodeFeaturesRequest, _context: grpc.ServicerContext
    ) -> pb.BatchEncodeFeaturesResponse:
        if len(request.self_reports) > MAX_ROWS:
            raise DermisError(
                Kind.INVALID,
                "TOO_MANY_ROWS",
                f"self_reports has {len(request.self_reports)} rows; send at most {MAX_ROWS} a call",
            )
        schema = self._schemas.get(request.feature_schema_id)
        matrix = encoder(schema).encode([from_proto(report) for report in request.self_reports])
        rows, columns = matrix.shape
        return pb.BatchEncodeFeaturesResponse(features=matrix.astype("<f4").tobytes(), rows=rows, columns=columns)

    @answer_errors
    def DescribeFeatureSchema(
        self, request: pb.DescribeFeatureSchemaRequest, _context: grpc.ServicerContext
    ) -> pb.DescribeFeatureSchemaResponse:
        schema = self._schemas.get(request.feature_schema_id)
        return pb.DescribeFeatureSchemaResponse(
            schema_json=schema.model_dump_json(), columns=schema.columns, promotable=schema.promotable
        )
