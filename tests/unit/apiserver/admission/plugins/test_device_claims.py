"""Admin access, allocations and device status: who may ask for them, and who may write them."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.plugin import CREATE, UPDATE, Attributes
from apiserver.admission.plugins.device_claims import DeviceClaims
from apiserver.request import RequestContext, RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource
from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock

GROUP = "resource.k8s.io"
DRIVER = User("system:serviceaccount:kube-system:driver", extra={users.NODE_NAME: ("n1",)})
ALLOCATION: Object = {
    "devices": {"results": [{"request": "a", "driver": "d", "pool": "p", "device": "0"}]},
}
DEVICE: Object = {"driver": "d.example.com", "pool": "p", "device": "0"}


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


NAMESPACES = (namespace("plain"), namespace("admin", **{"resource.kubernetes.io/admin-access": "true"}))


def claim(where: str, *, admin: bool = False, **status: Any) -> Object:
    request = {"name": "a", "exactly": {"deviceClassName": "c", "adminAccess": admin}}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "one", "namespace": where},
        "spec": {"devices": {"requests": [request]}},
        "status": status,
    }


async def refusal(new: Object, old: Object | None = None, *rights: str) -> str:
    """What is said of a create, or of an update of the status by somebody with these rights."""

    async def may(user: User, info: RequestInfo) -> bool:
        return f"{info.verb} {info.subresource} {info.namespace}/{info.name}/" in rights

    plural = {"ResourceClaim": "resourceclaims"}.get(new["kind"], "resourceclaimtemplates")
    where, subresource = new["metadata"]["namespace"], "status" if old else ""
    verb = "update" if old else "create"
    info = RequestInfo("/", verb, True, "apis", GROUP, "v1", where, plural, subresource, "one")
    attributes = Attributes(
        RequestContext(info, DRIVER, FakeClock()),
        UPDATE if old else CREATE,
        GroupVersionKind(GROUP, "v1", new["kind"]),
        GroupVersionResource(GROUP, "v1", plural),
        subresource,
        where,
        "one",
        new,
        old,
    )
    try:
        await DeviceClaims(FakeAPI(*NAMESPACES).client(), may).validate(attributes)
    except errors.Invalid as error:
        return error.message
    return ""


async def test_admin_access_is_for_labelled_namespaces() -> None:
    words = (
        "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the "
        "`resource.kubernetes.io/admin-access: true` label on the containing namespace"
    )
    assert words in await refusal(claim("plain", admin=True))
    assert await refusal(claim("admin", admin=True)) == await refusal(claim("plain")) == ""
    wish = claim("plain", admin=True)
    template = {**wish, "kind": "ResourceClaimTemplate", "spec": {"spec": wish["spec"]}}
    assert words in await refusal(template)
    results = [{**ALLOCATION["devices"]["results"][0], "adminAccess": True}]
    given = claim("plain", allocation={"devices": {"results": results}})
    said = await refusal(given, claim("plain"), "update binding //")
    assert "status.allocation.devices.results[0].adminAccess: Forbidden: admin access" in said


async def test_allocations_need_a_right_on_the_binding() -> None:
    new = claim("plain", allocation=ALLOCATION)
    assert await refusal(new, claim("plain"), "update binding //") == ""
    assert (
        "status: Forbidden: changing status.allocation or status.reservedFor requires "
        'resource="resourceclaims/binding", verb="update" permission: resourceclaims.resource.k8s.io is forbidden: '
        f'User "{DRIVER.name}" cannot update resource "resourceclaims/binding" in API group "{GROUP}" at the '
        "cluster scope"
    ) in await refusal(new, claim("plain"))
    assert await refusal(claim("plain", allocation=ALLOCATION, conditions=[]), new) == ""


@pytest.mark.parametrize(
    ("right", "node", "allowed"),
    [
        ("associated-node:update", "n1", True),
        ("associated-node:update", "n2", False),
        ("arbitrary-node:update", "n2", True),
    ],
)
async def test_drivers_write_about_devices_of_their_node(right: str, node: str, allowed: bool) -> None:
    selector = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    allocation = {**ALLOCATION, "nodeSelector": {"nodeSelectorTerms": [selector]}}
    old = claim("plain", allocation=allocation)
    new = claim("plain", allocation=allocation, devices=[DEVICE])
    said = await refusal(new, old, f"{right} driver plain/d.example.com/")
    gone = await refusal(old, new, f"{right} driver plain/d.example.com/")
    assert (said == "") is (gone == "") is allowed
    if not allowed:
        assert 'requires resource="resourceclaims/driver", verb="[arbitrary-node:update]" permission' in said
