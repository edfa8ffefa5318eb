"""A plugin's socket: gRPC calls with a deadline, whose errors read as Go prints them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

DEADLINE = 120.0  # seconds, as upstream gives CSI drivers
MAX_MESSAGE = 64 << 20

OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # A plugin that is started again is there within a second; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5000),  # that a connection may take to come about
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class PluginError(Exception):
    """A plugin refused or does not answer; `code` is gRPC's name for why."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"rpc error: code = {go_name(code)} desc = {details}")
        self.code = code
        self.details = details

    @property
    def is_final(self) -> bool:
        """Has the plugin surely not done it, nor goes on doing it?

        Source: https://github.com/container-storage-interface/spec/blob/master/spec.md#timeouts
        """
        return self.code not in (
            grpc.StatusCode.CANCELLED,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.ABORTED,
        )


class PluginSocket:
    """Calls of one service behind one socket."""

    def __init__(self, endpoint: str, messages: Mapping[str, Any], service: str) -> None:
        self.endpoint = endpoint
        self._messages = messages
        self._service = service
        known = "://" in endpoint or endpoint.startswith("unix-abstract:")
        address = endpoint if known else f"unix://{endpoint}"
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)

    async def call(
        self,
        method: str,
        request: str = "",
        answer: str = "",
        deadline: float = DEADLINE,
        patient: bool = False,
        **fields: Any,
    ) -> Any:
        """One call; a patient one waits for a plugin that is not there yet. Raises PluginError.

        Messages are named after the method unless others are given.
        """
        message = self._messages[request or f"{method}Request"]
        call = self._channel.unary_unary(
            f"/{self._service}/{method}",
            request_serializer=message.SerializeToString,
            response_deserializer=self._messages[answer or f"{method}Response"].FromString,
        )
        try:
            return await call(message(**fields), timeout=deadline, wait_for_ready=patient or None)
        except grpc.aio.AioRpcError as error:
            raise PluginError(error.code(), error.details() or "") from error

    async def stream(self, method: str, request: str, answer: str) -> AsyncIterator[Any]:
        """Answers that come one by one, until the plugin ends. Raises PluginError."""
        call = self._channel.unary_stream(
            f"/{self._service}/{method}",
            request_serializer=self._messages[request].SerializeToString,
            response_deserializer=self._messages[answer].FromString,
        )
        try:
            async for message in call(self._messages[request]()):
                yield message
        except grpc.aio.AioRpcError as error:
            raise PluginError(error.code(), error.details() or "") from error

    async def close(self) -> None:
        """Let go of the socket."""
        await self._channel.close(None)


def go_name(code: grpc.StatusCode) -> str:
    """`NOT_FOUND` is `NotFound` in Go's messages."""
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    return "OK" if code is grpc.StatusCode.OK else code.name.replace("_", " ").title().replace(" ", "")
