"""The filters around a small application, asked over the loopback transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from apiserver.authentication.authenticator import Authenticators
from apiserver.authorization.authorizer import AlwaysAllow, Authorizers
from apiserver.filters.chain import build_chain
from apiserver.filters.priority_levels import PriorityLevels
from apiserver.request import CONTEXT, RequestContext
from kubarium.apimachinery import errors
from kubarium.client.loopback import LoopbackTransport
from kubarium.component_base.clock import RealClock
from kubarium.component_base.serving import Receive, Scope, Send, respond

Work = Callable[[RequestContext], Awaitable[None]]


def chain(work: Work, *, timeout: float = 5.0, levels: PriorityLevels | None = None) -> LoopbackTransport:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        await work(context)
        await respond(send, 200, "application/json", orjson.dumps({"user": context.user.name}))

    return LoopbackTransport(
        build_chain(
            app,
            authenticator=Authenticators([]),
            authorizer=Authorizers([AlwaysAllow()]),
            clock=RealClock(),
            request_timeout=timeout,
            priority_levels=levels,
        )
    )


async def ask(door: LoopbackTransport, target: str = "/api/v1/pods") -> tuple[int, Any, dict[str, str]]:
    answer = await door.send("GET", target, {}, None, 5.0)
    return answer.status, orjson.loads(await answer.read()), dict(answer.headers)


async def nothing(context: RequestContext) -> None:
    return None


async def test_what_every_answer_carries() -> None:
    async def warn(context: RequestContext) -> None:
        context.warn('mind the "gap"')
        context.warn("what no header can hold: \r\n\0")

    status, body, headers = await ask(chain(warn))
    assert (status, body) == (200, {"user": "system:anonymous"})
    assert len(headers["audit-id"]) == 36
    assert headers["warning"] == '299 - "mind the \\"gap\\""'


async def test_many_words_of_warning_are_cut_short() -> None:
    async def warn(context: RequestContext) -> None:
        context.warn("ä" * 5000)

    _, _, headers = await ask(chain(warn))
    assert headers["warning"] == f'299 - "{"ä" * 256}"'


async def test_failures_become_statuses() -> None:
    async def missing(context: RequestContext) -> None:
        raise errors.NotFound.of("", "pods", "x")

    async def broken(context: RequestContext) -> None:
        raise ZeroDivisionError("by zero")

    status, body, _ = await ask(chain(missing))
    assert (status, body["message"], body["reason"]) == (404, 'pods "x" not found', "NotFound")
    status, body, _ = await ask(chain(broken))
    assert (status, body["message"]) == (500, "Internal error occurred: by zero")


@pytest.mark.parametrize("target", ["/api/v1/pods?timeout=10ms", "/api/v1/pods"])
async def test_who_takes_too_long(target: str) -> None:
    async def sleep(context: RequestContext) -> None:
        await asyncio.sleep(60)

    status, body, _ = await ask(chain(sleep, timeout=0.02), target)
    assert (status, body["reason"]) == (504, "Timeout")
    assert body["message"] == "Timeout: request did not complete within the allotted timeout"


async def test_a_bad_timeout_is_the_clients_fault() -> None:
    status, body, _ = await ask(chain(nothing), "/api/v1/pods?timeout=soon")
    assert status == 400 and "invalid timeout specified in the request URL" in body["message"]


def level(name: str, **response: Any) -> dict[str, Any]:
    limited = {"nominalConcurrencyShares": 1, "limitResponse": response}
    return {"metadata": {"name": name, "uid": f"{name}-uid"}, "spec": {"type": "Limited", "limited": limited}}


def schema(name: str, to: str) -> dict[str, Any]:
    rule = {
        "subjects": [{"kind": "Group", "group": {"name": "*"}}],
        "resourceRules": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
        ],
    }  # fmt: skip
    spec = {"priorityLevelConfiguration": {"name": to}, "matchingPrecedence": 10, "rules": [rule]}
    return {"metadata": {"name": name, "uid": f"{name}-uid"}, "spec": spec}


async def test_no_seat_no_queue_means_429() -> None:
    levels, started, go_on = PriorityLevels(total_seats=1), asyncio.Event(), asyncio.Event()
    levels.put_level(level("small", type="Reject"))
    levels.put_schema(schema("all", "small"))

    async def wait(context: RequestContext) -> None:
        started.set()
        await go_on.wait()

    door = chain(wait, levels=levels)
    first = asyncio.ensure_future(ask(door))
    await started.wait()
    refused = await door.send("GET", "/api/v1/pods", {}, None, 5.0)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert await refused.read() == b"Too many requests, please try again later.\n"
    assert refused.headers["content-type"].startswith("text/plain")
    assert refused.headers["x-kubernetes-pf-flowschema-uid"] == "all-uid"
    go_on.set()
    assert (await first)[0] == 200
    assert (await ask(door))[0] == 200


async def test_those_in_a_queue_get_the_seat_in_turn() -> None:
    levels, running, most = PriorityLevels(total_seats=2), 0, 0
    levels.put_level(
        level("small", type="Queue", queuing={"queues": 4, "handSize": 2, "queueLengthLimit": 50})
    )
    levels.put_schema(schema("all", "small"))

    async def count(context: RequestContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    door = chain(count, levels=levels)
    answers = await asyncio.gather(*(ask(door) for _ in range(20)))
    assert [status for status, _, _ in answers] == [200] * 20
    assert most == 2
    assert levels.levels["small"].in_use == levels.levels["small"].waiting == 0


async def test_impersonation_exchanges_the_user() -> None:
    answer = await chain(nothing).send("GET", "/version", {"Impersonate-User": "jane"}, None, 5.0)
    assert orjson.loads(await answer.read()) == {"user": "jane"}
    answer = await chain(nothing).send("GET", "/version", {"Impersonate-Group": "devs"}, None, 5.0)
    assert answer.status == 400
    said = orjson.loads(await answer.read())["message"]
    asked = '&user.DefaultInfo{Name:"", UID:"", Groups:[]string{"devs"}, Extra:map[string][]string(nil)}'
    assert said == f"requested {asked} without impersonating a user name"
