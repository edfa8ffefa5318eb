"""Check the expressions of ValidatingAdmissionPolicies against the kinds that they match; warn in the status."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.api.admissionregistration import type_checking
from kubarium.apimachinery import errors
from kubarium.apimachinery.cel import openapi_types
from kubarium.apimachinery.cel.types import Type
from kubarium.apimachinery.group_version import GroupVersionKind, join, split
from kubarium.apimachinery.object import Object, ObjectKey, copy, generation_of, spec_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

API = ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies")


class ValidatingAdmissionPolicyStatusController(Controller):
    """Writes `observedGeneration` and `typeChecking`.

    Expressions that do not compile never get here: the API server refuses them. What it cannot know is whether the
    matched kinds have the fields; that is looked up in their published schemas.
    """

    name = "validatingadmissionpolicy-status-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock, *, workers: int = 5) -> None:
        self.workers = workers
        self.policies = informers.informer(*API).lister
        self.resource = client.resource(*API)
        self.client = client
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch(*API)]

    async def reconcile(self, key: ObjectKey) -> None:
        policy = self.policies.get(key)
        if policy is None or is_checked(policy):
            return
        schemas = _Schemas(self.client)
        kinds = {}
        for place in type_checking.resources_of(policy):
            kind = await schemas.kind_of(join(place.group, place.version), place.resource)
            found = await schemas.type_of(kind) if kind is not None else None
            if kind is not None and found is not None:
                kinds[kind] = found
        params = spec_of(policy).get("paramKind")
        of_params = None
        if params:
            group, version = split(params.get("apiVersion") or "")
            of_params = await schemas.type_of(GroupVersionKind(group, version, params.get("kind") or ""))
        warnings = type_checking.warnings(policy, kinds, of_params)
        changed = copy(policy)
        changed["status"] = {
            **status_of(policy),
            "observedGeneration": generation_of(policy),
            "typeChecking": {"expressionWarnings": warnings} if warnings else {},
        }
        await self.resource.update_status(changed)


class _Schemas:
    """What the API server publishes of its kinds; read once for each policy."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._documents: dict[str, Object] = {}

    async def kind_of(self, api_version: str, resource: str) -> GroupVersionKind | None:
        """The kind behind a resource, if it is served."""
        listed = await self._read(f"/{_root(api_version)}")
        for entry in listed.get("resources") or ():
            if entry.get("name") == resource:
                return GroupVersionKind(*split(api_version), entry["kind"])
        return None

    async def type_of(self, kind: GroupVersionKind) -> Type | None:
        """The type of a kind's objects, if its schema is published."""
        document = await self._read(f"/openapi/v3/{_root(join(kind.group, kind.version))}")
        return openapi_types.type_of_kind(document, kind)

    async def _read(self, path: str) -> Object:
        if path not in self._documents:
            try:
                self._documents[path] = await self._client.request("GET", path)
            except (errors.NotFound, errors.ServiceUnavailable):
                self._documents[path] = {}
        return self._documents[path]


def _root(api_version: str) -> str:
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


def is_checked(policy: Object) -> bool:
    """Has this generation been looked at?"""
    return bool(status_of(policy).get("observedGeneration") == generation_of(policy))
