"""Warn of pods that want the same volume with different SELinux labels: on one node only one of them could use it.

    pods that mount claims ──▶ (volume, label, policy) of each ──▶ others of the same volume that differ
                                                                     ──▶ an event for both, and a metric

Nothing is changed. All pods that have not ended count, wherever they run and whether they ever will. Only volumes of
CSI drivers that mount with a label (`seLinuxMount`) can conflict by label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from controller_manager import metrics
from kubarium.api.core import persistent_volume
from kubarium.api.core.pod import claims, se_linux
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.object import Object, ObjectKey, key_of, name_of, namespace_of, spec_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Labels

CLAIM = "claim"


class Use(NamedTuple):
    """How a pod uses a volume."""

    label: str
    policy: str


@dataclass
class Volume:
    """A volume, and who uses it how."""

    driver: str
    uses: dict[ObjectKey, Use] = field(default_factory=dict)


class Conflict(NamedTuple):
    """Two pods differ in an attribute; this is the side of the first."""

    attribute: str
    pod: ObjectKey
    value: str
    other: ObjectKey
    other_value: str

    @property
    def message(self) -> str:
        """What the first pod is told. Another namespace is not told of."""
        end = "If both pods land on the same node, only one of them may access the volume."
        if self.pod.namespace == self.other.namespace:
            return (
                f'{self.attribute} "{self.value}" conflicts with pod {self.other.name} that uses the same volume as '
                f'this pod with {self.attribute} "{self.other_value}". {end}'
            )
        return (
            f'{self.attribute}"{self.value}" conflicts with another pod that uses the same volume as this pod with '
            f"a different {self.attribute}. {end}"
        )


def conflicts_of(pod: ObjectKey, volume: Volume) -> Iterator[Conflict]:
    """Where a pod differs from the others that use a volume."""
    mine = volume.uses[pod]
    for other, theirs in volume.uses.items():
        if other == pod:
            continue
        if mine.policy != theirs.policy:
            yield Conflict("SELinuxChangePolicy", pod, mine.policy, other, theirs.policy)
        if se_linux.conflict(mine.label, theirs.label):
            yield Conflict("SELinuxLabel", pod, mine.label, other, theirs.label)


class SELinuxWarningController(Controller):
    """Keeps book of volumes and their pods."""

    name = "selinux-warning-controller"
    queue_name = "selinux_warning"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock, events: EventRecorder) -> None:
        self.events = events
        pods = informers.informer("v1", "pods")
        pods.add_index(CLAIM, lambda pod: [f"{namespace_of(pod)}/{name}" for name in claims.names_in(pod)])
        self.pods = pods.lister
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.volumes = informers.informer("v1", "persistentvolumes").lister
        self.drivers = informers.informer("storage.k8s.io/v1", "csidrivers").lister
        self._known: dict[str, Volume] = {}  # by unique name
        metrics.SELINUX_CONFLICTS.read = self._readings
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            # What matters here of a pod never changes, but for its end.
            Watch("v1", "pods", keys=_if_it_mounts_claims, changed=_has_ended),
            Watch("v1", "persistentvolumeclaims", keys=self._pods_of_claim, changed=_bound_anew),
            Watch("v1", "persistentvolumes", keys=self._pods_of_volume, changed=_claimed_anew),
            Watch("storage.k8s.io/v1", "csidrivers", keys=self._pods_of_driver, changed=_mounts_otherwise),
        ]

    def _pods_of_claim(self, claim: Object) -> Iterable[ObjectKey]:
        if not spec_of(claim).get("volumeName"):
            return ()
        return [key_of(pod) for pod in self.pods.by_index(CLAIM, str(key_of(claim)))]

    def _pods_of_volume(self, volume: Object) -> Iterable[ObjectKey]:
        claim = spec_of(volume).get("claimRef") or {}
        if not claim.get("uid"):
            return ()
        return [key_of(pod) for pod in self.pods.by_index(CLAIM, f"{claim['namespace']}/{claim['name']}")]

    def _pods_of_driver(self, driver: Object) -> Iterable[ObjectKey]:
        return {
            pod for volume in self._known.values() if volume.driver == name_of(driver) for pod in volume.uses
        }

    async def reconcile(self, key: ObjectKey) -> None:
        pod = self.pods.get(key)
        if pod is None or pod_status.is_terminal(pod):
            self._forget(key)
            return
        labels = se_linux.labels_by_volume(pod)
        for mount, claim_name in claims.by_volume(pod).items():
            if mount not in labels:
                continue
            volume = self._volume_of(ObjectKey(key.namespace, claim_name))
            if volume is None:
                continue
            if self._mounts_with_label(volume) and len(labels[mount]) > 1:
                text = f'Volume "{mount}" is mounted twice with different SELinux labels inside this pod'
                self.events.event(pod, "Warning", "MultipleSELinuxLabels", text)
                continue
            self._note(key, volume, self._use(pod, volume, labels[mount]))

    def _volume_of(self, claim: ObjectKey) -> Object | None:
        """The volume behind a claim, if it is a CSI driver's."""
        found = self.claims.get(claim)
        volume = self.volumes.get("", spec_of(found).get("volumeName") or "") if found is not None else None
        return volume if volume is not None and spec_of(volume).get("csi") else None

    def _mounts_with_label(self, volume: Object) -> bool:
        driver = self.drivers.get("", spec_of(volume)["csi"]["driver"])
        return driver is not None and bool(spec_of(driver).get("seLinuxMount"))

    def _use(self, pod: Object, volume: Object, labels: set[str]) -> Use:
        """Without a label to mount with, files are labelled one by one, whatever the policy says."""
        policy = se_linux.change_policy(pod)
        label = next(iter(labels), "") if self._mounts_with_label(volume) else ""
        if policy == se_linux.RECURSIVE or not label:
            return Use("", se_linux.RECURSIVE)
        return Use(label, policy)

    def _note(self, key: ObjectKey, volume: Object, use: Use) -> None:
        """Remember it, and tell both sides of what is new."""
        unique = persistent_volume.unique_name(volume)
        known = self._known.setdefault(unique, Volume(spec_of(volume)["csi"]["driver"]))
        if known.uses.get(key) == use:
            return
        known.uses[key] = use
        for conflict in conflicts_of(key, known):
            back = Conflict(
                conflict.attribute, conflict.other, conflict.other_value, conflict.pod, conflict.value
            )
            for side in (conflict, back):
                pod = self.pods.get(side.pod)
                if pod is not None:
                    self.events.event(pod, "Normal", f"{side.attribute}Conflict", side.message)

    def _forget(self, key: ObjectKey) -> None:
        for unique, volume in list(self._known.items()):
            volume.uses.pop(key, None)
            if not volume.uses:
                del self._known[unique]

    def _readings(self) -> Iterator[tuple[Labels, float]]:
        for volume in self._known.values():
            for pod in volume.uses:
                for one in conflicts_of(pod, volume):
                    labels = (one.attribute, *one.pod, one.value, *one.other, one.other_value)
                    yield labels, 1.0


def _if_it_mounts_claims(pod: Object) -> Iterable[ObjectKey]:
    return (key_of(pod),) if claims.names_in(pod) else ()


def _has_ended(old: Object, new: Object) -> bool:
    return pod_status.is_terminal(new) and not pod_status.is_terminal(old)


def _bound_anew(old: Object, new: Object) -> bool:
    return spec_of(old).get("volumeName") != spec_of(new).get("volumeName")


def _claimed_anew(old: Object, new: Object) -> bool:
    before, now = (spec_of(one).get("claimRef") or {} for one in (old, new))
    return before.get("uid") != now.get("uid")


def _mounts_otherwise(old: Object, new: Object) -> bool:
    return bool(spec_of(old).get("seLinuxMount")) != bool(spec_of(new).get("seLinuxMount"))
