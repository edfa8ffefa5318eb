"""Who may hand out devices: admin access where the namespace is for it, what is in a status by rights of its own.

Upstream checks this in the registry of claims; here it is a plugin that cannot be switched off.
Source: https://kubernetes.io/docs/concepts/security/hardening-guide/dynamic-resource-allocation/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.api.resource import resource_claim as claims
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import FieldError, FieldPath
from kubarium.apimachinery.field_path import forbidden as forbidden_field
from kubarium.apimachinery.object import Object, labels_of, name_of, spec_of, status_of
from kubarium.client.rest import Client

GROUP = "resource.k8s.io"
_TEMPLATES = "resourceclaimtemplates"
_ADMIN_LABEL = "resource.kubernetes.io/admin-access"
_KINDS = {"resourceclaims": "ResourceClaim", _TEMPLATES: "ResourceClaimTemplate"}

May = Callable[[User, RequestInfo], Awaitable[bool]]


class DeviceClaims(AdmissionPlugin):
    """Looks at new claims and templates, and at what is written into the status of claims."""

    name = "DeviceClaims"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset((GROUP, plural) for plural in _KINDS)

    def __init__(self, client: Client, may: May) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._may = may

    async def validate(self, attributes: Attributes) -> None:
        """Refuse admin access elsewhere, and fields that are not this writer's."""
        if attributes.subresource == "status":
            found = [
                *await self._without_label(attributes, _new_admin_result(attributes)),
                *await self._not_to_be_bound(attributes),
                *await self._not_to_be_driven(attributes),
            ]
        elif attributes.operation == CREATE:
            found = await self._without_label(attributes, _admin_request(attributes))
        else:
            return  # what is wished for does not change
        if found:
            kind = _KINDS[attributes.resource.resource]
            raise errors.Invalid.of(GROUP, kind, name_of(attributes.new), found)

    async def _without_label(self, attributes: Attributes, place: FieldPath | None) -> list[FieldError]:
        if place is None:
            return []
        namespace = await self._namespaces.get(attributes.namespace)
        if labels_of(namespace).get(_ADMIN_LABEL) == "true":
            return []
        text = (
            f"admin access to devices requires the `{_ADMIN_LABEL}: true` label on the containing namespace"
        )
        return [forbidden_field(place, text)]

    async def _not_to_be_bound(self, attributes: Attributes) -> list[FieldError]:
        new, old = status_of(attributes.new), status_of(attributes.old or {})
        if all((new.get(key) or None) == (old.get(key) or None) for key in ("allocation", "reservedFor")):
            return []
        verb = attributes.context.info.verb
        refusal = await self._refusal(attributes, verb, "binding", namespace="", name="")
        if refusal is None:
            return []
        text = (
            "changing status.allocation or status.reservedFor requires "
            f'resource="resourceclaims/binding", verb="{verb}" permission: {refusal}'
        )
        return [forbidden_field(FieldPath("status"), text)]

    async def _not_to_be_driven(self, attributes: Attributes) -> list[FieldError]:
        verbs = [f"arbitrary-node:{attributes.context.info.verb}"]
        if _is_on_node_of(attributes.user, attributes.new):
            verbs.insert(0, f"associated-node:{attributes.context.info.verb}")
        found = []
        for driver in sorted(_changed_drivers(attributes.new, attributes.old or {})):
            asked = [
                await self._refusal(attributes, verb, "driver", namespace=attributes.namespace, name=driver)
                for verb in verbs
            ]
            if None not in asked:
                text = (
                    f'changing status.devices requires resource="resourceclaims/driver", verb="[{" ".join(verbs)}]" '
                    f"permission: {asked[0]}"
                )
                found.append(forbidden_field(FieldPath("status") / "devices", text))
        return found

    async def _refusal(
        self, attributes: Attributes, verb: str, subresource: str, *, namespace: str, name: str
    ) -> str | None:
        info = dataclasses.replace(
            attributes.context.info, verb=verb, subresource=subresource, namespace=namespace, name=name
        )
        if await self._may(attributes.user, info):
            return None
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        words = (
            f'User "{attributes.user.name}" cannot {verb} resource "{info.resource}/{subresource}" '
            f'in API group "{GROUP}" {where}'
        )
        return errors.Forbidden.of(GROUP, info.resource, name, words).message


def _admin_request(attributes: Attributes) -> FieldPath | None:
    wish = spec_of(attributes.new)
    if attributes.resource.resource == _TEMPLATES:
        wish = wish.get("spec") or {}
    for index, request in enumerate((wish.get("devices") or {}).get("requests") or ()):
        # Versions before v1 have the fields of `exactly` in the request itself.
        if (request.get("exactly") or request).get("adminAccess"):
            return FieldPath("spec") / "devices" / "requests" % index / "adminAccess"
    return None


def _new_admin_result(attributes: Attributes) -> FieldPath | None:
    if any(result.get("adminAccess") for result in claims.results_of(attributes.old or {})):
        return None  # an allocation does not change
    for index, result in enumerate(claims.results_of(attributes.new)):
        if result.get("adminAccess"):
            return FieldPath("status") / "allocation" / "devices" / "results" % index / "adminAccess"
    return None


def _changed_drivers(new: Object, old: Object) -> Iterator[str]:
    before, now = _devices(old), _devices(new)
    return iter({key[0] for key in before.keys() | now.keys() if before.get(key) != now.get(key)})


def _devices(claim: Object) -> dict[tuple[str, ...], Object]:
    devices = status_of(claim).get("devices") or ()
    keys = ("driver", "pool", "device", "shareID")
    return {tuple(device.get(key) or "" for key in keys): device for device in devices}


def _is_on_node_of(user: User, claim: Object) -> bool:
    """Is it a pod that runs where the claim's devices are?"""
    node = _node_of(claim)
    return (
        node != ""
        and users.service_account_of(user.name) is not None
        and tuple(user.extra.get(users.NODE_NAME, ())) == (node,)
    )


def _node_of(claim: Object) -> str:
    terms = ((claims.allocation_of(claim) or {}).get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    if len(terms) != 1 or terms[0].get("matchExpressions"):
        return ""
    match terms[0].get("matchFields"):
        case [{"key": "metadata.name", "operator": "In", "values": [str(name)]}]:
            return name
    return ""
