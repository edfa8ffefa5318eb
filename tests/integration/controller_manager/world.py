"""A controller manager beside a real API server, and a pretended kubelet that runs whatever is bound."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from kubarium.apimachinery import errors
from kubarium.apimachinery import time as times
from kubarium.apimachinery.object import Object, is_deleting, name_of, namespace_of
from kubarium.client.rest import Client
from kubarium.component_base.clock import RealClock
from tests.integration.running import ApiServer, Child

SECONDS = 90.0

Finish = str | Callable[[Object], str]
"""In which phase a pod ends; nothing: it goes on."""

Ready = bool | Callable[[Object], bool]
"""Which running pods are ready."""

LONG_AGO = "2020-01-01T00:00:00Z"


class ControllerManager:
    """`python -m controller_manager` with its own credentials, each controller as its own account."""

    def __init__(self, folder: Path, server: ApiServer, *flags: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._server, self._flags = folder, server, flags
        self.child: Child | None = None

    def start(self) -> None:
        credentials = self._server.credentials
        credentials.ca.pair.write(credentials.path("ca.crt"), credentials.path("ca.key"))
        kubeconfig = self._server.kubeconfig("system:kube-controller-manager", ())
        path = credentials.path
        command = [
            sys.executable, "-m", "controller_manager", f"--kubeconfig={kubeconfig}",
            "--use-service-account-credentials", "--secure-port=0", "-v2",
            f"--root-ca-file={path('ca.crt')}", f"--service-account-private-key-file={path('sa.key')}",
            f"--cluster-signing-cert-file={path('ca.crt')}", f"--cluster-signing-key-file={path('ca.key')}",
            "--allocate-node-cidrs", "--cluster-cidr=10.244.0.0/16", "--service-cluster-ip-range=10.96.0.0/12",
            "--horizontal-pod-autoscaler-sync-period=1s", *self._flags,
        ]  # fmt: skip
        self.child = Child(command, self.folder / "controller-manager.log")

    def stop(self) -> int:
        return self.child.stop() if self.child is not None else 0


class World:
    """What a story talks to: one namespace of a running cluster without real nodes."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace

    def resource(self, api_version: str, plural: str):  # type: ignore[no-untyped-def]
        return self.client.resource(api_version, plural)

    async def create(self, obj: Object) -> Object:
        """Store an object in the namespace."""
        plural = PLURALS.get(obj["kind"], obj["kind"].lower() + "s")
        obj = {**obj, "metadata": {"namespace": self.namespace, **obj["metadata"]}}
        return await self.client.resource(obj["apiVersion"], plural).create(obj)

    async def get(self, api_version: str, plural: str, name: str) -> Object:
        return await self.client.resource(api_version, plural).get(name, self.namespace)

    async def list(self, api_version: str, plural: str, selector: str = "") -> list[Object]:
        found = await self.client.resource(api_version, plural).list(self.namespace, label_selector=selector)
        items: list[Object] = found["items"]
        return items

    async def patch(self, api_version: str, plural: str, name: str, patch: Object) -> Object:
        return await self.client.resource(api_version, plural).patch(name, patch, self.namespace)

    async def delete(self, api_version: str, plural: str, name: str, **options: Any) -> None:
        await self.client.resource(api_version, plural).delete(name, self.namespace, **options)

    async def report(self, name: str, **status: object) -> Object:
        """Write into a pod's status, as its kubelet does."""
        pods = self.client.resource("v1", "pods")
        return await pods.patch(name, {"status": status}, self.namespace, subresource="status")

    async def pods(self, selector: str = "") -> list[Object]:
        return await self.list("v1", "pods", selector)

    async def events(self, reason: str) -> list[str]:
        return [e["message"] for e in await self.list("v1", "events") if e.get("reason") == reason]

    async def told(self, reason: str, *texts: str) -> None:
        """Wait until events with this reason say exactly this; they come after what they tell of."""

        async def said() -> bool:
            return set(await self.events(reason)) == set(texts)

        await self.until(said)

    async def hears(self, reason: str, text: str) -> None:
        """Wait until one of the events with this reason says this, among other things."""

        async def said() -> bool:
            return any(text in message for message in await self.events(reason))

        await self.until(said)

    async def kubelet(self, *, ready: Ready = True, finish: Finish = "") -> None:
        """One round: what waits runs (or ends, in phase `finish`), what is being deleted goes."""
        resource = self.client.resource("v1", "pods")
        now = times.format_time(RealClock().now())
        for pod in await self.pods():
            try:
                if is_deleting(pod):
                    await resource.delete(name_of(pod), namespace_of(pod), grace_period_seconds=0)
                elif pod["status"].get("phase") == "Pending":
                    phase = finish(pod) if callable(finish) else finish
                    is_ready = ready(pod) if callable(ready) else ready
                    await self.report(name_of(pod), **running_status(now, is_ready, phase))
            except (errors.NotFound, errors.Conflict):
                continue

    async def until(
        self,
        condition: Callable[[], Awaitable[bool]],
        *,
        kubelet: bool = False,
        finish: Finish = "",
        ready: Ready = True,
    ) -> None:
        """Wait for something to come about, with or without a kubelet at work."""
        deadline = time.monotonic() + SECONDS
        while True:
            if kubelet:
                await self.kubelet(finish=finish, ready=ready)
            try:
                if await condition():
                    return
            except errors.NotFound:
                pass
            if time.monotonic() > deadline:
                raise AssertionError("it did not come about")
            await asyncio.sleep(0.05)


def running_status(now: str, ready: bool, finish: str) -> Object:
    """What a kubelet reports. What has ended ended long ago, so that nobody waits before he tries again."""
    return {
        "phase": finish or "Running",
        "podIP": "10.244.0.7",
        "podIPs": [{"ip": "10.244.0.7"}],
        "startTime": now,
        "conditions": [readiness(ready and not finish, LONG_AGO if finish else now)],
    }


def readiness(ready: bool, since: str = LONG_AGO) -> Object:
    """The condition Ready."""
    return {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}


def exited(code: int, **more: object) -> Object:
    """What a kubelet reports of a pod whose container ended with an exit code."""
    terminated = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": LONG_AGO}
    container = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0, **more}
    container["state"] = {"terminated": terminated}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}


PLURALS = {"Endpoints": "endpoints", "NetworkPolicy": "networkpolicies"}


def template(app: str = "web", image: str = "web:1", **spec: object) -> Object:
    """A pod template."""
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }


def workload(kind: str, name: str = "web", replicas: int | None = 2, **spec: object) -> Object:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet."""
    found: Object = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template(name), **spec},
    }
    if replicas is not None:
        found["spec"]["replicas"] = replicas
    return found


def job(name: str = "work", **spec: object) -> Object:
    """A Job whose pods end for good."""
    pod = template(restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": pod, **spec},
    }
