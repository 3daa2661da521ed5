"""A gRPC client of raw bytes: calls of every kind through the proxy at the address given."""

import queue
import sys

import grpc

channel = grpc.insecure_channel(sys.argv[1])
unary = channel.unary_unary("/demo.Echo/Unary")
reply, call = unary.with_call(b"hello", timeout=10)
assert reply == b"hello" and ("x-trailer", "yes") in [tuple(pair) for pair in call.trailing_metadata()]
assert unary(b"x" * 3_000_000, timeout=10) == b"x" * 3_000_000
print("unary ok")
assert list(channel.unary_stream("/demo.Echo/Stream")(b"s", timeout=10)) == [b"s"] * 100
print("stream ok")
sent = queue.Queue()
echoes = channel.stream_stream("/demo.Echo/Bidi")(iter(sent.get, None), timeout=10)
for message in (b"one", b"two", b"three"):
    sent.put(message)
    assert next(echoes) == message
sent.put(None)
assert list(echoes) == []
print("bidi ok")
try:
    unary(b"fail", timeout=10)
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "as asked"
    print("error ok")
try:
    unary(b"\x0a\x0d1' OR '1'='1--", timeout=10)
except grpc.RpcError as error:
    assert "406" in error.details(), error.details()
    print("attack blocked")
