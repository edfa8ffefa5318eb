"""JSON becomes protobuf on its way to a client that accepts nothing else, and only there."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.filters.protobuf_answers import ProtobufAnswers
from apiserver.filters.read_request_info import ReadRequestInfo
from apiserver.request import CONTEXT, accepts_only_protobuf
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf.decoding import decode
from kubarium.client.loopback import LoopbackTransport
from kubarium.client.transport import Answer
from kubarium.component_base.clock import RealClock
from kubarium.component_base.serving import Receive, Scope, Send, respond

PROTOBUF = "application/vnd.kubernetes.protobuf"
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "namespace": "b"}}
CRONTAB = {"kind": "CronTab", "apiVersion": "example.com/v1", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    ("accept", "only"),
    [
        ("", False),
        ("application/json", False),
        (PROTOBUF, True),
        (f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1", True),
        (f"{PROTOBUF}, */*", False),
        (f"{PROTOBUF},application/json", False),
        (f"{PROTOBUF}, application/json;q=0", True),
        ("application/vnd.google.protobuf", False),
    ],
)
def test_who_accepts_nothing_else(accept: str, only: bool) -> None:
    assert accepts_only_protobuf(accept.encode()) is only


async def ask(*bodies: bytes, status: int = 200, translated: bool = True, streams: bool = False) -> Answer:
    """The answer of an endpoint that says these bodies in JSON."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[CONTEXT].translated = translated
        if not streams:
            await respond(send, status, "application/json", b"".join(bodies))
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for body in bodies:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    door = LoopbackTransport(ReadRequestInfo(ProtobufAnswers(app), RealClock()))
    return await door.send("GET", "/api/v1/pods", {"Accept": PROTOBUF}, None, 5.0)


async def test_an_object_in_its_envelope() -> None:
    answer = await ask(orjson.dumps(POD))
    body = await answer.read()
    assert (answer.status, answer.headers["content-type"]) == (200, PROTOBUF)
    assert int(answer.headers["content-length"]) == len(body)
    assert decode(body) == POD


async def test_a_custom_resource_has_no_such_form() -> None:
    answer = await ask(orjson.dumps(CRONTAB))
    status = decode(await answer.read())
    assert (answer.status, status["reason"]) == (406, "NotAcceptable")
    assert status["message"] == (
        "object *unstructured.Unstructured does not implement the protobuf marshalling interface and cannot be "
        "encoded to a protobuf message"
    )


async def test_what_somebody_else_said_stays_as_it_is() -> None:
    answer = await ask(orjson.dumps(POD), translated=False)
    assert orjson.loads(await answer.read()) == POD
    answer = await ask(b'{"major": "1"}')
    assert orjson.loads(await answer.read()) == {"major": "1"}


def frames(body: bytes) -> list[tuple[str, Object]]:
    """Types and objects of a stream."""
    found: list[tuple[str, Any]] = []
    while body:
        length = int.from_bytes(body[:4], "big")
        event, body = body[4 : 4 + length], body[4 + length :]
        assert len(event) == length
        kind = event[2 : 2 + event[1]].decode()
        found.append((kind, decode(event[event.index(b"k8s\x00") :])))
    return found


async def test_a_watch_in_frames_however_its_lines_are_cut() -> None:
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410}
    lines = orjson.dumps({"type": "ADDED", "object": POD}) + b"\n"
    lines += orjson.dumps({"type": "ERROR", "object": status}) + b"\n"
    answer = await ask(lines[:20], lines[20:], streams=True)
    assert answer.headers["content-type"] == f"{PROTOBUF};stream=watch"
    assert frames(await answer.read()) == [("ADDED", POD), ("ERROR", status)]
