"""Our errors over a real gRPC connection."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from dermis.shared.errors import DermisError, Kind
from dermis.shared.rpc import answer_errors, error_of, make_server, open_channel
from tests.support.servers import free_port

COARSER = {
    Kind.FULL: Kind.EXHAUSTED,
    Kind.NOT_ACCEPTABLE: Kind.INVALID,
    Kind.PRECONDITION: Kind.INVALID,
    Kind.TOO_LARGE: Kind.INVALID,
    Kind.UNSUPPORTED: Kind.INVALID,
}
"""What a kind is after gRPC, which has fewer words."""


@answer_errors
def _fail(request: bytes, _context: grpc.ServicerContext) -> bytes:
    raise DermisError(Kind(request.decode()), "REASON", f"a sentence about {request.decode()}, é")


def _break(_request: bytes, _context: grpc.ServicerContext) -> bytes:
    raise RuntimeError("a fault of ours")


@pytest.fixture
def call() -> Iterator[Callable[[str, str], bytes]]:
    server = make_server(threads=2)
    handlers: dict[str, Any] = {
        "Fail": grpc.unary_unary_rpc_method_handler(_fail),
        "Break": grpc.unary_unary_rpc_method_handler(_break),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open_channel(f"127.0.0.1:{port}") as channel:
        yield lambda method, request: channel.unary_unary(f"/test.Service/{method}")(request.encode(), timeout=5)  # type: ignore[arg-type]
    server.stop(0).wait()


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_and_its_sentence_arrive(call: Callable[[str, str], bytes], kind: Kind) -> None:
    with pytest.raises(grpc.RpcError) as fault:
        call("Fail", kind)
    error = error_of(fault.value, "metadata")
    assert error.kind is COARSER.get(kind, kind)
    assert error.detail == f"metadata: a sentence about {kind}, é"


@pytest.mark.parametrize("method", ["Break", "NoSuchMethod"])
def test_a_fault_without_a_kind_is_internal(call: Callable[[str, str], bytes], method: str) -> None:
    with pytest.raises(grpc.RpcError) as fault:
        call(method, "")
    assert error_of(fault.value, "metadata").kind is Kind.INTERNAL


def test_a_peer_that_is_away_is_unavailable_and_a_silent_one_late() -> None:
    with open_channel(f"127.0.0.1:{free_port()}") as channel, pytest.raises(grpc.RpcError) as fault:
        channel.unary_unary("/test.Service/Fail")(b"", timeout=5)  # type: ignore[arg-type]
    assert error_of(fault.value, "serving").kind is Kind.UNAVAILABLE
    waiting = threading.Event()
    server = make_server(threads=1)
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda _request, _context: bytes(waiting.wait(5)))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {"Wait": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with open_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as late:
        channel.unary_unary("/test.Service/Wait")(b"", timeout=0.3)  # type: ignore[arg-type]
    waiting.set()
    server.stop(0).wait()
    assert error_of(late.value, "serving").kind is Kind.DEADLINE


def test_all_addresses_of_a_peer_take_turns() -> None:
    servers = [make_server(threads=1) for _ in range(2)]
    ports = []
    for number, server in enumerate(servers):
        handler: Any = grpc.unary_unary_rpc_method_handler(
            lambda _request, _context, number=number: str(number).encode()
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", {"Who": handler}),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        server.start()
    with open_channel("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)) as channel:
        who: Any = channel.unary_unary("/test.Service/Who")
        deadline = time.monotonic() + 10  # until both connections stand
        while time.monotonic() < deadline and len({who(b"", timeout=5) for _ in range(4)}) < 2:
            time.sleep(0.05)
        assert sorted(who(b"", timeout=5) for _ in range(10)) == [b"0"] * 5 + [b"1"] * 5
    for server in servers:
        server.stop(0).wait()
