"""What an AuthorizationConfiguration may say, and when a webhook of it is asked."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver import configuration as files
from apiserver.authorization import configuration
from apiserver.authorization.assembly import assemble
from apiserver.authorization.authorizer import Decision
from apiserver.authorization.webhook import AuthorizationWebhook
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from apiserver.request import RequestInfo, User
from kubarium.client.informer import Informers
from kubarium.client.loopback import LoopbackTransport
from kubarium.client.rest import Client
from kubarium.component_base.clock import FakeClock

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}


def webhook(file: Path, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "timeout": "3s", "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny", "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(file)},
        "matchConditions": [
            {"expression": "has(request.resourceAttributes)"},
            {"expression": "!('system:serviceaccounts:kube-system' in request.groups)"},
        ],
    }  # fmt: skip
    return {"type": "Webhook", "name": "hook", "webhook": {**found, **changes}}


def load(folder: Path, *authorizers: dict[str, Any]) -> list[configuration.Authorizer]:
    path = folder / "authorization.yaml"
    path.write_text(yaml.safe_dump({**HEAD, "authorizers": list(authorizers)}))
    return configuration.load(str(path))


class Remote:
    """Says no to everything."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def request(self, method: str, path: str, *, body: Any, timeout: float) -> Any:
        self.asked.append(body)
        if body["spec"]["user"] == "trouble":
            raise ConnectionError("no route")
        return {"status": {"allowed": False, "denied": True, "reason": "no"}}


async def test_a_webhook_is_asked_where_its_conditions_hold(tmp_path: Path) -> None:
    (tmp_path / "k").touch()
    (one,) = load(tmp_path, webhook(tmp_path / "k"))
    assert (one.settings.seconds, one.settings.authorized_seconds) == (3.0, 300.0)
    remote = Remote()
    hook = AuthorizationWebhook(remote, FakeClock(), "/", one.settings)  # type: ignore[arg-type]
    info = RequestInfo(
        "/api/v1/pods", "list", True, "api", "", "v1", "", "pods", label_selector="a in (x,y),!b"
    )
    ours = User("s", groups=("system:serviceaccounts:kube-system",))
    assert (await hook.decide(User("ann"), RequestInfo("/healthz", "get"))).decision is Decision.NO_OPINION
    assert (await hook.decide(ours, info)).decision is Decision.NO_OPINION
    assert remote.asked == []
    assert (await hook.decide(User("ann"), info)).reason == "no"
    assert remote.asked[0]["spec"]["resourceAttributes"]["labelSelector"]["requirements"] == [
        {"key": "a", "operator": "In", "values": ["x", "y"]},
        {"key": "b", "operator": "DoesNotExist"},
    ]
    failed = await hook.decide(User("trouble"), info)
    assert (failed.decision, failed.error) == (Decision.DENY, "no route")


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").touch()

    def problem(*authorizers: dict[str, Any]) -> str:
        with pytest.raises(ConfigurationError) as refused:
            load(tmp_path, *authorizers)
        return str(refused.value)

    assert problem() == "authorizers: Required value: at least one authorization mode must be defined"
    assert 'authorizers[0].type: Unsupported value: "Abac"' in problem({"type": "Abac", "name": "a"})
    node = {"type": "Node", "name": "node"}
    assert problem(node, node) == 'authorizers[1].type: Duplicate value: "Node"'
    assert problem({"type": "RBAC"}) == "authorizers[0].name: Required value"
    path = "authorizers[0]"
    assert problem({**node, "webhook": {}}) == (
        f'{path}.webhook: Invalid value: "non-null": may only be specified when type=Webhook'
    )
    assert 'timeout: Invalid value: "31s": must be > 0s and <= 30s' in problem(
        webhook(tmp_path / "k", timeout="31s")
    )
    assert "failurePolicy: Required value" in problem(webhook(tmp_path / "k", failurePolicy=""))
    wrong = [{"expression": "request.nobody == ''"}]
    assert "undefined field 'nobody'" in problem(webhook(tmp_path / "k", matchConditions=wrong))
    assert "must be an absolute path" in problem(webhook(Path("k")))
    assert "no such file" in problem(webhook(tmp_path / "none"))


KUBECONFIG = {
    "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
}  # fmt: skip


async def test_a_changed_file_changes_who_is_asked(tmp_path: Path) -> None:
    """Webhooks come and go; what cannot be used, or takes an authorizer away, is passed over and counted."""
    file, clock = tmp_path / "authorization.yaml", FakeClock()
    (tmp_path / "k").write_text(yaml.safe_dump(KUBECONFIG))
    rbac, hook = {"type": "RBAC", "name": "rbac"}, webhook(tmp_path / "k")

    def write(*authorizers: dict[str, Any]) -> None:
        file.write_text(yaml.safe_dump({**HEAD, "authorizers": list(authorizers)}))

    write(rbac)
    options = Options(authorization_config=str(file))
    informers = Informers(Client(transport=LoopbackTransport(lambda *_: asyncio.sleep(0))), clock)
    found = assemble(options, informers, clock, [], "one")
    assert found.followed is not None and found.rbac is not None

    async def look() -> tuple[bool, int, int]:
        assert found.followed is not None
        await found.followed.look()
        hashed = "sha256:" + hashlib.sha256(b"one").hexdigest()
        counted = files._RELOADS["authorization"]
        return found.all.remote, *(int(counted.value((hashed, how))) for how in ("success", "failure"))  # type: ignore[return-value]

    assert await look() == (False, 0, 0)
    write(hook, rbac)
    assert await look() == (True, 1, 0)
    assert await look() == (True, 1, 0)  # nothing new
    write(hook)
    assert await look() == (True, 1, 1)  # RBAC must stay
    file.write_text("authorizers: [")
    assert await look() == (True, 1, 2)
    write(rbac)
    assert await look() == (False, 2, 2)
    await clock.advance(60.0)
    await look()
    write(rbac, {"type": "Node", "name": "node"})
    assert await look() == (False, 2, 3)  # this one was never there
