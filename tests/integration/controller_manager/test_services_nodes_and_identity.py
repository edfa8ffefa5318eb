"""Stories about endpoints, nodes, accounts and certificates."""

from __future__ import annotations

import base64

from cryptography import x509

from kubarium.apimachinery import conditions
from kubarium.apimachinery import time as times
from kubarium.apimachinery.object import Object, annotations_of, labels_of, name_of, spec_of
from kubarium.component_base.certificates import certificate_request
from kubarium.component_base.clock import RealClock
from tests.integration.controller_manager.world import World, workload


def service(name: str = "web", **spec: object) -> Object:
    found: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": {"ports": [{"port": 80, "targetPort": 8080}], **spec},
    }
    return found


async def test_a_service_knows_where_its_pods_are(world: World) -> None:
    await world.create(service(selector={"app": "web"}))
    await world.create(workload("ReplicaSet", replicas=2))

    async def slices_say(ready: list[bool]) -> bool:
        found = await world.list("discovery.k8s.io/v1", "endpointslices", "kubernetes.io/service-name=web")
        endpoints = [e for one in found for e in one.get("endpoints") or []]
        return [e["conditions"]["ready"] for e in endpoints] == ready

    await world.until(lambda: slices_say([True, True]), kubelet=True)
    (one,) = await world.list("discovery.k8s.io/v1", "endpointslices")
    assert labels_of(one)["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert labels_of(one)["team"] == "a"
    assert [(p["port"], p["protocol"]) for p in one["ports"]] == [(8080, "TCP")]
    assert one["endpoints"][0]["targetRef"]["kind"] == "Pod"

    async def endpoints_say(count: int) -> bool:
        found = await world.get("v1", "endpoints", "web")
        return sum(len(subset.get("addresses") or []) for subset in found.get("subsets") or []) == count

    await world.until(lambda: endpoints_say(2))
    await world.patch("apps/v1", "replicasets", "web", {"spec": {"replicas": 0}})
    await world.until(lambda: slices_say([]), kubelet=True)
    await world.until(lambda: endpoints_say(0))
    await world.resource("v1", "services").delete("web", world.namespace)

    async def gone() -> bool:
        left = [
            *await world.list("discovery.k8s.io/v1", "endpointslices"),
            *await world.list("v1", "endpoints"),
        ]
        return not left

    await world.until(gone)


async def test_near_traffic_is_hinted_at(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    zone = {"topology.kubernetes.io/zone": f"zone-of-{world.namespace}"}
    await nodes.create(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": world.namespace, "labels": zone}}
    )
    try:
        await world.create(service(selector={"app": "web"}, trafficDistribution="PreferSameNode"))
        replicas = workload("ReplicaSet", replicas=1)
        replicas["spec"]["template"]["spec"]["nodeName"] = world.namespace
        await world.create(replicas)

        async def hints(**wanted: object) -> bool:
            found = await world.list("discovery.k8s.io/v1", "endpointslices")
            endpoints = [endpoint for one in found for endpoint in one.get("endpoints") or []]
            return [endpoint.get("hints") or {} for endpoint in endpoints] == [wanted]

        for_zones, for_nodes = [{"name": f"zone-of-{world.namespace}"}], [{"name": world.namespace}]
        await world.until(lambda: hints(forZones=for_zones, forNodes=for_nodes), kubelet=True)
        await world.patch("v1", "services", "web", {"spec": {"trafficDistribution": "PreferSameZone"}})
        # Nobody renews the node's lease: a kubelet says again that the pod is ready, if the machine stands still.
        await world.until(lambda: hints(forZones=for_zones), kubelet=True)
        await world.patch("v1", "services", "web", {"spec": {"trafficDistribution": None}})
        await world.until(lambda: hints(), kubelet=True)
    finally:
        await nodes.delete(world.namespace)


async def test_hand_made_endpoints_are_mirrored(world: World) -> None:
    await world.create(service())
    await world.create(
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "web"},
            "subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 9376}]}],
        }
    )

    async def mirrored(*ips: str) -> bool:
        found = await world.list("discovery.k8s.io/v1", "endpointslices")
        return tuple(e["addresses"][0] for one in found for e in one.get("endpoints") or []) == ips

    await world.until(lambda: mirrored("10.1.2.3"))
    subsets = [{"addresses": [{"ip": "10.1.2.4"}], "ports": [{"port": 9376}]}]
    await world.patch("v1", "endpoints", "web", {"subsets": subsets})
    await world.until(lambda: mirrored("10.1.2.4"))
    await world.resource("v1", "endpoints").delete("web", world.namespace)
    await world.until(lambda: mirrored())


async def test_every_namespace_has_an_account_and_the_authority(world: World) -> None:
    async def there() -> bool:
        await world.get("v1", "serviceaccounts", "default")
        data = (await world.get("v1", "configmaps", "kube-root-ca.crt"))["data"]
        return "BEGIN CERTIFICATE" in data["ca.crt"]

    await world.until(there)
    await world.resource("v1", "serviceaccounts").delete("default", world.namespace)
    await world.patch("v1", "configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "broken"}})
    await world.until(there)
    await world.resource("v1", "configmaps").delete("kube-root-ca.crt", world.namespace)
    await world.until(there)


async def test_a_token_secret_is_filled_and_goes_with_its_account(world: World) -> None:
    await world.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "robot-token", "annotations": {"kubernetes.io/service-account.name": "robot"}},
    }
    await world.create(secret)

    async def filled() -> bool:
        data = (await world.get("v1", "secrets", "robot-token")).get("data") or {}
        return {"token", "ca.crt", "namespace"} <= data.keys()

    await world.until(filled)
    stored = await world.get("v1", "secrets", "robot-token")
    token = base64.b64decode(stored["data"]["token"]).decode()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = await world.resource("authentication.k8s.io/v1", "tokenreviews").create(review)
    assert answer["status"]["user"]["username"] == f"system:serviceaccount:{world.namespace}:robot"
    await world.resource("v1", "serviceaccounts").delete("robot", world.namespace)

    async def gone() -> bool:
        return not await world.list("v1", "secrets")

    await world.until(gone)


async def test_a_kubelet_gets_its_certificate(world: World) -> None:
    pair = certificate_request(f"system:node:{world.namespace}", ["system:nodes"])
    requests = world.resource("certificates.k8s.io/v1", "certificatesigningrequests")
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": world.namespace},
        "spec": {
            "request": base64.b64encode(pair.cert_pem).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
            "expirationSeconds": 3600,
        },
    }
    await requests.create(request)

    async def signed() -> bool:
        return bool(((await requests.get(world.namespace)).get("status") or {}).get("certificate"))

    await world.until(signed)
    status = (await requests.get(world.namespace))["status"]
    assert status["conditions"][0]["reason"] == "AutoApproved"
    certificate = x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))
    assert f"system:node:{world.namespace}" in certificate.subject.rfc4514_string()
    await requests.delete(world.namespace)


async def test_roles_are_made_of_roles(world: World) -> None:
    roles = world.resource("rbac.authorization.k8s.io/v1", "clusterroles")
    label = {f"{world.namespace}/aggregate": "true"}
    whole = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{world.namespace}-whole"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]},
    }
    rule = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    part = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{world.namespace}-part", "labels": label},
        "rules": [rule],
    }
    await roles.create(whole)
    await roles.create(part)

    async def rules(*wanted: Object) -> bool:
        return ((await roles.get(f"{world.namespace}-whole")).get("rules") or []) == list(wanted)

    await world.until(lambda: rules(rule))
    await roles.delete(f"{world.namespace}-part")
    await world.until(lambda: rules())
    await roles.delete(f"{world.namespace}-whole")


async def test_a_node_gets_a_range_and_loses_its_taint_when_it_is_ready(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name = world.namespace
    now = times.format_time(RealClock().now())

    def ready(status: str) -> Object:
        condition = {"type": "Ready", "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now}
        return {"status": {"conditions": [condition]}}

    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    try:
        await nodes.patch(name, ready("False"), subresource="status")

        async def looks(*effects: str) -> bool:
            node = await nodes.get(name)
            taints = [
                t["effect"] for t in spec_of(node).get("taints") or [] if t["key"].endswith("/not-ready")
            ]
            has_range = spec_of(node).get("podCIDR", "").startswith("10.244.")
            told = annotations_of(node).get("node.alpha.kubernetes.io/ttl") == "0"
            return sorted(taints) == list(effects) and has_range and told

        await world.until(lambda: looks("NoSchedule"))
        await nodes.patch(name, ready("True"), subresource="status")
        await world.until(lambda: looks())
    finally:
        await nodes.delete(name)


async def test_no_execute_drives_pods_away_after_their_patience(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name = world.namespace
    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    try:
        for pod, tolerations in (
            ("at-once", []),
            ("for-ever", [{"key": "gone", "operator": "Exists", "effect": "NoExecute"}]),
            (
                "a-while",
                [{"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}],
            ),
        ):
            spec = {"nodeName": name, "containers": [{"name": "c", "image": "x"}], "tolerations": tolerations}
            await world.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec})
        taint = {"key": "gone", "effect": "NoExecute"}
        await nodes.patch(name, {"spec": {"taints": [taint]}})

        async def both_leave() -> bool:
            found = {name_of(p) for p in await world.pods() if p["metadata"].get("deletionTimestamp")}
            return found == {"at-once", "a-while"}

        await world.until(both_leave)
        leaving = [(await world.get("v1", "pods", name))["metadata"] for name in ("at-once", "a-while")]
        first, second = (times.parse_time(one["deletionTimestamp"]) for one in leaving)
        assert second >= first
        disrupted = conditions.find(
            (await world.get("v1", "pods", "at-once"))["status"]["conditions"], "DisruptionTarget"
        )
        assert disrupted and disrupted["reason"] == "DeletionByTaintManager"
    finally:
        await nodes.delete(name)
