"""A control plane in memory: a fake API server, the controllers that a test names, and a pretended kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from controller_manager.app import Manager
from controller_manager.options import Options
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, is_deleting
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock


class Cluster:
    """What a test talks to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.api = FakeAPI(clock=self.clock)
        self.api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        self.manager: Manager | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, *controllers: str, **options: Any) -> None:
        """Run these controllers."""
        flags = Options(controllers=controllers, **options)
        self.manager = Manager(self.api.client(), flags, self.clock)
        self._task = asyncio.ensure_future(self.manager.lead())
        await self.settle()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and self._task.exception() is not None:
                raise self._task.exception()  # type: ignore[misc]

    async def settle(self, seconds: float = 0.0) -> None:
        """Let everybody work until nothing changes any more; then turn the clock."""
        for _ in range(200):
            before = self.api._newest
            for _ in range(30):
                await asyncio.sleep(0)
            await self.clock.advance(0.01)
            if self.api._newest == before:
                break
        if seconds:
            await self.clock.advance(seconds)
            await self.settle()

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(300):
            if condition():
                return
            await self.settle()
        raise AssertionError("it did not come about")

    def pods(self) -> list[Object]:
        return self.api.objects("v1", "pods")

    def run_pods(self, ready: bool = True) -> None:
        """The kubelet's part: what is pending runs, what is being deleted goes."""
        for pod in self.pods():
            if is_deleting(pod):
                self.api.remove("v1", "pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
            elif (pod.get("status") or {}).get("phase") in (None, "Pending"):
                self.set_pod(pod, "Running", ready)

    def set_pod(self, pod: Object, phase: str, ready: bool = True) -> None:
        now = time.format_time(self.clock.now())
        pod["spec"].setdefault("nodeName", "node-1")
        address = f"10.244.0.{self.api._newest % 250 + 1}"
        pod["status"] = {
            **(pod.get("status") or {}),
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": now}
            ],
        }
        self.api.put(pod)

    def events(self, reason: str) -> list[str]:
        found = self.api.objects("v1", "events")
        return [event["message"] for event in found if event["reason"] == reason]


def template(app: str = "web", image: str = "web:1", **spec: Any) -> Object:
    """A pod template."""
    return {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }
