"""Descriptions, as kubectl 1.36.4 gave them of the same objects."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.kubectl.commands.describe import add_events, add_fields
from kubarium.kubectl.describers.catalog import DESCRIBERS
from kubarium.kubectl.describers.page import Page
from kubarium.kubectl.names import Names
from kubarium.kubectl.session import Session


async def described(obj: Object, *others: Object) -> str:
    api = FakeAPI()
    for other in others:
        api.put(other)
    client = api.client()
    page = Page()
    group = obj["apiVersion"].rpartition("/")[0]
    await DESCRIBERS[group, obj["kind"]](Session(client, Names(client), "default", False), obj, page)
    await client.close()
    return "\n".join(line.rstrip() for line in str(page).splitlines())


def made(api_version: str, kind: str, name: str, *, namespace: str = "default", **more: Any) -> Object:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


CONTAINER = {
    "name": "main",
    "image": "busybox:latest",
    "command": ["sh", "-c"],
    "args": ["sleep 1000"],
    "ports": [{"containerPort": 8080, "name": "named", "protocol": "TCP"}],
    "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "50m"}},
    "livenessProbe": {"exec": {"command": ["true"]}, "timeoutSeconds": 1, "periodSeconds": 5, "successThreshold": 1,
                      "failureThreshold": 3},
    "env": [
        {"name": "A", "value": "b"},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "one"}}},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "password"}}},
        {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ],
    "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "p_", "secretRef": {"name": "sec", "optional": True}}],
    "volumeMounts": [
        {"name": "c", "mountPath": "/c", "readOnly": True}, {"name": "e", "mountPath": "/e", "subPath": "x"},
    ],
}  # fmt: skip
TEMPLATE = {
    "metadata": {"labels": {"app": "web"}, "annotations": {"t": "u"}},
    "spec": {
        "containers": [CONTAINER],
        "volumes": [{"name": "c", "configMap": {"name": "cm"}}, {"name": "e", "emptyDir": {}}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
    },
}
DEPLOYMENT = """\
Name:                   web
Namespace:              default
CreationTimestamp:      Mon, 30 Nov 2026 08:28:10 +0000
Labels:                 <none>
Annotations:            deployment.kubernetes.io/revision: 1
Selector:               app=web
Replicas:               2 desired | 2 updated | 2 total | 0 available | 2 unavailable
StrategyType:           RollingUpdate
MinReadySeconds:        0
RollingUpdateStrategy:  25% max unavailable, 25% max surge
Pod Template:
  Labels:       app=web
  Annotations:  t: u
  Containers:
   main:
    Image:      busybox:latest
    Port:       8080/TCP (named)
    Host Port:  0/TCP (named)
    Command:
      sh
      -c
    Args:
      sleep 1000
    Limits:
      cpu:     100m
      memory:  64Mi
    Requests:
      cpu:     50m
    Liveness:  exec [true] delay=0s timeout=1s period=5s #success=1 #failure=3
    Environment Variables from:
      cm   ConfigMap                Optional: false
      sec  Secret with prefix 'p_'  Optional: true
    Environment:
      A:  b
      C:  <set to the key 'one' of config map 'cm'>    Optional: false
      S:  <set to the key 'password' in secret 'sec'>  Optional: false
      F:   (v1:metadata.name)
      R:  1 (limits.cpu)
    Mounts:
      /c from c (ro)
      /e from e (rw,path="x")
  Volumes:
   c:
    Type:      ConfigMap (a volume populated by a ConfigMap)
    Name:      cm
    Optional:  false
   e:
    Type:          EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:
    SizeLimit:     <unset>
  Node-Selectors:  kubernetes.io/os=linux
  Tolerations:     k:NoSchedule op=Exists
Conditions:
  Type           Status  Reason
  ----           ------  ------
  Available      False   MinimumReplicasUnavailable
OldReplicaSets:  <none>
NewReplicaSet:   web-1 (2/2 replicas created)"""


async def test_a_deployment() -> None:
    revision = {"deployment.kubernetes.io/revision": "1"}
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    web = made("apps/v1", "Deployment", "web", spec={
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
    }, status={
        "replicas": 2, "updatedReplicas": 2, "unavailableReplicas": 2,
        "conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}],
    })  # fmt: skip
    web["metadata"] |= {"uid": "u", "creationTimestamp": "2026-11-30T08:28:10Z", "annotations": revision}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": True}
    one = made("apps/v1", "ReplicaSet", "web-1", spec={"replicas": 2}, status={"replicas": 2})
    one["metadata"] |= {"annotations": revision, "ownerReferences": [owner]}
    assert await described(web, one) == DEPLOYMENT


async def test_rules_stand_as_go_prints_them() -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["web"], "verbs": ["*"]},
        {"nonResourceURLs": ["/x"], "verbs": ["get"]},
    ]
    lines = (await described(made("rbac.authorization.k8s.io/v1", "Role", "r", rules=rules))).splitlines()
    assert lines[4:] == [
        "  Resources               Non-Resource URLs  Resource Names  Verbs",
        "  ---------               -----------------  --------------  -----",
        "  deployments.apps/scale  []                 [web]           [*]",
        "  pods/log                []                 []              [get list]",
        "  pods                    []                 []              [get list]",
        "                          [/x]               []              [get]",
    ]


async def test_a_policy() -> None:
    peers = [
        {"podSelector": {"matchLabels": {"a": "b"}}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ]
    ports = [{"port": 80, "protocol": "TCP"}, {"port": 100, "endPort": 200, "protocol": "UDP"}]
    spec = {"podSelector": {}, "ingress": [{"from": peers, "ports": ports}], "policyTypes": ["Ingress"]}
    policy = made("networking.k8s.io/v1", "NetworkPolicy", "np", spec=spec)
    policy["metadata"]["creationTimestamp"] = "2026-11-30T08:28:10Z"
    assert (await described(policy)).splitlines()[2:] == [
        "Created on:   2026-11-30 08:28:10 +0000 UTC",
        "Labels:       <none>",
        "Annotations:  <none>",
        "Spec:",
        "  PodSelector:     <none> (Allowing the specific traffic to all pods in this namespace)",
        "  Allowing ingress traffic:",
        "    To Port: 80/TCP",
        "    To Port Range: 100-200/UDP",
        "    From:",
        "      PodSelector: a=b",
        "    From:",
        "      IPBlock:",
        "        CIDR: 10.0.0.0/8",
        "        Except: 10.1.0.0/16",
        "  Not affecting egress traffic",
        "  Policy Types: Ingress",
    ]


def test_what_has_no_describer_is_told_field_by_field() -> None:
    page = Page()
    rules = [{"verbs": ["*"], "clusterScope": True}]
    schema = made(
        "flowcontrol.apiserver.k8s.io/v1", "FlowSchema", "exempt", namespace="", spec={"rules": rules, "a": 1}
    )
    schema["metadata"] |= {"uid": "u", "managedFields": [{}]}
    add_fields(page, schema)
    assert [line.rstrip() for line in str(page).splitlines()] == [
        "Name:         exempt",
        "Namespace:",
        "Labels:       <none>",
        "Annotations:  <none>",
        "API Version:  flowcontrol.apiserver.k8s.io/v1",
        "Kind:         FlowSchema",
        "Metadata:",
        "  UID:  u",
        "Spec:",
        "  A:  1",
        "  Rules:",
        "    Cluster Scope:  true",
        "    Verbs:",
        "      *",
    ]


def ago(**distance: int) -> str:
    return time.format_micro_time(datetime.now(UTC) - timedelta(**distance))


@pytest.mark.parametrize(
    ("event", "age"),
    [
        ({"firstTimestamp": ago(days=10), "lastTimestamp": ago(days=10), "count": 1}, "10d"),
        ({"firstTimestamp": ago(days=30), "lastTimestamp": ago(days=10), "count": 3}, "10d (x3 over 30d)"),
        ({"eventTime": ago(days=10)}, "10d"),
        (
            {"eventTime": ago(days=30), "series": {"count": 7, "lastObservedTime": ago(days=10)}},
            "10d (x7 over 30d)",
        ),
    ],
)
def test_events_tell_how_often_and_since_when(event: Object, age: str) -> None:
    page = Page()
    add_events(
        page, [{"type": "Normal", "reason": "Seen", "reportingComponent": "me", "message": "it", **event}]
    )
    heads, line, row = str(page).splitlines()[1:]
    assert row.split("  ")[3:] and age in row and heads.index("From") == row.index("me")
    assert line[heads.index("Age") :].startswith("----  ")


def signing_request() -> str:
    """A request for many names, as it lies in an object."""
    words = (
        (NameOID.ORGANIZATION_NAME, "o1"),
        (NameOID.ORGANIZATION_NAME, "o2"),
        (NameOID.COMMON_NAME, "jane"),
    )
    names = [
        x509.DNSName("a.example"), x509.DNSName("b.example"), x509.IPAddress(ip_address("10.0.0.1")),
        x509.UniformResourceIdentifier("spiffe://x/y"), x509.RFC822Name("a@b.c"),
    ]  # fmt: skip
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(*word) for word in words]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


async def test_a_signing_request_is_read() -> None:
    asked = {"request": signing_request(), "username": "admin", "expirationSeconds": 3600,
             "signerName": "kubernetes.io/kube-apiserver-client"}  # fmt: skip
    state = {"conditions": [{"type": "Approved", "status": "True"}], "certificate": "YQ=="}
    obj = made(
        "certificates.k8s.io/v1", "CertificateSigningRequest", "jane", namespace="", spec=asked, status=state
    )
    obj["metadata"] |= {"creationTimestamp": "2026-11-30T08:00:00Z", "labels": {"l": "m"}}
    assert (
        await described(obj)
        == """\
Name:                jane
Labels:              l=m
Annotations:         <none>
CreationTimestamp:   Mon, 30 Nov 2026 08:00:00 +0000
Requesting User:     admin
Signer:              kubernetes.io/kube-apiserver-client
Requested Duration:  60m
Status:              Approved,Issued
Subject:
  Common Name:    jane
  Serial Number:
  Organization:   o1
                  o2
Subject Alternative Names:
  DNS Names:        a.example
                    b.example
  Email Addresses:  a@b.c
  URIs:             spiffe://x/y
  IP Addresses:     10.0.0.1"""
    )


async def test_a_class_of_attributes() -> None:
    obj = made("storage.k8s.io/v1", "VolumeAttributesClass", "fast", namespace="", driverName="d.example",
               parameters={"iops": "10", "a": "b"})  # fmt: skip
    obj["metadata"]["annotations"] = {"x": "y"}
    assert (
        await described(obj)
        == """\
Name:         fast
Annotations:  x=y
DriverName:   d.example
Parameters:   a=b,iops=10"""
    )
