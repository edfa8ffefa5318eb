"""A namespace says which taints its pods tolerate, and which they may tolerate. Off unless asked for.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#podtolerationrestriction
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core import taints
from kubarium.api.core.pod import resources
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client

DEFAULTS = "scheduler.alpha.kubernetes.io/defaultTolerations"
ALLOWED = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"


class PodTolerationRestriction(AdmissionPlugin):
    """Merges the namespace's tolerations into pods, and refuses those that it does not list."""

    name = "PodTolerationRestriction"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    def __init__(self, client: Client, informers: Informers, configuration: Object | None = None) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._cached = informers.informer("v1", "namespaces").lister
        self._default: list[Object] = (configuration or {}).get("default") or []
        self._allowed: list[Object] = (configuration or {}).get("whitelist") or []

    async def admit(self, attributes: Attributes) -> None:
        """Add the namespace's tolerations to a new pod; what a pod has must be allowed."""
        if attributes.subresource:
            return
        spec = spec_of(attributes.new)
        tolerations: list[Object] = list(spec.get("tolerations") or ())
        if attributes.operation == CREATE:
            more = await self._of_namespace(attributes, DEFAULTS, self._default)
            if conflicting(more, tolerations):
                raise attributes.forbidden("namespace tolerations and pod tolerations conflict")
            tolerations = merged(more, tolerations)
        if resources.qos_class(attributes.new) != "BestEffort":
            pressure = {"key": taints.MEMORY_PRESSURE, "operator": "Exists", "effect": taints.NO_SCHEDULE}
            tolerations = merged(tolerations, [pressure])
        if tolerations:
            spec["tolerations"] = tolerations
        await self.validate(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what the namespace does not list."""
        if attributes.subresource:
            return
        tolerations = spec_of(attributes.new).get("tolerations") or []
        if not tolerations:
            return
        allowed = await self._of_namespace(attributes, ALLOWED, self._allowed)
        if allowed and not all(any(covers(one, wanted) for one in allowed) for wanted in tolerations):
            raise attributes.forbidden(
                "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace "
                "whitelist"
            )

    async def _of_namespace(self, attributes: Attributes, key: str, default: list[Object]) -> list[Object]:
        cached = self._cached.get("", attributes.namespace)
        namespace = cached if cached is not None else await self._namespaces.get(attributes.namespace)
        text = (namespace["metadata"].get("annotations") or {}).get(key)
        if not text:
            return default
        try:
            found: list[Object] = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise errors.InternalError(str(error)) from None
        return found or default


def _operator(toleration: Object) -> str:
    return toleration.get("operator") or "Equal"


def covers(allowed: Object, wanted: Object) -> bool:
    """Does one toleration allow for all that another one does?"""
    for field in ("key", "effect"):
        if allowed.get(field) and allowed.get(field) != wanted.get(field):
            return False
    if allowed.get("tolerationSeconds") is not None:
        seconds = wanted.get("tolerationSeconds")
        if seconds is None or seconds > allowed["tolerationSeconds"]:
            return False
    if _operator(allowed) == "Exists":
        return True
    return _operator(wanted) == "Equal" and allowed.get("value", "") == wanted.get("value", "")


def conflicting(left: Sequence[Object], right: Sequence[Object]) -> bool:
    """Do they say different things of the same taints?"""
    return any(
        one.get("key") == other.get("key")
        and one.get("effect") == other.get("effect")
        and (_operator(one), one.get("value"), one.get("tolerationSeconds"))
        != (_operator(other), other.get("value"), other.get("tolerationSeconds"))
        for one in left
        for other in right
    )


def merged(first: Sequence[Object], second: Sequence[Object]) -> list[Object]:
    """All of both; what another one covers is left out."""
    every = [*first, *second]
    kept: list[Object] = []
    for index, one in enumerate(every):
        if not any(covers(other, one) for other in (*kept, *every[index + 1 :])):
            kept.append(one)
    return kept
