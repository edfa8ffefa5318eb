"""Families and addresses of Services as they come, change and go: KEP-563.

| policy              | one family in the cluster | two families                     |
|---------------------|---------------------------|----------------------------------|
| none, SingleStack   | that                      | the first, or the one that is named |
| PreferDualStack     | that                      | both                             |
| RequireDualStack    | refused                   | both                             |
| headless, no selector | both, whatever there is | both                             |
"""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry import catalog
from apiserver.registry.core.service_addresses import ADDRESSES_PREFIX, ServiceAddresses
from apiserver.registry.store import Registry
from apiserver.request import ANONYMOUS, RequestContext, parse_request
from apiserver.storage.memory import MemoryStorage
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock

SERVICE = next(row for row in catalog.rows() if row.kind == "Service")
RANGES = {"IPv4": "10.96.0.0/16", "IPv6": "fd00:96::/112"}
HEADLESS = {"clusterIP": "None", "selector": None}


class Cluster:
    """An API server's Services, kept in memory."""

    def __init__(self, *families: str, storage: MemoryStorage | None = None) -> None:
        clock, self.storage = FakeClock(), storage or MemoryStorage()
        addresses = ServiceAddresses(self.storage, clock, [RANGES[family] for family in families])
        self._registry = Registry(self.storage, clock, addresses)
        info = parse_request("POST", "/api/v1/namespaces/default/services", {})
        self._context = RequestContext(info=info, user=ANONYMOUS, clock=clock)

    async def _judge(self, new: Object, old: Object | None) -> None:
        """Nobody objects."""

    async def create(self, name: str = "web", **spec: Any) -> Object:
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]} | spec
        made: Object = {"apiVersion": "v1", "kind": "Service", "spec": spec}
        made["metadata"] = {"name": name, "namespace": "default"}
        SERVICE.strategy.defaults(made)
        await self._registry.create(SERVICE, self._context, made, self._judge)
        return await self.spec(name)

    async def change(self, **spec: Any) -> Object:
        async def changed(old: Object) -> Object:
            return {**old, "spec": {**old["spec"], **spec}}

        await self._registry.update(SERVICE, self._context, "default", "web", changed, self._judge)
        return await self.spec("web")

    async def spec(self, name: str) -> Object:
        stored = await self._registry.get(SERVICE, "default", name)
        found: Object = stored.obj["spec"]
        return found

    async def held(self) -> list[str]:
        page = await self.storage.list(ADDRESSES_PREFIX)
        return sorted(item.key.removeprefix(ADDRESSES_PREFIX) for item in page.items)


def shape(spec: Object) -> tuple[str, str]:
    """Policy and families; the addresses must be those of the families."""
    families = ",".join(spec["ipFamilies"])
    if spec["clusterIP"] != "None":
        assert families == ",".join("IPv6" if ":" in each else "IPv4" for each in spec["clusterIPs"])
        assert spec["clusterIP"] == spec["clusterIPs"][0]
    return spec["ipFamilyPolicy"], families


@pytest.mark.parametrize(
    ("cluster", "asked", "got"),
    [
        ("IPv4", {}, ("SingleStack", "IPv4")),
        ("IPv4", {"ipFamilyPolicy": "PreferDualStack"}, ("PreferDualStack", "IPv4")),
        ("IPv4", HEADLESS, ("RequireDualStack", "IPv4,IPv6")),
        ("IPv6", HEADLESS | {"ipFamilyPolicy": "SingleStack"}, ("SingleStack", "IPv6")),
        ("IPv4,IPv6", {}, ("SingleStack", "IPv4")),
        ("IPv6,IPv4", {}, ("SingleStack", "IPv6")),
        ("IPv4,IPv6", {"ipFamilies": ["IPv6"]}, ("SingleStack", "IPv6")),
        ("IPv4,IPv6", {"clusterIP": "fd00:96::9"}, ("SingleStack", "IPv6")),
        ("IPv4,IPv6", {"ipFamilyPolicy": "PreferDualStack"}, ("PreferDualStack", "IPv4,IPv6")),
        ("IPv4,IPv6", {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]},
         ("RequireDualStack", "IPv6,IPv4")),
        ("IPv4,IPv6", {"ipFamilyPolicy": "PreferDualStack", "clusterIP": "fd00:96::9",
                       "clusterIPs": ["fd00:96::9", "10.96.0.9"]}, ("PreferDualStack", "IPv6,IPv4")),
        ("IPv4,IPv6", {"clusterIP": "None"}, ("SingleStack", "IPv4")),
    ],
)  # fmt: skip
async def test_a_new_service_gets_what_the_cluster_has(cluster: str, asked: Any, got: Any) -> None:
    assert shape(await Cluster(*cluster.split(",")).create(**asked)) == got


@pytest.mark.parametrize(
    ("cluster", "asked", "text"),
    [
        ("IPv4", {"ipFamilyPolicy": "RequireDualStack"},
         'ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services'),
        ("IPv4", {"ipFamilies": ["IPv6"]},
         'ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'),
        ("IPv4", {"clusterIP": "fd00:96::9"},
         'clusterIPs[0]: Invalid value: ["fd00:96::9"]: IPv6 is not configured on this cluster'),
        ("IPv4,IPv6", {"ipFamilies": ["IPv4", "IPv6"]},
         "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"),
        ("IPv4,IPv6", {"clusterIPs": ["10.96.0.9"]}, "must be empty when `clusterIP` is not specified"),
        ("IPv4,IPv6", {"clusterIP": "10.96.0.9", "ipFamilies": ["IPv6"]},
         "expected an IPv6 value as indicated by `ipFamilies[0]`"),
        ("IPv4,IPv6", {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "10.96.0.8"]},
         "may specify no more than one IP for each IP family"),
        ("IPv4,IPv6", {"clusterIP": "None", "clusterIPs": ["None", "10.96.0.8"]},
         "'None' must be the first and only value"),
    ],
)  # fmt: skip
async def test_what_cannot_be_had_is_refused(cluster: str, asked: Any, text: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        await Cluster(*cluster.split(",")).create(**asked)
    assert text in str(refusal.value)


async def test_a_second_address_comes_and_goes_with_the_policy() -> None:
    cluster = Cluster("IPv4", "IPv6")
    first = await cluster.create()
    both = await cluster.change(ipFamilyPolicy="RequireDualStack")
    assert shape(both) == ("RequireDualStack", "IPv4,IPv6") and both["clusterIP"] == first["clusterIP"]
    assert await cluster.held() == sorted(both["clusterIPs"])
    again = await cluster.change(
        ports=[{"port": 81, "protocol": "TCP", "targetPort": 81}], ipFamilyPolicy=None
    )
    assert again["clusterIPs"] == both["clusterIPs"]
    with pytest.raises(errors.Invalid, match="must be 'SingleStack' to release the secondary cluster IP"):
        await cluster.change(clusterIPs=both["clusterIPs"][:1])
    with pytest.raises(errors.Invalid, match=r"clusterIPs\[1\]: Invalid value: .*: may not change once set"):
        await cluster.change(clusterIPs=[first["clusterIP"], "fd00:96::9"])
    one = await cluster.change(ipFamilyPolicy="SingleStack")
    assert shape(one) == ("SingleStack", "IPv4") and await cluster.held() == [first["clusterIP"]]
    chosen = [first["clusterIP"], "fd00:96::9"]
    named = await cluster.change(ipFamilyPolicy="PreferDualStack", clusterIPs=chosen)
    assert named["clusterIPs"] == chosen == await cluster.held()


async def test_who_prefers_two_does_not_change_with_the_cluster() -> None:
    cluster = Cluster("IPv4")
    await cluster.create(ipFamilyPolicy="PreferDualStack")
    grown = Cluster("IPv4", "IPv6", storage=cluster.storage)
    assert shape(await grown.change(selector={"app": "other"})) == ("PreferDualStack", "IPv4")
    assert shape(await grown.change(ipFamilyPolicy="RequireDualStack")) == ("RequireDualStack", "IPv4,IPv6")
