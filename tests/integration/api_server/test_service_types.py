"""A Service changes its type: what the old type needed is given back, what the new one needs is taken."""

import pytest

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client

PORT = {"port": 80, "protocol": "TCP", "targetPort": 8080}


def service(name: str, **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"ports": [PORT], **spec},
    }


async def test_an_external_name_holds_neither_address_nor_port(client: Client, namespace: str) -> None:
    services = client.resource("v1", "services")
    made = await services.create(service("web", type="NodePort"), namespace)
    address, number = made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
    made["spec"] |= {"type": "ExternalName", "externalName": "example.com", "clusterIP": ""}
    changed = await services.update(made)
    assert not {"clusterIP", "clusterIPs"} & changed["spec"].keys()
    with pytest.raises(errors.NotFound):
        await client.resource("networking.k8s.io/v1", "ipaddresses").get(address)
    wanted = service("other", type="NodePort", clusterIP=address)
    wanted["spec"]["ports"] = [{**PORT, "nodePort": number}]
    await services.create(wanted, namespace)


async def test_a_balanced_service_becomes_a_plain_one(client: Client, namespace: str) -> None:
    services = client.resource("v1", "services")
    made = await services.create(
        service("web", type="LoadBalancer", externalTrafficPolicy="Local"), namespace
    )
    assert made["spec"]["healthCheckNodePort"] and made["spec"]["allocateLoadBalancerNodePorts"] is True
    plain = await services.patch("web", {"spec": {"type": "ClusterIP"}}, namespace)
    gone = {"healthCheckNodePort", "allocateLoadBalancerNodePorts", "externalTrafficPolicy"}
    assert not gone & plain["spec"].keys()
    assert plain["spec"]["ports"] == [PORT]
    assert plain["spec"]["clusterIP"] == made["spec"]["clusterIP"]


async def test_an_address_of_a_load_balancer_is_virtual_by_default(client: Client, namespace: str) -> None:
    services = client.resource("v1", "services")
    await services.create(
        service("web", type="LoadBalancer", loadBalancerClass="example.com/other"), namespace
    )
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
    patched = await services.patch("web", status, namespace, subresource="status")
    assert patched["status"]["loadBalancer"]["ingress"] == [{"ip": "203.0.113.1", "ipMode": "VIP"}]
