"""A resize that the pod's node could never give is refused at once, instead of being infeasible later.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

from apiserver.admission.plugin import UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core.pod import resources
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, labels_of, name_of, spec_of, status_of
from kubarium.client.rest import Client

OS = "kubernetes.io/os"
UNITS = ("cpu", "memory")


class PodResize(AdmissionPlugin):
    """Compares what a pod on a node would like to have with the node's allocatable resources."""

    name = "PodResize"
    operations = frozenset({UPDATE})
    resources = frozenset({("", "pods")})

    def __init__(self, client: Client) -> None:
        self._nodes = client.resource("v1", "nodes")

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what cannot be had."""
        pod = attributes.new
        place = spec_of(pod).get("nodeName")
        unchanged = spec_of(pod) == spec_of(attributes.old or {})
        if not attributes.is_for("", "pods", subresource="resize") or not place or unchanged:
            return
        try:
            node = await self._nodes.get(place)
        except errors.NotFound as error:
            raise attributes.forbidden(f'node "{place}" not found') from error
        system = labels_of(node).get(OS, "linux")
        if system != "linux":
            why = f'pod resize is only supported on linux nodes, node "{name_of(node)}" is "{system}"'
            raise _refusal(attributes, why, "UnsupportedPlatform")
        short = shortages(pod, node)
        if short:
            why = f"node didn't have enough allocatable resources: {'; '.join(short)}"
            raise _refusal(attributes, why, "NodeCapacity")


def shortages(pod: Object, node: Object) -> list[str]:
    """Of what the pod would like more than the whole node has."""
    wanted = resources.requests_of({**pod, "status": {}})
    whole = resources.amounts(status_of(node).get("allocatable"))
    return [
        f"{name}, requested: {wanted[name]}, allocatable: {whole.get(name, 0)}"
        for name in UNITS
        if wanted.get(name, 0) > whole.get(name, 0)
    ]


def _refusal(attributes: Attributes, why: str, cause: str) -> errors.Forbidden:
    refusal = attributes.forbidden(why)
    refusal.details = {**(refusal.details or {}), "causes": [{"reason": cause}]}
    return refusal
