"""A plugin behind a real socket, whose answers a test writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

Method = Callable[[Any, Any], Awaitable[Any]]


async def listen(
    socket: Path, service: str, messages: Mapping[str, Any], methods: Mapping[str, tuple[Method, str]]
) -> Any:
    """Serve methods, each with the message that it is asked with; returns what is to be stopped."""
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=messages[asked].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for name, (method, asked) in methods.items()
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"unix://{socket}")
    await server.start()
    return server
