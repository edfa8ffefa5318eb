"""A kubelet writes only its own node, its own lease, and the pods that are on it.

RBAC and the node authorizer say which kinds a kubelet may write; this looks at what it writes.
Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from apiserver.admission.plugin import CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes
from apiserver.admission.token_audiences import PodAudiences
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.api.core.node_labels import reserved_changes
from kubarium.api.core.pod import references, static
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, labels_of, name_of, spec_of, uid_of
from kubarium.client.rest import Client

_LEASES = "kube-node-lease"

May = Callable[[User, RequestInfo], Awaitable[bool]]


class NodeRestriction(AdmissionPlugin):
    """Looks at writes of users in the group `system:nodes`."""

    name = "NodeRestriction"
    operations = frozenset({CREATE, UPDATE, DELETE})
    resources = frozenset(
        {
            ("", "pods"), ("", "nodes"), ("", "serviceaccounts"), ("coordination.k8s.io", "leases"),
            ("storage.k8s.io", "csinodes"), ("resource.k8s.io", "resourceslices"),
        }
    )  # fmt: skip

    def __init__(self, client: Client, may: May) -> None:
        self._pods = client.resource("v1", "pods")
        self._audiences = PodAudiences(client)
        self._may = may

    async def admit(self, attributes: Attributes) -> None:
        """Refuse what is not the node's own. Early, so that nothing is written into what will be refused."""
        user = attributes.user
        if users.NODES not in user.groups:
            return
        node = users.node_of(user.name, user.groups)
        if not node:
            raise attributes.forbidden(f"could not determine node from user {user.name!r}".replace("'", '"'))
        match attributes.resource.resource:
            case "pods":
                await self._pod(attributes, node)
            case "nodes":
                self._node(attributes, node)
            case "serviceaccounts":
                await self._token(attributes, node)
            case "leases":
                self._lease(attributes, node)
            case "csinodes":
                self._own_name(attributes, node, "CSINode")
            case "resourceslices":
                self._slice(attributes, node)

    async def _pod(self, attributes: Attributes, node: str) -> None:
        match attributes.subresource, attributes.operation:
            case "", "CREATE":
                self._mirror_pod(attributes, node)
            case "", "DELETE":
                pod = attributes.old or await self._stored(attributes)
                if pod is not None and spec_of(pod).get("nodeName") != node:
                    raise attributes.forbidden(
                        f'node "{node}" can only delete pods with spec.nodeName set to itself'
                    )
            case "", operation:
                raise attributes.forbidden(
                    f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods'
                )
            case "status", "UPDATE":
                self._pod_status(attributes, node)
            case "eviction", "CREATE":
                pod = await self._stored(attributes)
                if pod is not None and spec_of(pod).get("nodeName") != node:
                    raise attributes.forbidden(
                        f"node {node} can only evict pods with spec.nodeName set to itself"
                    )
            case subresource, _:
                raise attributes.forbidden(
                    f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are allowed"
                )

    @staticmethod
    def _mirror_pod(attributes: Attributes, node: str) -> None:
        pod = attributes.new
        if not static.is_mirror(pod):
            raise attributes.forbidden(
                f'pod does not have "{static.MIRROR}" annotation, node "{node}" can only create mirror pods'
            )
        if spec_of(pod).get("nodeName") != node:
            raise attributes.forbidden(f'node "{node}" can only create pods with spec.nodeName set to itself')
        owners = pod["metadata"].get("ownerReferences") or []
        if len(owners) != 1 or owners[0].get("kind") != "Node" or owners[0].get("name") != node:
            raise attributes.forbidden(
                f'node "{node}" can only create pods with an owner reference set to itself'
            )
        for found, what in (
            ([references.service_account_of(pod)], "a service account"),
            (references.secrets_of(pod), "secrets"),
            (references.config_maps_of(pod), "configmaps"),
            (references.claims_of(pod), "persistentvolumeclaims"),
        ):
            if any(found):
                raise attributes.forbidden(f'node "{node}" can not create pods that reference {what}')

    @staticmethod
    def _pod_status(attributes: Attributes, node: str) -> None:
        old = attributes.old or {}
        if spec_of(old).get("nodeName") != node:
            raise attributes.forbidden(
                f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
            )
        if labels_of(attributes.new) != labels_of(old):
            raise attributes.forbidden(f'node "{node}" cannot update labels through pod status')

    @staticmethod
    def _node(attributes: Attributes, node: str) -> None:
        name = attributes.name or name_of(attributes.obj or {})
        if name != node:
            raise attributes.forbidden(f'node "{node}" is not allowed to modify node "{name}"')
        if attributes.operation == DELETE:
            return
        new, old = attributes.new, attributes.old or {}
        changed = reserved_changes(labels_of(new), labels_of(old))
        if changed:
            verb = "set the following" if attributes.operation == CREATE else "modify"
            raise attributes.forbidden(f"is not allowed to {verb} labels: {', '.join(changed)}")
        if attributes.operation == UPDATE:
            if (spec_of(new).get("taints") or []) != (spec_of(old).get("taints") or []):
                raise attributes.forbidden(f'node "{node}" is not allowed to modify taints')
            if new["metadata"].get("ownerReferences") != old["metadata"].get("ownerReferences"):
                raise attributes.forbidden(f'node "{node}" is not allowed to modify ownerReferences')

    async def _token(self, attributes: Attributes, node: str) -> None:
        if attributes.subresource != "token" or attributes.obj is None:
            return
        reference = spec_of(attributes.obj).get("boundObjectRef") or {}
        if (
            reference.get("kind") != "Pod"
            or reference.get("apiVersion") not in ("v1", None, "")
            or not reference.get("name")
        ):
            raise attributes.forbidden("node requested token not bound to a pod")
        if not reference.get("uid"):
            raise attributes.forbidden("node requested token with a pod binding without a uid")
        try:
            pod = await self._pods.get(reference["name"], attributes.namespace)
        except errors.NotFound as error:
            raise attributes.forbidden(error.message) from None
        if uid_of(pod) != reference["uid"]:
            raise attributes.forbidden(
                f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
                "The object might have been deleted and then recreated"
            )
        if spec_of(pod).get("nodeName") != node:
            raise attributes.forbidden("node requested token bound to a pod scheduled on a different node")
        await self._audience(attributes, pod)

    async def _audience(self, attributes: Attributes, pod: Object) -> None:
        """Tokens for others than those that the pod names need a right, with the audience as the resource."""
        audiences = spec_of(attributes.new).get("audiences") or [""]
        if len(audiences) > 1:
            raise attributes.forbidden("node may only request 0 or 1 audiences")
        if await self._audiences.names(pod, audiences[0]):
            return
        verb, user = "request-serviceaccounts-token-audience", attributes.user
        namespace, name = attributes.namespace, attributes.name
        question = RequestInfo("", verb, True, "api", "", "v1", namespace, audiences[0], "", name)
        if not await self._may(user, question):
            raise attributes.forbidden(
                f'audience "{audiences[0]}" not found in pod spec volume, {user.name} is not authorized to '
                "request tokens for this audience"
            )

    def _lease(self, attributes: Attributes, node: str) -> None:
        if attributes.namespace != _LEASES:
            raise attributes.forbidden(f'can only access leases in the "{_LEASES}" system namespace')
        self._own_name(attributes, node, "node lease")

    @staticmethod
    def _own_name(attributes: Attributes, node: str, what: str) -> None:
        if (attributes.name or name_of(attributes.obj or {})) != node:
            raise attributes.forbidden(f"can only access {what} with the same name as the requesting node")

    @staticmethod
    def _slice(attributes: Attributes, node: str) -> None:
        piece = attributes.obj or attributes.old or {}
        if piece and spec_of(piece).get("nodeName") != node:
            verb = attributes.operation.lower()
            raise attributes.forbidden(
                f"can only {verb} ResourceSlice with the same NodeName as the requesting node"
            )

    async def _stored(self, attributes: Attributes) -> Object | None:
        try:
            return await self._pods.get(attributes.name, attributes.namespace)
        except errors.NotFound:
            return None
