"""Which pods of a node a drain takes away, which it leaves, which it refuses to touch; and how they go.

Source: https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kubarium.api.core.pod import status
from kubarium.api.core.pod.static import is_mirror
from kubarium.apimachinery.errors import NotFound, StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.apimachinery.owners import controller_of
from kubarium.client.rest import Client
from kubarium.component_base.options import format_duration, parse_duration
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl.session import say, warn

PATIENCE = 5.0  # seconds between two tries, when a disruption budget refuses
# Why a pod may not simply go, and the flag that lets it.
FROM_DAEMON_SET = "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"
HAS_LOCAL_STORAGE = "cannot delete Pods with local storage (use --delete-emptydir-data to override)"
HAS_NO_CONTROLLER = "cannot delete Pods that declare no controller (use --force to override)"


class CannotDrain(Exception):
    """The node keeps some of its pods."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__(f"[{', '.join(reasons)}]" if len(reasons) > 1 else reasons[0])
        self.reasons = reasons


@dataclass(frozen=True)
class DrainOptions:
    """How far a drain goes."""

    ignore_daemonsets: bool = False
    delete_emptydir_data: bool = False
    force: bool = False
    disable_eviction: bool = False
    grace_period: int = -1
    timeout: float = 0.0  # seconds for a node; 0: no end
    pod_selector: str = ""
    dry_run: str = "none"

    @classmethod
    def of_flags(cls, timeout: str, **flags: object) -> DrainOptions:
        """From a command line."""
        return cls(timeout=float(parse_duration(timeout)), **flags)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Judgement:
    """What becomes of one pod."""

    goes: bool = False
    warning: str = ""
    refusal: str = ""


def judge(pod: Object, options: DrainOptions) -> Judgement:
    """May this pod be taken from its node?"""
    if is_mirror(pod):
        return Judgement()
    controller = controller_of(pod)
    if controller is not None and controller["kind"] == "DaemonSet":
        if options.ignore_daemonsets:
            return Judgement(warning="ignoring DaemonSet-managed Pods")
        return Judgement(refusal=FROM_DAEMON_SET)
    warning = ""
    if not status.is_terminal(pod):
        if any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ()):
            if not options.delete_emptydir_data:
                return Judgement(refusal=HAS_LOCAL_STORAGE)
            warning = "deleting Pods with local storage"
        if controller is None:
            if not options.force:
                return Judgement(refusal=HAS_NO_CONTROLLER)
            warning = "deleting Pods that declare no controller"
    return Judgement(goes=True, warning=warning)


class Drain:
    """Empties nodes."""

    def __init__(self, client: Client, options: DrainOptions) -> None:
        self._pods = client.resource("v1", "pods")
        self._options = options
        self._tried = options.dry_run == "server"

    async def run(self, node: str) -> None:
        """Take away all pods of a node and wait for their end. Raises CannotDrain."""
        listed = await self._pods.list(
            field_selector=f"spec.nodeName={node}", label_selector=self._options.pod_selector
        )
        going: list[Object] = []
        warnings: dict[str, list[str]] = {}
        refusals: dict[str, list[str]] = {}
        for pod in listed["items"]:
            said = judge(pod, self._options)
            full = f"{namespace_of(pod)}/{name_of(pod)}"
            if said.goes:
                going.append(pod)
            for text, places in ((said.warning, warnings), (said.refusal, refusals)):
                if text:
                    places.setdefault(text, []).append(full)
        if refusals:
            raise CannotDrain(_phrases(refusals))
        if warnings:
            warn(f"Warning: {'; '.join(_phrases(warnings))}")
        try:
            async with asyncio.timeout(self._options.timeout or None):
                await asyncio.gather(*(self._remove(pod) for pod in going))
        except TimeoutError as error:
            text = f"drain did not complete within {format_duration(self._options.timeout)}"
            raise CannotDrain([text]) from error

    async def _remove(self, pod: Object) -> None:
        name, namespace = name_of(pod), namespace_of(pod)
        grace = self._options.grace_period if self._options.grace_period >= 0 else None
        verb = "deleting" if self._options.disable_eviction else "evicting"
        say(dry.told(f"{verb} pod {namespace}/{name}", self._options.dry_run))
        if self._options.dry_run == "client":
            return
        try:
            if self._options.disable_eviction:
                await self._pods.delete(name, namespace, grace_period_seconds=grace, dry_run=self._tried)
            else:
                await self._evict(name, namespace, grace)
        except NotFound:
            return
        if self._tried:
            return
        await self._gone(pod)
        say(f"pod/{name} {'deleted' if self._options.disable_eviction else 'evicted'}")

    async def _evict(self, name: str, namespace: str, grace: int | None) -> None:
        options = {} if grace is None else {"deleteOptions": {"gracePeriodSeconds": grace}}
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, **options}
        while True:
            try:
                await self._pods.create(
                    body, namespace, name=name, subresource="eviction", dry_run=self._tried
                )
                return
            except StatusError as error:
                if error.code != 429:
                    raise
                warn(
                    f'error when evicting pods/"{name}" -n "{namespace}" (will retry after {PATIENCE:.0f}s): '
                    f"{error.message}"
                )
            await asyncio.sleep(PATIENCE)

    async def _gone(self, pod: Object) -> None:
        while True:
            try:
                found = await self._pods.get(name_of(pod), namespace_of(pod))
            except NotFound:
                return
            if found["metadata"]["uid"] != pod["metadata"]["uid"]:
                return
            await asyncio.sleep(0.5)


def _phrases(texts: dict[str, list[str]]) -> list[str]:
    return [f"{text}: {', '.join(pods)}" for text, pods in texts.items()]
