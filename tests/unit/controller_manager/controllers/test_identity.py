"""Signatures and roles, without a server."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import jwt

from controller_manager.controllers.identity.bootstrap_tokens import detached_signature, may_sign
from controller_manager.controllers.identity.cluster_role_aggregation import aggregate
from controller_manager.controllers.identity.service_account_token import LegacyIssuer
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base.certificates import service_account_key
from tests.unit.controller_manager.cluster import Cluster


def test_cluster_info_is_signed_without_being_repeated() -> None:
    header, payload, signature = detached_signature(
        "kubeconfig", "abcdef", "0123456789abcdef0123456789abcdef"
    ).split(".")
    assert payload == ""
    body = base64.urlsafe_b64encode(b"kubeconfig").rstrip(b"=").decode()
    key = "0123456789abcdef0123456789abcdef"
    read = jwt.api_jws.PyJWS().decode_complete(
        f"{header}.{body}.{signature}", key, algorithms=["HS256"], options={"verify_signature": True}
    )
    assert (read["payload"], read["header"]["kid"]) == (b"kubeconfig", "abcdef")


def test_only_whole_tokens_sign_and_only_until_they_expire() -> None:
    def signs(name: str = "bootstrap-token-abcdef", **fields: str) -> bool:
        given = {"token-id": "abcdef", "token-secret": "s", "usage-bootstrap-signing": "true", **fields}
        data = {key: base64.b64encode(text.encode()).decode() for key, text in given.items()}
        secret: Object = {"type": "bootstrap.kubernetes.io/token", "metadata": {"name": name}, "data": data}
        return may_sign(secret, datetime(2026, 1, 1, tzinfo=UTC))

    assert signs() and signs(expiration="2026-01-01T00:00:01Z")
    assert not signs(expiration="2026-01-01T00:00:00Z") and not signs(expiration="some day")
    assert not signs("bootstrap-token-other0") and not signs(**{"token-secret": ""})
    assert not signs(**{"usage-bootstrap-signing": "yes"})


async def test_expired_bootstrap_tokens_go(cluster: Cluster) -> None:
    def token(name: str, expiration: str) -> Object:
        data = {"expiration": base64.b64encode(expiration.encode()).decode()}
        metadata = {"name": f"bootstrap-token-{name}", "namespace": "kube-system"}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": metadata,
            "data": data,
        }

    cluster.api.put(token("old", "2025-01-01T00:00:00Z"))
    cluster.api.put(token("new", "2026-01-01T00:10:00Z"))
    await cluster.start("token-cleaner-controller")

    def left() -> list[str]:
        return [one["metadata"]["name"] for one in cluster.api.objects("v1", "secrets")]

    assert left() == ["bootstrap-token-new"]
    await cluster.settle(601)
    assert left() == []


def test_a_legacy_token_names_its_account() -> None:
    pair = service_account_key()
    account: Object = {"metadata": {"name": "robot", "namespace": "ns", "uid": "u"}}
    secret: Object = {"metadata": {"name": "robot-token", "namespace": "ns"}}
    token = LegacyIssuer(pair.key_pem).issue(secret, account)
    claims = jwt.decode(token, pair.cert_pem, algorithms=["RS256"])
    assert claims["sub"] == "system:serviceaccount:ns:robot"
    assert claims["kubernetes.io/serviceaccount/secret.name"] == "robot-token"


async def test_unused_automatic_tokens_are_marked_and_later_go(cluster: Cluster) -> None:
    def put(kind: str, name: str, namespace: str = "default", **more: object) -> Object:
        metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2024-01-01T00:00:00Z"}
        return cluster.api.put({"apiVersion": "v1", "kind": kind, "metadata": metadata, **more})

    def token(name: str, **labels: str) -> None:
        made = put("Secret", name, type="kubernetes.io/service-account-token")
        made["metadata"] |= {"annotations": {"kubernetes.io/service-account.name": "robot"}, "labels": labels}
        cluster.api.put(made)

    def left() -> dict[str, str | None]:
        found = {one["metadata"]["name"]: one["metadata"].get("labels") for one in secrets()}
        return {
            name: (labels or {}).get("kubernetes.io/legacy-token-invalid-since")
            for name, labels in found.items()
        }

    def secrets() -> list[Object]:
        return cluster.api.objects("v1", "secrets")

    names = ("kept", "unused", "used", "mounted")
    put("ServiceAccount", "robot", secrets=[{"name": name} for name in names])
    put("Pod", "web", spec={"volumes": [{"name": "t", "secret": {"secretName": "mounted"}}]})
    token("kept")
    cluster.api.refuse = lambda action, obj: errors.Forbidden("keep it") if action.name == "kept" else None
    token("unused")
    token("used", **{"kubernetes.io/legacy-token-last-used": "2025-12-31"})
    token("mounted")
    token("by-hand")
    tracking = "kube-apiserver-legacy-service-account-token-tracking"
    put("ConfigMap", tracking, "kube-system", data={"since": "2025-12-29"})
    cleaner = "legacy-serviceaccount-token-cleaner-controller"
    await cluster.start(cleaner, legacy_service_account_token_clean_up_period=2 * 86400.0)
    assert left() == {"kept": None, "unused": "2026-01-01", "used": None, "mounted": None, "by-hand": None}
    for _ in range(4):
        await cluster.settle(86400)
    assert left() == {"kept": None, "used": "2026-01-03", "mounted": None, "by-hand": None}


def test_rules_are_gathered_by_name_and_once() -> None:
    def role(name: str, *verbs: str) -> Object:
        return {
            "metadata": {"name": name, "labels": {"part": "yes"}},
            "rules": [{"verbs": [verb]} for verb in verbs],
        }

    whole: Object = {
        "metadata": {"name": "whole", "labels": {"part": "yes"}},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part": "yes"}}]},
    }
    rules = aggregate(whole, [whole, role("b", "get", "list", "list"), role("a", "get")])
    assert [rule["verbs"] for rule in rules] == [["get"], ["list"]]
