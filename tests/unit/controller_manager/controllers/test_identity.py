"""Signatures and roles, without a server."""

from __future__ import annotations

import base64

import jwt

from controller_manager.controllers.identity.bootstrap_tokens import detached_signature
from controller_manager.controllers.identity.cluster_role_aggregation import aggregate
from controller_manager.controllers.identity.service_account_token import LegacyIssuer
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
    rules = aggregate(whole, [whole, role("b", "get", "list"), role("a", "get")])
    assert [rule["verbs"] for rule in rules] == [["get"], ["list"]]
