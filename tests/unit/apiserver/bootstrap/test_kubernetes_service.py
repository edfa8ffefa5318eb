"""The Service `kubernetes` is as the flags want it, whatever it was before."""

from __future__ import annotations

from apiserver.bootstrap.kubernetes_service import KubernetesService
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import RealClock


async def test_a_port_on_every_node_comes_and_goes() -> None:
    api = FakeAPI()

    async def spec_with(node_port: int) -> tuple[str, list[dict[str, object]]]:
        client = api.client()
        await KubernetesService(
            client, RealClock(), "10.0.0.1", 6443, "10.96.0.1", "host", node_port=node_port
        ).renew()
        spec = api.get("v1", "services", "default", "kubernetes")["spec"]
        return spec["type"], spec["ports"]

    port: dict[str, object] = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}
    assert await spec_with(30443) == ("NodePort", [port | {"nodePort": 30443}])
    assert await spec_with(30444) == ("NodePort", [port | {"nodePort": 30444}])
    assert await spec_with(0) == ("ClusterIP", [port])
