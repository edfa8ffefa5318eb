"""Which pods a selector means: kept up to date pod by pod, so that nobody matches all pods again for each change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from addons.network_policy.leases import Lease
from kubarium.api.core.pod import static
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import Object, ObjectKey, annotations_of, key_of, labels_of, spec_of

IPV4, IPV6 = "ip", "ip6"  # families of addresses, as nft calls them


@dataclass(frozen=True, slots=True)
class Pod:
    """What policies ask of a pod."""

    key: ObjectKey
    labels: Mapping[str, str]
    address: str
    node: str
    ports: tuple[tuple[str, str, int], ...] = ()  # name, protocol, number

    def numbers(self, name: str, protocol: str) -> list[int]:
        """The ports of that name."""
        return [number for its_name, its, number in self.ports if (its_name, its) == (name, protocol)]


def is_of(family: str, address: str) -> bool:
    """Is it an address, or a range, of this family?"""
    return (":" in address) == (family == IPV6)


def pod_of(obj: Object, leased: Iterable[str] = (), family: str = IPV4) -> Pod | None:
    """The pod as policies see it; None while it has no address of the family, or no use for it any more."""
    spec, status = spec_of(obj), obj.get("status") or {}
    addresses = [*leased, status.get("podIP"), *(each.get("ip") for each in status.get("podIPs") or [])]
    address = next((address for address in addresses if address and is_of(family, address)), None)
    if address is None or spec.get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    ports = tuple(
        (port["name"], port.get("protocol") or "TCP", port["containerPort"])
        for container in containers
        for port in container.get("ports") or []
        if port.get("name")
    )
    return Pod(key_of(obj), labels_of(obj), address, spec.get("nodeName") or "", ports)


@dataclass(frozen=True, slots=True)
class Peers:
    """Pods of one namespace, or of all namespaces that a selector matches."""

    pods: Selector
    namespace: str = ""
    namespaces: Selector | None = None

    def __str__(self) -> str:
        where = self.namespace if self.namespaces is None else f"({self.namespaces})"
        return f"{where}/({self.pods})"


class Members:
    """All pods with an address of a family, and which of them are meant by the selectors that somebody asked for."""

    def __init__(self, family: str = IPV4) -> None:
        self.family = family
        self._objects: dict[ObjectKey, Object] = {}
        self._leases: dict[ObjectKey, list[Lease]] = {}  # the newest last
        self._pods: dict[ObjectKey, Pod] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._known: dict[Peers, dict[ObjectKey, Pod]] = {}

    def put_pod(self, obj: Object) -> bool:
        """A pod appeared or changed; True if that means anything to policies."""
        key = key_of(obj)
        self._objects[key] = obj
        return self._place(key)

    def remove_pod(self, obj: Object) -> bool:
        """A pod is gone."""
        key = key_of(obj)
        self._objects.pop(key, None)
        return self._place(key)

    def put_lease(self, lease: Lease) -> bool:
        """A pod has got an address, which its status does not tell yet."""
        self._leases.setdefault(lease.pod, []).append(lease)
        return self._place(lease.pod)

    def remove_lease(self, lease: Lease) -> bool:
        """A pod has given an address back."""
        left = self._leases[lease.pod]
        left.remove(lease)
        if not left:
            del self._leases[lease.pod]
        return self._place(lease.pod)

    def put_namespace(self, obj: Object) -> bool:
        """A namespace appeared or got other labels."""
        name, labels = obj["metadata"]["name"], labels_of(obj)
        if self._namespaces.get(name) == labels:
            return False
        self._namespaces[name] = labels
        self._sort_namespace(name)
        return True

    def remove_namespace(self, obj: Object) -> bool:
        """A namespace is gone."""
        self._namespaces.pop(obj["metadata"]["name"], None)
        return True

    @property
    def are_any(self) -> bool:
        """Is there any such pod?"""
        return bool(self._pods)

    def of(self, peers: Peers) -> Iterable[Pod]:
        """Who is meant. From now on this is kept up to date."""
        if peers not in self._known:
            found = self._known[peers] = {}
            for pod in self._pods.values():
                self._sort(pod, peers, found)
        return self._known[peers].values()

    def on(self, node: str) -> list[Pod]:
        """The pods of a node."""
        return [pod for pod in self._pods.values() if pod.node == node]

    def keep_only(self, used: Iterable[Peers]) -> None:
        """Forget the selectors that no policy uses any more."""
        for peers in self._known.keys() - set(used):
            del self._known[peers]

    def _place(self, key: ObjectKey) -> bool:
        """Bring in line what is known of a pod; True if that means anything to policies."""
        obj = self._objects.get(key)
        pod = None if obj is None else pod_of(obj, self._leased(obj), self.family)
        if self._pods.get(key) == pod:
            return False
        if pod is None:
            del self._pods[key]
            for found in self._known.values():
                found.pop(key, None)
            return True
        self._pods[key] = pod
        for peers, found in self._known.items():
            self._sort(pod, peers, found)
        return True

    def _leased(self, obj: Object) -> tuple[str, ...]:
        """The addresses that the pod has now: another one of its name, or on another node, has another uid."""
        uid = annotations_of(obj).get(static.HASH) or obj["metadata"].get("uid")
        mine = (uid, spec_of(obj).get("nodeName"))
        leases = self._leases.get(key_of(obj)) or ()
        return next((one.addresses for one in reversed(leases) if (one.uid, one.node) == mine), ())

    def _sort_namespace(self, name: str) -> None:
        pods = [pod for pod in self._pods.values() if pod.key.namespace == name]
        for peers, found in self._known.items():
            if peers.namespaces is not None:
                for pod in pods:
                    self._sort(pod, peers, found)

    def _sort(self, pod: Pod, peers: Peers, found: dict[ObjectKey, Pod]) -> None:
        if self._is_meant(pod, peers):
            found[pod.key] = pod
        else:
            found.pop(pod.key, None)

    def _is_meant(self, pod: Pod, peers: Peers) -> bool:
        if peers.namespaces is None:
            here = pod.key.namespace == peers.namespace
        else:
            labels = self._namespaces.get(pod.key.namespace)
            here = labels is not None and peers.namespaces.matches(labels)
        return here and peers.pods.matches(pod.labels)
