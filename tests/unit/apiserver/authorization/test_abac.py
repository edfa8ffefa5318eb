"""Policies in a file: what they allow, what they list, and what is refused as a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from apiserver.authorization import abac, configuration
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from apiserver.request import RequestInfo, User

HEAD = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
ALICE = User("alice", groups=("system:authenticated",))
BOB = User("bob", groups=("staff", "system:authenticated"))
NOBODY = User("system:anonymous", groups=("system:unauthenticated",))


def policies(folder: Path, *lines: str | dict[str, Any]) -> abac.ABAC:
    path = folder / "policies.jsonl"
    path.write_text(
        "\n".join(line if isinstance(line, str) else orjson.dumps(line).decode() for line in lines)
    )
    return abac.load(str(path))


def of(**spec: Any) -> dict[str, Any]:
    return {**HEAD, "spec": spec}


def resource(verb: str, plural: str = "pods", namespace: str = "default", group: str = "") -> RequestInfo:
    return RequestInfo("", verb, True, group=group, namespace=namespace, resource=plural)


def test_what_policies_allow(tmp_path: Path) -> None:
    one = policies(
        tmp_path,
        "# who may do what",
        "",
        of(user="alice", namespace="*", resource="*", apiGroup="*"),
        of(group="staff", namespace="default", resource="pods", readonly=True),
        of(group="*", nonResourcePath="/api*", readonly=True),
        of(namespace="*", resource="*", apiGroup="*"),
    )

    def may(user: User, info: RequestInfo) -> bool:
        return one.authorize(user, info).allowed

    assert may(ALICE, resource("delete", "deployments", "web", "apps"))
    assert may(ALICE, resource("list", "nodes", ""))
    assert may(BOB, resource("list"))
    assert not may(BOB, resource("delete"))
    assert not may(BOB, resource("list", "secrets"))
    assert not may(BOB, resource("list", group="apps"))
    assert not may(BOB, resource("list", namespace=""))
    assert may(BOB, RequestInfo("/apis/apps", "get"))
    assert not may(BOB, RequestInfo("/apis/apps", "post"))
    assert not may(BOB, RequestInfo("/metrics", "get"))
    assert not may(NOBODY, RequestInfo("/api", "get"))
    assert one.authorize(NOBODY, resource("get")).reason == "No policy matched."


def test_policies_without_a_version_leave_out_what_is_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(abac.log, "warning", lambda text, *more: said.append(text))
    one = policies(tmp_path, {"user": "alice"}, {"readonly": True, "resource": "events"})
    assert len(said) == 1
    assert "contained unversioned rules" in said[0]
    assert one.authorize(ALICE, RequestInfo("/metrics", "get")).allowed
    assert one.authorize(ALICE, resource("create", "deployments", "web", "apps")).allowed
    assert one.authorize(BOB, resource("list", "events")).allowed
    assert not one.authorize(BOB, RequestInfo("/metrics", "get")).allowed
    assert not one.authorize(NOBODY, resource("list", "events")).allowed


def test_policies_are_listed_as_rules(tmp_path: Path) -> None:
    one = policies(
        tmp_path,
        of(user="alice", namespace="*", resource="pods", readonly=True),
        of(user="alice", namespace="other", resource="*", apiGroup="*"),
        of(user="alice", namespace="*", nonResourcePath="/api*"),
        of(user="bob", namespace="*", resource="pods"),
    )
    assert one.rules_for(ALICE, "default") == [
        {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["*"], "nonResourceURLs": ["/api*"]},
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "couldn't get version/kind; json parse error: "),
        ('{"apiVersion":"abac.authorization.kubernetes.io/v1beta1"}', "Object 'Kind' is missing in '"),
        ('{"apiVersion":"a/v1","kind":"Policy"}', 'no kind "Policy" is registered for version "a/v1"'),
        (
            orjson.dumps(of(user=1)).decode(),
            "json: cannot unmarshal number into Go struct field PolicySpec.spec.user of type string",
        ),
    ],
)
def test_what_is_no_policy(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        policies(tmp_path, "# a comment", line)
    assert f"error reading policy file {tmp_path}/policies.jsonl, line 2: {line}: {problem}" in str(
        refused.value
    )


def test_a_mode_and_its_file_belong_together() -> None:
    for options, problem in (
        (
            Options(authorization_mode=("ABAC",)),
            "authorization-mode ABAC's authorization policy file not passed",
        ),
        (
            Options(authorization_policy_file="/p"),
            "cannot specify --authorization-policy-file without mode ABAC",
        ),
        (
            Options(authorization_webhook_config_file="/w"),
            "cannot specify --authorization-webhook-config-file without mode Webhook",
        ),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            configuration.of_flags(options)
    with pytest.raises(ConfigurationError, match=r"^open /nowhere: no such file or directory$"):
        abac.load("/nowhere")
