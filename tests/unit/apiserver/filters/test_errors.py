from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.filters.errors import Errors
from apiserver.request import CONTEXT, LOOPBACK, RequestContext, parse_query, parse_request
from kubarium.apimachinery import errors
from kubarium.component_base.clock import FakeClock


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    raise errors.BadRequest("no")


@pytest.mark.parametrize(
    ("query", "agent", "lines"), [(b"", "kubectl/v1.36.0", 1), (b"", "curl/8.0", 9), (b"pretty=1", "x", 9)]
)
async def test_errors_are_printed_for_whoever_reads_them(query: bytes, agent: str, lines: int) -> None:
    parsed = parse_query(query)
    context = RequestContext(parse_request("GET", "/api/v1/pods", parsed), LOOPBACK, FakeClock(), parsed)
    context.user_agent = agent
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/api/v1/pods", "method": "GET", CONTEXT: context}
    await Errors(refuse)(scope, send, send)
    body = sent[1]["body"]
    assert (orjson.loads(body)["message"], len(body.splitlines())) == ("no", lines)
