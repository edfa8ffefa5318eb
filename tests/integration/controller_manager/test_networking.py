"""Stories about endpoints, their slices and their mirrors."""

from __future__ import annotations

from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, annotations_of, labels_of, name_of
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


async def test_a_service_without_pods_is_told_of_all_the_same(world: World) -> None:
    made = await world.create(service(selector={"app": "nobody"}))
    moment = {"endpoints.kubernetes.io/last-change-trigger-time": made["metadata"]["creationTimestamp"]}

    async def told() -> bool:
        endpoints = await world.get("v1", "endpoints", "web")
        (one,) = await world.list("discovery.k8s.io/v1", "endpointslices")
        assert annotations_of(endpoints) == annotations_of(one) == moment
        return not endpoints.get("subsets") and not one["endpoints"] and not one.get("ports")

    async def there() -> bool:
        return bool(await world.list("discovery.k8s.io/v1", "endpointslices")) and await told()

    await world.until(there)
    await world.delete("v1", "services", "web")

    async def gone() -> bool:
        left = await world.list("discovery.k8s.io/v1", "endpointslices")
        return not left and not await world.list("v1", "endpoints")

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


async def test_a_range_of_services_stays_while_somebody_has_an_address_of_it(world: World) -> None:
    group = "networking.k8s.io/v1"
    ranges, addresses = world.resource(group, "servicecidrs"), world.resource(group, "ipaddresses")
    name, address = world.namespace, "172.30.7.77"
    kind = {"apiVersion": group, "kind": "ServiceCIDR", "metadata": {"name": name}}
    await ranges.create({**kind, "spec": {"cidrs": ["172.30.7.0/24"]}})

    async def says(status: str, reason: str, message: str) -> bool:
        found = await ranges.get(name)
        ready = conditions.find((found.get("status") or {}).get("conditions"), "Ready") or {}
        is_kept = found["metadata"].get("finalizers") == ["networking.k8s.io/service-cidr-finalizer"]
        return is_kept and (ready.get("status"), ready.get("reason"), ready.get("message")) == (
            status,
            reason,
            message,
        )

    await world.until(lambda: says("True", "", "Kubernetes Service CIDR is ready"))

    async def made() -> bool:
        try:
            await world.create(service(clusterIP=address))
        except errors.Invalid:  # the range has not come to the server's own cache yet
            return False
        return True

    await world.until(made)
    parent = {"resource": "services", "namespace": name, "name": "web"}
    assert parent.items() <= (await addresses.get(address))["spec"]["parentRef"].items()
    await ranges.delete(name)
    text = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
    await world.until(lambda: says("False", "Terminating", text))
    await world.delete("v1", "services", "web")

    async def given_back() -> bool:
        return address not in {name_of(one) for one in (await addresses.list())["items"]}

    await world.until(given_back)  # the range itself goes when all API servers have seen that it does
