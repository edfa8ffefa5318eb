"""What is logged of requests, where it goes, and what a policy may say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from apiserver.audit_flags import AuditFlags
from apiserver.authentication.authenticator import Authenticators
from apiserver.authorization.authorizer import Authorizers
from apiserver.authorization.rbac import RBAC
from apiserver.configuration import ConfigurationError
from apiserver.filters.audit import AuditLog
from apiserver.filters.audit_assembly import assemble
from apiserver.filters.audit_backends import Batches, Batching, LogFile, Truncating, Webhook
from apiserver.filters.audit_policy import load_policy, policy_of
from apiserver.filters.chain import build_chain
from apiserver.options import Options
from apiserver.request import CONTEXT, RequestContext, RequestInfo, User
from kubarium.apimachinery import errors
from kubarium.client.loopback import LoopbackTransport
from kubarium.component_base.clock import FakeClock, RealClock
from kubarium.component_base.options import parse
from kubarium.component_base.serving import Receive, Scope, Send, respond

Object = dict[str, Any]
Work = Callable[[RequestContext], Awaitable[None]]
HEAD = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}


class Memory:
    """Keeps events, or lines, or refuses."""

    def __init__(self, well: bool = True) -> None:
        self.batches: list[list[Object]] = []
        self.well = well

    @property
    def events(self) -> list[Object]:
        return [orjson.loads(orjson.dumps(event)) for batch in self.batches for event in batch]

    async def process(self, events: Sequence[Object]) -> bool:
        self.batches.append(list(events))
        return self.well

    async def run(self) -> None:
        return None


def policy(*rules: Object, **more: Any) -> Object:
    return {**HEAD, "rules": list(rules), **more}


def rbac() -> Authorizers:
    role = {
        "metadata": {"name": "reader"},
        "rules": [{"verbs": ["get", "create"], "apiGroups": [""], "resources": ["pods"]}],
    }
    subject = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"}
    binding = {
        "metadata": {"name": "readers"},
        "roleRef": {"kind": "ClusterRole", "name": "reader"},
        "subjects": [subject],
    }
    found = RBAC()
    found.put("ClusterRole", role)
    found.put("ClusterRoleBinding", binding)
    authorizers = Authorizers([found])
    authorizers.settled.set()
    return authorizers


def door(memory: Memory, body: Object, work: Work | None = None, strict: bool = False) -> LoopbackTransport:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        if work is not None:
            await work(context)
        if scope["method"] == "POST":
            sent = orjson.loads((await receive())["body"])
            if context.on_object is not None:
                context.on_object(sent)
        await respond(send, 200, "application/json", orjson.dumps({"metadata": {"managedFields": [{}]}}))

    log = AuditLog(policy_of(body), [memory], [memory] if strict else ())
    chain = build_chain(
        app, authenticator=Authenticators([]), authorizer=rbac(), clock=RealClock(), audit=log
    )
    return LoopbackTransport(chain)


async def ask(door: LoopbackTransport, target: str, method: str = "GET", body: bytes | None = None) -> int:
    answer = await door.send(method, target, {}, body, 5.0)
    await answer.read()
    return answer.status


async def test_events_tell_what_the_policy_wants() -> None:
    memory = Memory()
    rules = (
        {"level": "None", "nonResourceURLs": ["/healthz*"]},
        {"level": "RequestResponse", "resources": [{"group": "", "resources": ["pods"]}]},
        {"level": "Metadata"},
    )
    one = door(memory, policy(*rules, omitStages=["RequestReceived"]))
    for target in ("/healthz/x", "/api/v1/namespaces/d/pods/x", "/api/v1/secrets"):
        await ask(one, target)
    pods, secrets = memory.events
    assert (pods["level"], pods["stage"], pods["verb"]) == ("RequestResponse", "ResponseComplete", "get")
    assert pods["objectRef"] == {"resource": "pods", "namespace": "d", "name": "x", "apiVersion": "v1"}
    assert pods["responseObject"] == {"metadata": {"managedFields": [{}]}}
    assert pods["responseStatus"] == {"metadata": {}, "code": 200}
    reason = 'RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to Group "system:unauthenticated"'
    assert pods["annotations"] == {
        "authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": reason,
    }
    assert (secrets["level"], secrets["responseStatus"]["code"]) == ("Metadata", 403)
    assert secrets["responseStatus"]["reason"] == "Forbidden"
    assert secrets["annotations"] == {
        "authorization.k8s.io/decision": "forbid",
        "authorization.k8s.io/reason": "",
    }
    assert "responseObject" not in secrets


async def test_the_decoded_object_says_what_was_made() -> None:
    memory = Memory()
    one = door(memory, policy({"level": "Request", "omitManagedFields": True}))
    metadata = {"name": "web", "uid": "u", "managedFields": [{}]}
    await ask(one, "/api/v1/namespaces/d/pods", "POST", orjson.dumps({"metadata": metadata}))
    received, complete = memory.events
    assert "name" not in received["objectRef"]
    assert (complete["objectRef"]["name"], complete["objectRef"]["uid"]) == ("web", "u")
    assert complete["requestObject"] == {"metadata": {"name": "web", "uid": "u"}}
    assert "responseObject" not in complete


async def test_what_is_told_of_bodies_is_told_where_bodies_are() -> None:
    async def changed(context: RequestContext) -> None:
        context.audit_annotations["mutation"] = "true"
        context.audit_annotations_of_requests["patch"] = "[]"

    for level, told in (("Metadata", {"mutation"}), ("Request", {"mutation", "patch"})):
        memory = Memory()
        await ask(door(memory, policy({"level": level}), changed), "/api/v1/namespaces/d/pods/x")
        assert {"mutation", "patch"} & memory.events[-1]["annotations"].keys() == told


async def test_a_rule_may_want_managed_fields_that_the_policy_omits() -> None:
    memory = Memory()
    rule = {"level": "RequestResponse", "omitManagedFields": False}
    await ask(door(memory, policy(rule, omitManagedFields=True)), "/api/v1/namespaces/d/pods/x")
    assert memory.events[-1]["responseObject"] == {"metadata": {"managedFields": [{}]}}


async def test_a_panic_is_a_stage() -> None:
    async def broken(context: RequestContext) -> None:
        raise ZeroDivisionError("by zero")

    memory = Memory()
    assert (
        await ask(door(memory, policy({"level": "Metadata"}), broken), "/api/v1/namespaces/d/pods/x") == 500
    )
    assert [event["stage"] for event in memory.events] == ["RequestReceived", "Panic"]


async def test_who_is_not_known_is_logged_too() -> None:
    memory = Memory()
    one = door(memory, policy({"level": "Metadata", "users": ["jane"]}, {"level": "Metadata"}))
    answer = await one.send("GET", "/api/v1/pods", {"Authorization": "Bearer nonsense"}, None, 5.0)
    assert answer.status in (401, 403)
    if answer.status == 401:
        (event,) = memory.events
        assert (event["stage"], event["user"]) == ("ResponseStarted", {})
        assert event["responseStatus"]["message"] == "Authentication failed, attempted: bearer"


async def test_a_strict_log_that_fails_refuses_requests() -> None:
    target = "/api/v1/namespaces/d/pods/x"
    assert await ask(door(Memory(False), policy({"level": "Metadata"})), target) == 200
    assert await ask(door(Memory(False), policy({"level": "Metadata"}), strict=True), target) == 500


def test_the_first_rule_that_matches_decides() -> None:
    def level(body: Object, path: str, **of: Any) -> str | None:
        info = RequestInfo(path, of.pop("verb", "get"), bool(of), **of)
        rule = policy_of(body).rule_for(User("jane", groups=("devs",)), info)
        return rule.level if rule is not None else None

    named = {"group": "", "resources": ["configmaps"], "resourceNames": ["leader"]}
    body = policy(
        {"level": "None", "userGroups": ["devs"], "nonResourceURLs": ["/api*", "/version"]},
        {"level": "None", "resources": [named]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["pods/log", "*/status"]}]},
        {"level": "Request", "resources": [{"group": ""}], "namespaces": ["kube-system", ""]},
        {"level": "RequestResponse", "resources": [{"group": "apps", "resources": ["deployments/*"]}]},
        {"level": "Metadata", "verbs": ["delete"]},
    )
    assert level(body, "/version") is None
    assert level(body, "/metrics") is None
    assert level(body, "/metrics", verb="delete") == "Metadata"
    assert level(body, "/", resource="configmaps", name="leader", namespace="kube-system") is None
    assert level(body, "/", resource="configmaps", name="other", namespace="kube-system") == "Request"
    assert level(body, "/", resource="nodes", subresource="status") == "Metadata"
    assert level(body, "/", resource="nodes") == "Request"
    assert level(body, "/", resource="pods", namespace="d") is None
    assert level(body, "/", group="apps", resource="deployments", subresource="scale") == "RequestResponse"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({}, "rules[0].level: Required value"),
        (
            {"level": "All"},
            'rules[0].level: Unsupported value: "All": supported values: "None", "Metadata", "Request", '
            '"RequestResponse"',
        ),
        (
            {"level": "None", "nonResourceURLs": ["/a*b"]},
            "rules[0].nonResourceURLs[0]: Invalid value: \"/a*b\": non-resource URL wildcards '*' must be the final "
            "character of the rule",
        ),
        (
            {"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["b"]},
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and '
            "non-resource URLs",
        ),
        (
            {"level": "None", "omitStages": ["Never"]},
            'rules[0].omitStages[0]: Invalid value: "Never": allowed stages are '
            "RequestReceived,ResponseStarted,ResponseComplete,Panic",
        ),
        (
            {"level": "None", "resources": [{"group": "", "resourceNames": ["a"]}]},
            'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one '
            "resource",
        ),
    ],
)
def test_what_is_wrong_with_a_policy_is_said_in_upstreams_words(rule: Object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        policy_of(policy(rule))


def test_a_policy_file_is_read_leniently(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    with pytest.raises(
        ConfigurationError, match=r'^loading audit policy file: failed to read file path ".*": open .*: no'
    ):
        load_policy(str(file))
    file.write_bytes(orjson.dumps(policy({"level": "Metadata", "colour": "blue"})))
    assert load_policy(str(file)).rules[0].level == "Metadata"
    file.write_bytes(orjson.dumps(policy({"level": "None"}, omitStages=["Never"])))
    with pytest.raises(
        ConfigurationError, match=r"^loading audit policy file: omitStages\[0\]: .*: from file /.*yaml$"
    ):
        load_policy(str(file))


# ------------------------------------------------------------------------------------------------------ backends


class Remote:
    """Takes event lists, after some refusals."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.lists: list[Object] = []

    async def request(self, method: str, path: str, *, body: Object, timeout: float) -> None:
        if self.refusals:
            self.refusals -= 1
            raise errors.BadRequest("not now")
        self.lists.append(body)


async def turned(clock: FakeClock, task: asyncio.Task[bool]) -> bool:
    """What a task says, however often it sleeps."""
    while not task.done():
        await clock.advance(100.0)
    return task.result()


async def test_a_webhook_is_asked_again(clock: FakeClock) -> None:
    remote: Any = Remote(4)
    webhook = Webhook(remote, "/audit", 10.0, clock)
    event = {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata"}
    assert await turned(clock, asyncio.ensure_future(webhook.process([event])))
    assert remote.lists == [
        {
            "kind": "EventList",
            "apiVersion": "audit.k8s.io/v1",
            "metadata": {},
            "items": [{"level": "Metadata"}],
        }
    ]
    remote.refusals = 5
    assert not await turned(clock, asyncio.ensure_future(webhook.process([event])))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_batches_go_when_they_are_full_or_old(clock: FakeClock) -> None:
    memory = Memory()
    batching = Batching(memory, Batches(buffer=5, size=2, wait=30.0, rate=0.0), clock)
    running = asyncio.ensure_future(batching.run())
    await settled()
    assert await batching.process([{"a": 1}])
    await settled()
    assert memory.batches == []
    await batching.process([{"a": 2}, {"a": 3}])
    await settled()
    assert memory.batches == [[{"a": 1}, {"a": 2}]]
    await clock.advance(30.0)
    await settled()
    assert memory.batches[1:] == [[{"a": 3}]]
    assert not await batching.process([{"a": at} for at in range(7)])  # two more than there is room for
    running.cancel()
    await asyncio.wait([running])
    assert [event["a"] for event in memory.events][3:] == [0, 1, 2, 3, 4]


async def test_what_is_too_large_is_cut() -> None:
    memory = Memory()
    cutting = Truncating(memory, 200, 220)
    small, large = {"level": "Request"}, {"level": "Request", "requestObject": "x" * 500}
    assert await cutting.process([small, large])
    assert memory.events == [small, {"level": "Request", "annotations": {"audit.k8s.io/truncated": "true"}}]
    assert not await cutting.process([{"level": "x" * 500}, small])
    assert memory.events[2:] == [small]
    await cutting.process([{"level": "x" * 150}] * 2)
    assert len(memory.batches) == 4


def options(*flags: str) -> Options:
    return parse(Options, flags, "kube-apiserver")


def test_flags_make_backends(tmp_path: Path) -> None:
    assert AuditFlags().audit_webhook_mode == "batch"
    file = tmp_path / "policy.yaml"
    file.write_bytes(orjson.dumps(policy({"level": "Metadata"})))
    given = [f"--audit-policy-file={file}", f"--audit-log-path={tmp_path / 'audit.log'}"]
    assert assemble(options(given[0]), RealClock()) is None
    assert assemble(options(given[1]), RealClock()) is None
    with pytest.raises(
        ConfigurationError, match="invalid audit batch log buffer size 0, must be a positive number"
    ):
        assemble(options(*given, "--audit-log-mode=batch", "--audit-log-batch-buffer-size=0"), RealClock())
    with pytest.raises(ConfigurationError, match=r"must be greater than max event size \(102400\)$"):
        assemble(
            options(*given, "--audit-log-truncate-enabled", "--audit-log-truncate-max-batch-size=9"),
            RealClock(),
        )


async def test_lines_are_events(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        assert await LogFile(file).process([{"a": 1}, {"a": 2}])
    assert (tmp_path / "log").read_bytes() == b'{"a":1}\n{"a":2}\n'
