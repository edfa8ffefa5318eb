"""A pod as the scheduler reads it: parsed once, looked at many times."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import orjson

from kubarium.api.core.pod import affinity, resources
from kubarium.apimachinery import labels
from kubarium.apimachinery.codec import encode_to_keep
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import Object, ObjectKey

# What a container without requests counts for when nodes are ranked (never when they are filtered).
DEFAULT_CPU = 100  # millicores
DEFAULT_MEMORY = 200 * 1024 * 1024  # bytes


class HostPort(NamedTuple):
    """A port of the node itself that a container takes."""

    protocol: str
    address: str
    port: int


class PodKind(NamedTuple):
    """All that affinity and spreading see of a pod; pods of one template share it."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    deleting: bool


class Term(NamedTuple):
    """A pod affinity term: which pods, in the same value of which node label."""

    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Selector | None
    selector: Selector

    def selects(self, kind: PodKind, namespace_labels: Object) -> bool:
        """Does the term speak of pods of this kind?"""
        if kind.namespace not in self.namespaces and (
            self.namespace_selector is None or not self.namespace_selector.matches(namespace_labels)
        ):
            return False
        return self.selector.matches(dict(kind.labels))


class WeightedTerm(NamedTuple):
    """A preferred term; anti-affinity has a negative weight."""

    term: Term
    weight: int


class PodInfo:
    """One pod, and what scheduling it needs to know. Read-only, except `node`, which its `Nodes` maintain."""

    __slots__ = (
        "affinity_terms", "anti_affinity_terms", "host_ports", "key", "kind", "name", "namespace", "node",
        "nonzero_cpu",
        "nonzero_memory", "pod", "preferred_terms", "priority", "request_shape", "requests", "scheduler_name",
        "selector_shape", "spec", "toleration_shape", "uid", "volumes",
    )  # fmt: skip

    def __init__(self, pod: Object) -> None:
        metadata = pod["metadata"]
        spec: Object = pod.get("spec") or {}
        self.pod = pod
        self.spec = spec
        self.name: str = metadata["name"]
        self.namespace: str = metadata.get("namespace") or ""
        self.uid: str = metadata.get("uid") or f"{self.namespace}/{self.name}"
        self.key = ObjectKey(self.namespace, self.name)
        self.priority: int = spec.get("priority") or 0
        self.scheduler_name: str = spec.get("schedulerName") or "default-scheduler"
        self.kind = kind_of(metadata)
        self.requests = resources.requests_of(pod)
        self.nonzero_cpu, self.nonzero_memory = _nonzero(spec, self.requests)
        # The same for all pods that ask for the same.
        self.request_shape = (self.nonzero_cpu, self.nonzero_memory, *self.requests.items())
        self.host_ports = _host_ports(spec)
        wanted = spec.get("affinity") or {}
        self.selector_shape: bytes = (
            encode_to_keep((spec.get("nodeSelector"), wanted.get("nodeAffinity")))
            if spec.get("nodeSelector") or wanted.get("nodeAffinity")
            else b""
        )
        tolerations = spec.get("tolerations")
        self.toleration_shape: bytes = encode_to_keep(tolerations) if tolerations else b"[]"
        self.affinity_terms: tuple[Term, ...] = ()
        self.anti_affinity_terms: tuple[Term, ...] = ()
        self.preferred_terms: tuple[WeightedTerm, ...] = ()
        if "podAffinity" in wanted or "podAntiAffinity" in wanted:
            self._read_pod_affinity(pod)
        self.volumes: list[Object] = [volume for volume in spec.get("volumes") or () if not _is_plain(volume)]
        self.node = -1  # where `Nodes` has it, -1: nowhere

    def renewed(self, pod: Object) -> PodInfo:
        """The same pod with other labels, or on its way out; nothing else of it has changed."""
        fresh = copy.copy(self)
        fresh.pod, fresh.node = pod, -1
        fresh.kind = kind_of(pod["metadata"])
        return fresh

    def _read_pod_affinity(self, pod: Object) -> None:
        own = self.namespace
        self.affinity_terms = tuple(term_of(term, own) for term in affinity.required_pod_affinity(pod))
        self.anti_affinity_terms = tuple(
            term_of(term, own) for term in affinity.required_pod_anti_affinity(pod)
        )
        near = [
            WeightedTerm(term_of(item["podAffinityTerm"], own), item.get("weight") or 0)
            for item in affinity.preferred_pod_affinity(pod)
        ]
        far = [
            WeightedTerm(term_of(item["podAffinityTerm"], own), -(item.get("weight") or 0))
            for item in affinity.preferred_pod_anti_affinity(pod)
        ]
        self.preferred_terms = (*near, *far)

    @property
    def labels(self) -> Object:
        """The pod's labels."""
        return self.pod["metadata"].get("labels") or {}

    def __repr__(self) -> str:
        return f"PodInfo({self.namespace}/{self.name})"


def kind_of(metadata: Object) -> PodKind:
    """The kind of a pod, from its metadata."""
    pairs = tuple(sorted((metadata.get("labels") or {}).items()))
    return PodKind(metadata.get("namespace") or "", pairs, "deletionTimestamp" in metadata)


_PLAIN_VOLUMES = ("projected", "configMap", "secret", "emptyDir", "hostPath", "downwardAPI", "image")


def _is_plain(volume: Object) -> bool:
    """A volume that is available on every node, such as the service account's token."""
    return any(kind in volume for kind in _PLAIN_VOLUMES)


def _nonzero(spec: Object, requests: dict[str, int]) -> tuple[int, int]:
    containers = spec.get("containers") or ()
    if len(containers) == 1 and not spec.get("initContainers") and not spec.get("overhead"):
        return requests.get("cpu") or DEFAULT_CPU, requests.get("memory") or DEFAULT_MEMORY
    return _filled_up(containers, requests, "cpu", DEFAULT_CPU), _filled_up(
        containers, requests, "memory", DEFAULT_MEMORY
    )


def _filled_up(containers: Sequence[Object], requests: dict[str, int], resource: str, default: int) -> int:
    """The pod's effective request, with the default for each container that asks for nothing."""
    silent = sum(
        1 for c in containers if not ((c.get("resources") or {}).get("requests") or {}).get(resource)
    )
    return requests.get(resource, 0) + silent * default


def _host_ports(spec: Object) -> tuple[HostPort, ...]:
    return tuple(
        HostPort(port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", port["hostPort"])
        for container in (*(spec.get("containers") or ()), *_sidecars(spec))
        if "ports" in container
        for port in container["ports"] or ()
        if port.get("hostPort")
    )


def _sidecars(spec: Object) -> tuple[Object, ...]:
    return tuple(c for c in spec.get("initContainers") or () if resources.is_restartable_init(c))


def term_of(term: Object, own_namespace: str) -> Term:
    """A `PodAffinityTerm` as a value."""
    return _term(encode_to_keep(term), own_namespace)


@lru_cache(maxsize=4096)
def _term(text: bytes, own_namespace: str) -> Term:
    term = orjson.loads(text)
    names = frozenset(term.get("namespaces") or ())
    namespace_selector = term.get("namespaceSelector")
    if not names and namespace_selector is None:
        names = frozenset((own_namespace,))
    return Term(
        topology_key=term.get("topologyKey") or "",
        namespaces=names,
        namespace_selector=None
        if namespace_selector is None
        else labels.from_label_selector(namespace_selector),
        selector=labels.from_label_selector(term.get("labelSelector")),
    )
