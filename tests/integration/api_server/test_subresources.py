"""Subresources that are neither status nor scale."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.rest import Client
from kubarium.component_base.certificates import certificate_request
from tests.integration.running import ApiServer

Object = dict[str, Any]


@pytest.fixture
async def pod(client: Client, default_account: str) -> AsyncIterator[str]:
    """The path of a running, ready pod."""
    namespace = default_account
    pods = client.resource("v1", "pods")
    resources = {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i", "resources": resources}]}
    metadata = {"name": "p", "labels": {"app": "p"}}
    made = await pods.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, namespace
    )
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await pods.update_status({**made, "status": status})
    yield f"/api/v1/namespaces/{namespace}/pods/p"
    await pods.delete_collection(namespace=namespace, grace_period_seconds=0)


def eviction(namespace: str) -> Object:
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p", "namespace": namespace}}


async def test_eviction_asks_the_budget(client: Client, namespace: str, pod: str) -> None:
    budgets = client.resource("policy/v1", "poddisruptionbudgets")
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "p"}}}
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b"},
        "spec": spec,
    }
    made = await budgets.create(budget, namespace)
    with pytest.raises(errors.TooManyRequests) as raised:
        await client.request("POST", pod + "/eviction", body=eviction(namespace))
    assert raised.value.causes()[0]["reason"] == "DisruptionBudget"
    status = {
        "observedGeneration": 1,
        "disruptionsAllowed": 0,
        "currentHealthy": 1,
        "desiredHealthy": 1,
        "expectedPods": 1,
    }
    made = await budgets.update_status({**made, "status": status})
    with pytest.raises(errors.TooManyRequests) as raised:
        await client.request("POST", pod + "/eviction", body=eviction(namespace))
    assert (
        raised.value.causes()[0]["message"]
        == "The disruption budget b needs 1 healthy pods and has 1 currently"
    )
    await budgets.update_status({**made, "status": status | {"disruptionsAllowed": 1}})
    tried = eviction(namespace) | {"deleteOptions": {"dryRun": ["All"]}}
    assert (await client.request("POST", pod + "/eviction", body=tried))["status"] == "Success"
    assert "deletionTimestamp" not in (await client.request("GET", pod))["metadata"]
    assert (await budgets.get("b", namespace))["status"]["disruptionsAllowed"] == 1
    older = eviction(namespace) | {"apiVersion": "policy/v1beta1"}  # as clients before 1.22 write
    answer = await client.request("POST", pod + "/eviction", body=older)
    assert answer["status"] == "Success"
    leaving = await client.request("GET", pod)
    assert leaving["metadata"]["deletionTimestamp"]
    assert leaving["status"]["conditions"][-1]["type"] == "DisruptionTarget"
    left = (await budgets.get("b", namespace))["status"]
    assert left["disruptionsAllowed"] == 0 and list(left["disruptedPods"]) == ["p"]


async def test_ephemeral_containers_are_added_only(client: Client, pod: str) -> None:
    extra = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    changed = await client.request("PATCH", pod + "/ephemeralcontainers", body=extra, headers=headers)
    assert [entry["name"] for entry in changed["spec"]["ephemeralContainers"]] == ["debug"]
    assert changed["metadata"]["generation"] == 2
    removed = [{"op": "remove", "path": "/spec/ephemeralContainers/0"}]
    with pytest.raises(errors.Invalid):
        headers = {"Content-Type": "application/json-patch+json"}
        await client.request("PATCH", pod + "/ephemeralcontainers", body=removed, headers=headers)


@pytest.fixture
async def node(client: Client) -> AsyncIterator[str]:
    """The node that pods of this file are on."""
    nodes = client.resource("v1", "nodes")
    made = await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    amounts = {"cpu": "4", "memory": "4Gi"}
    await nodes.update_status({**made, "status": {"capacity": amounts, "allocatable": amounts}})
    yield "n"
    await nodes.delete("n")


async def test_resize_touches_resources_only(client: Client, pod: str, node: str) -> None:
    def wish(cpu: str) -> Object:
        requests = {"requests": {"cpu": cpu}, "limits": {"cpu": "9"}}
        return {"spec": {"containers": [{"name": "c", "image": "other", "resources": requests}]}}

    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    changed = await client.request("PATCH", pod + "/resize", body=wish("200m"), headers=headers)
    container = changed["spec"]["containers"][0]
    assert container["resources"]["requests"] == {"cpu": "200m"} and container["image"] == "i"
    assert changed["metadata"]["generation"] == 2
    with pytest.raises(errors.Forbidden, match="cpu, requested: 8000, allocatable: 4000"):
        await client.request("PATCH", pod + "/resize", body=wish("8"), headers=headers)


async def test_namespaces_go_when_finalized(client: Client) -> None:
    namespaces = client.resource("v1", "namespaces")
    made = await namespaces.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "goes"}})
    assert made["status"] == {"phase": "Active"} and made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "goes"}
    await namespaces.delete("goes")
    leaving = await namespaces.get("goes")
    assert leaving["status"]["phase"] == "Terminating"
    with pytest.raises(errors.Forbidden, match="because it is being terminated"):
        await client.resource("v1", "configmaps").create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}, "goes"
        )
    await client.request(
        "PUT", "/api/v1/namespaces/goes/finalize", body={**leaving, "spec": {"finalizers": []}}
    )
    with pytest.raises(errors.NotFound):
        await namespaces.get("goes")


async def test_tokens_say_whose_they_are(client: Client, namespace: str, pod: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    uid = (await client.request("GET", pod))["metadata"]["uid"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": uid}
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"boundObjectRef": bound},
    }
    token = (await client.request("POST", path, body=request))["status"]["token"]
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = (await client.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body=review))[
        "status"
    ]
    assert (
        status["authenticated"] and status["user"]["username"] == f"system:serviceaccount:{namespace}:default"
    )
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    with pytest.raises(errors.Invalid, match="may not specify a duration less than 10 minutes"):
        await client.request("POST", path, body=request | {"spec": {"expirationSeconds": 5}})
    with pytest.raises(errors.Conflict):
        wrong = request | {"spec": {"boundObjectRef": bound | {"uid": "other"}}}
        await client.request("POST", path, body=wrong)


async def test_signing_requests_know_who_asks(api_server: ApiServer, client: Client) -> None:
    pem = certificate_request("system:node:n", ["system:nodes"]).cert_pem
    spec = {
        "request": base64.b64encode(pem).decode(), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
        "usages": ["client auth"], "username": "somebody else",
    }  # fmt: skip
    requests = client.resource("certificates.k8s.io/v1", "certificatesigningrequests")
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    made = await requests.create({**kind, "metadata": {"name": "csr"}, "spec": spec})
    assert made["spec"]["username"] == "kubernetes-admin" and "system:masters" in made["spec"]["groups"]
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "fine"}
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr"
    body = {**made, "status": {"conditions": [approved]}}
    found = (await client.request("PUT", path + "/approval", body=body))["status"]["conditions"][0]
    assert found["type"] == "Approved" and found["lastUpdateTime"] and found["lastTransitionTime"]
    await requests.delete("csr")


async def test_autoscalers_and_events_have_two_forms(client: Client, namespace: str) -> None:
    spec = {
        "maxReplicas": 3,
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "targetCPUUtilizationPercentage": 40,
    }
    older = client.resource("autoscaling/v1", "horizontalpodautoscalers")
    kind = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler"}
    made = await older.create({**kind, "metadata": {"name": "h"}, "spec": spec}, namespace)
    assert made["apiVersion"] == "autoscaling/v1" and made["spec"]["targetCPUUtilizationPercentage"] == 40
    newer = await client.resource("autoscaling/v2", "horizontalpodautoscalers").get("h", namespace)
    assert newer["spec"]["metrics"][0]["resource"]["target"] == {
        "type": "Utilization",
        "averageUtilization": 40,
    }
    patched = await older.patch("h", {"spec": {"targetCPUUtilizationPercentage": 50}}, namespace)
    assert patched["spec"]["targetCPUUtilizationPercentage"] == 50 and patched["spec"]["maxReplicas"] == 3
    metadata = {"name": "h", "namespace": namespace}
    wish = {**kind, "metadata": metadata, "spec": {"targetCPUUtilizationPercentage": 60, "maxReplicas": 3}}
    entry = (await older.apply(wish, field_manager="old"))["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["apiVersion"]) == ("old", "autoscaling/v1")
    assert entry["fieldsV1"] == {"f:spec": {"f:maxReplicas": {}, "f:targetCPUUtilizationPercentage": {}}}
    other = {"apiVersion": "autoscaling/v2", "kind": kind["kind"], "metadata": metadata}
    other["spec"] = {"metrics": newer["spec"]["metrics"]}
    with pytest.raises(errors.Conflict, match=r'conflict with "old": .spec.targetCPUUtilizationPercentage$'):
        await client.resource("autoscaling/v2", "horizontalpodautoscalers").apply(
            other, field_manager="new", force=False
        )
    event = {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "Testing", "message": "hello",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace}, "type": "Normal",
        "source": {"component": "test"}, "firstTimestamp": "2026-01-01T00:00:00Z", "count": 1,
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    await client.resource("v1", "events").create(event, namespace)
    shown = await client.resource("events.k8s.io/v1", "events").list(
        namespace, field_selector="regarding.name=p"
    )
    assert shown["items"][0]["note"] == "hello" and shown["items"][0]["deprecatedCount"] == 1
    table = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    cells = [
        (await client.request("GET", f"{root}/namespaces/{namespace}/events", headers=table))["rows"][0][
            "cells"
        ]
        for root in ("/api/v1", "/apis/events.k8s.io/v1")
    ]
    assert cells[0] == cells[1] and "<unknown>" not in cells[0]
