"""A kubelet may read only what its own pods reference, and write only its own node.

    pod on node n ──▶ secret, config map, claim, service account, device claim      counted by object and node
    claim ──▶ volume ──▶ secrets of the volume                                      followed when asked
    volume attachment, resource slice ──▶ node

What is not about such objects is decided by the rules of the role `system:node`.
Source: https://kubernetes.io/docs/reference/access-authn-authz/node/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from apiserver.authorization.authorizer import ALLOWED, NO_OPINION, Decision, Verdict
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.api.core.pod import references
from kubarium.api.rbac import roles
from kubarium.apimachinery import fields
from kubarium.apimachinery.object import Object, ObjectKey, key_of, name_of, spec_of
from kubarium.client.informer import Informers

_READ = frozenset({"get", "list", "watch"})
_LEASES = "kube-node-lease"

Thing = tuple[str, str, str]
"""Plural, namespace and name of an object that pods reference."""


def needs_of(pod: Object) -> frozenset[Thing]:
    """Everything that the kubelet must be able to read to run a pod."""
    namespace = key_of(pod).namespace
    named: list[tuple[str, Sequence[str]]] = [
        ("secrets", list(references.secrets_of(pod))),
        ("configmaps", list(references.config_maps_of(pod))),
        ("persistentvolumeclaims", list(references.claims_of(pod))),
        ("resourceclaims", list(references.resource_claims_of(pod))),
        ("serviceaccounts", [references.service_account_of(pod)]),
    ]
    return frozenset((plural, namespace, name) for plural, found in named for name in found if name)


def brief(pod: Object) -> Object:
    """What the graph keeps of a pod: the API server need not hold every pod twice."""
    metadata = {key: pod["metadata"].get(key) for key in ("name", "namespace", "resourceVersion")}
    node = spec_of(pod).get("nodeName")
    return {"metadata": metadata, "spec": {"nodeName": node}, "needs": needs_of(pod) if node else frozenset()}


class Graph:
    """Which node needs what."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, tuple[str, frozenset[Thing]]] = {}
        self._users: dict[Thing, Counter[str]] = {}
        self._claim_of_volume: dict[str, ObjectKey] = {}
        self._volumes_of_secret: dict[ObjectKey, set[str]] = {}
        self._attachments: dict[str, str] = {}
        self._slices: dict[str, str] = {}

    def put_pod(self, pod: Object) -> None:
        """Learn of a `brief` pod, or forget it if it is on no node."""
        self.remove_pod(pod)
        node = spec_of(pod).get("nodeName")
        if not node:
            return
        needs = pod["needs"]
        self._pods[key_of(pod)] = (node, needs)
        for thing in needs:
            self._users.setdefault(thing, Counter())[node] += 1

    def remove_pod(self, pod: Object) -> None:
        """Forget a pod."""
        node, needs = self._pods.pop(key_of(pod), ("", frozenset()))
        for thing in needs:
            counts = self._users[thing]
            counts[node] -= 1
            if not counts[node]:
                del counts[node]
            if not counts:
                del self._users[thing]

    def put_volume(self, volume: Object) -> None:
        """Learn which claim a persistent volume belongs to, and which secrets it needs."""
        self.remove_volume(volume)
        claim = spec_of(volume).get("claimRef") or {}
        if not claim.get("name"):
            return
        key = ObjectKey(claim.get("namespace") or "", claim["name"])
        self._claim_of_volume[name_of(volume)] = key
        for secret in _secrets_of_volume(volume, key.namespace):
            self._volumes_of_secret.setdefault(secret, set()).add(name_of(volume))

    def remove_volume(self, volume: Object) -> None:
        """Forget a persistent volume."""
        self._claim_of_volume.pop(name_of(volume), None)
        for volumes in self._volumes_of_secret.values():
            volumes.discard(name_of(volume))

    def put_attachment(self, attachment: Object) -> None:
        """Learn for which node a volume attachment is."""
        self._attachments[name_of(attachment)] = spec_of(attachment).get("nodeName") or ""

    def put_slice(self, piece: Object) -> None:
        """Learn whose devices a resource slice lists."""
        self._slices[name_of(piece)] = spec_of(piece).get("nodeName") or ""

    def remove_attachment(self, attachment: Object) -> None:
        """Forget a volume attachment."""
        self._attachments.pop(name_of(attachment), None)

    def remove_slice(self, piece: Object) -> None:
        """Forget a resource slice."""
        self._slices.pop(name_of(piece), None)

    def has_pod(self, node: str, namespace: str, name: str) -> bool:
        """Is the pod on this node?"""
        return self._pods.get(ObjectKey(namespace, name), ("", None))[0] == node

    def needs(self, node: str, plural: str, namespace: str, name: str) -> bool:
        """Does anything on the node need this object?"""
        match plural:
            case "persistentvolumes":
                claim = self._claim_of_volume.get(name)
                return claim is not None and self.needs(node, "persistentvolumeclaims", *claim)
            case "volumeattachments":
                return self._attachments.get(name) == node
            case "resourceslices":
                return self._slices.get(name) == node
        if node in self._users.get((plural, namespace, name), ()):
            return True
        if plural == "secrets":
            volumes = self._volumes_of_secret.get(ObjectKey(namespace, name), ())
            return any(self.needs(node, "persistentvolumes", "", volume) for volume in volumes)
        return False


def _secrets_of_volume(volume: Object, claim_namespace: str) -> list[ObjectKey]:
    found: list[ObjectKey] = []
    for source in spec_of(volume).values():
        if not isinstance(source, dict):
            continue
        for field, reference in source.items():
            if field.endswith("ecretRef") and isinstance(reference, dict) and reference.get("name"):
                found.append(ObjectKey(reference.get("namespace") or claim_namespace, reference["name"]))
        if source.get("secretName"):
            found.append(ObjectKey(source.get("secretNamespace") or claim_namespace, source["secretName"]))
    return found


class NodeAuthorizer:
    """Judges users of the group `system:nodes`; has no opinion on others."""

    def __init__(self, rules: Sequence[Object]) -> None:
        self.graph = Graph()
        self._rules = rules
        self._by_resource: dict[str, Callable[[str, RequestInfo], Verdict]] = {
            "secrets": self._read_needed,
            "configmaps": self._read_needed,
            "persistentvolumeclaims": self._claim,
            "persistentvolumes": self._get_needed,
            "resourceclaims": self._get_needed,
            "volumeattachments": self._get_needed,
            "serviceaccounts": self._service_account,
            "leases": self._lease,
            "csinodes": self._csi_node,
            "resourceslices": self._resource_slice,
            "pods": self._pod,
            "nodes": self._node,
        }

    def follow(self, informers: Informers) -> None:
        """Keep the graph as pods and volumes change."""
        graph = self.graph
        informers.informer("v1", "pods", transform=brief).follow(graph.put_pod, graph.remove_pod)
        for api_version, plural, put, remove in (
            ("v1", "persistentvolumes", graph.put_volume, graph.remove_volume),
            ("storage.k8s.io/v1", "volumeattachments", graph.put_attachment, graph.remove_attachment),
            ("resource.k8s.io/v1", "resourceslices", graph.put_slice, graph.remove_slice),
        ):
            informers.informer(api_version, plural).follow(put, remove)

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        """What a node may do with the objects it needs; else what the role `system:node` says."""
        node = users.node_of(user.name, user.groups)
        if not node:
            return NO_OPINION
        if info.is_resource and info.group in _GROUPS.get(info.resource, ()):
            return self._by_resource[info.resource](node, info)
        return self._by_rules(info)

    def _by_rules(self, info: RequestInfo) -> Verdict:
        if not info.is_resource:
            allowed = any(roles.path_rule_allows(rule, info.verb, info.path) for rule in self._rules)
        else:
            asked = (info.verb, info.group, info.resource, info.subresource, info.name)
            allowed = any(roles.resource_rule_allows(rule, *asked) for rule in self._rules)
        return ALLOWED if allowed else NO_OPINION

    def _needed(self, node: str, info: RequestInfo) -> Verdict:
        if not info.name:
            return _no("No Object name found")
        if self.graph.needs(node, info.resource, info.namespace, info.name):
            return ALLOWED
        return _no(f"no relationship found between node '{node}' and this object")

    def _read_needed(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb not in _READ or info.subresource:
            return _no("can only read resources of this type")
        return self._needed(node, info)

    def _get_needed(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb != "get":
            return _no("can only get individual resources of this type")
        if info.subresource:
            return _no("cannot get subresource")
        return self._needed(node, info)

    def _claim(self, node: str, info: RequestInfo) -> Verdict:
        if info.subresource == "status":
            if info.verb not in ("get", "update", "patch"):
                return _no("can only get/update/patch this type")
            return self._needed(node, info)
        return self._get_needed(node, info)

    def _service_account(self, node: str, info: RequestInfo) -> Verdict:
        if info.subresource == "token":
            if info.verb != "create":
                return _no("can only create tokens for individual service accounts")
            return self._needed(node, info)
        return self._get_needed(node, info)

    def _lease(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb not in ("get", "create", "update", "patch", "delete"):
            return _no("can only get, create, update, patch, or delete a node lease")
        if info.namespace != _LEASES:
            return _no(f'can only access leases in the "{_LEASES}" system namespace')
        if info.verb != "create" and info.name != node:
            return _no("can only access node lease with the same name as the requesting node")
        return ALLOWED

    def _csi_node(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb not in ("get", "create", "update", "patch", "delete"):
            return _no("can only get, create, update, patch, or delete a CSINode")
        if info.subresource:
            return _no("cannot authorize CSINode subresources")
        if info.verb != "create" and info.name != node:
            return _no("can only access CSINode with the same name as the requesting node")
        return ALLOWED

    def _resource_slice(self, node: str, info: RequestInfo) -> Verdict:
        if info.subresource:
            return _no("cannot authorize ResourceSlice subresources")
        match info.verb:
            case "create":
                return ALLOWED  # NodeRestriction looks at what is created
            case "get" | "update" | "patch" | "delete":
                return self._needed(node, info)
            case "watch" | "list" | "deletecollection":
                if _selects(info, "spec.nodeName", node):
                    return ALLOWED
                return _no("can only list/watch/deletecollection resourceslices with nodeName field selector")
        return _no("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, "
                   "patch, delete, deletecollection")  # fmt: skip

    def _pod(self, node: str, info: RequestInfo) -> Verdict:
        if info.subresource or info.verb not in _READ:
            return self._by_rules(info)
        if info.verb == "get":
            if self.graph.has_pod(node, info.namespace, info.name):
                return ALLOWED
            return _no(f"no relationship found between node '{node}' and this object")
        if _selects(info, "spec.nodeName", node):
            return ALLOWED
        if info.name and self.graph.has_pod(node, info.namespace, info.name):
            return ALLOWED
        return _no("can only list/watch pods with spec.nodeName field selector")

    def _node(self, node: str, info: RequestInfo) -> Verdict:
        if info.verb in _READ and info.name != node and not info.subresource:
            what = f"'{info.name}'" if info.name else "all nodes"
            return _no(f"node '{node}' cannot read {what}, only its own Node object")
        return self._by_rules(info)


_GROUPS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "secrets",
            "configmaps",
            "persistentvolumeclaims",
            "persistentvolumes",
            "serviceaccounts",
            "pods",
            "nodes",
        ),
        ("",),
    ),
    "volumeattachments": ("storage.k8s.io",),
    "csinodes": ("storage.k8s.io",),
    "leases": ("coordination.k8s.io",),
    "resourceclaims": ("resource.k8s.io",),
    "resourceslices": ("resource.k8s.io",),
}


def _no(reason: str) -> Verdict:
    return Verdict(Decision.NO_OPINION, reason)


def _selects(info: RequestInfo, field: str, value: str) -> bool:
    try:
        return fields.parse(info.field_selector).exact(field) == value
    except fields.ParseError:
        return False
