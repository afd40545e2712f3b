"""How a call is refused: TensorFlow Serving's status codes, of which our own kinds lack some."""

from dermis.api.serving.v1 import serving_pb2 as pb


class RpcRefusal(Exception):
    """A call or a load that ends with TensorFlow's `code` and a sentence."""

    def __init__(self, code: pb.Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
