"""A filter, a ranking or a binder over HTTP.

Source: https://github.com/kubernetes/design-proposals-archive/blob/main/scheduling/scheduler_extender.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from kubarium.api.core.pod import resources
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from kubarium.component_base.options import parse_duration
from scheduler.framework.columns import Mask
from scheduler.framework.interface import Scores
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

HIGHEST_PRIORITY = 10.0  # what an extender gives at most


class ExtenderError(Exception):
    """The extender did not answer, or said that it failed."""


class ExtenderRefusal(NamedTuple):
    """Nodes that an extender rules out for one reason."""

    reason: str
    resolvable: bool
    nodes: Mask


class Extender:
    """One entry of `extenders` in the configuration."""

    def __init__(self, settings: Object) -> None:
        self.name: str = settings["urlPrefix"]
        self.ignorable = bool(settings.get("ignorable"))
        self.weight = float(settings.get("weight") or 1)
        self._verbs = {
            verb: settings.get(f"{verb}Verb") or "" for verb in ("filter", "prioritize", "bind", "preempt")
        }
        self._by_name = bool(settings.get("nodeCacheCapable"))
        self._managed = {entry["name"] for entry in settings.get("managedResources") or ()}
        timeout = settings.get("httpTimeout")
        self._timeout = float(parse_duration(timeout) if isinstance(timeout, str) else 30.0)
        tls = settings.get("tlsConfig") or {}
        self._client = Client(
            ClientConfig(
                server=self.name.rstrip("/"),
                ca_file=tls.get("caFile") or "",
                cert_file=tls.get("certFile") or "",
                key_file=tls.get("keyFile") or "",
                insecure_skip_tls_verify=bool(tls.get("insecure")),
            ),
            user_agent="kube-scheduler",
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()

    def filters(self, pod: PodInfo) -> bool:
        """Does it want to filter nodes for this pod?"""
        return bool(self._verbs["filter"]) and self._is_interested(pod)

    def prioritizes(self, pod: PodInfo) -> bool:
        """Does it want to rank nodes for this pod?"""
        return bool(self._verbs["prioritize"]) and self._is_interested(pod)

    def binds(self, pod: PodInfo) -> bool:
        """Does it bind this pod?"""
        return bool(self._verbs["bind"]) and self._is_interested(pod)

    def _is_interested(self, pod: PodInfo) -> bool:
        """Without managed resources: always. Else only for pods that name one."""
        if not self._managed:
            return True
        named = {*resources.requests_of(pod.pod), *resources.limits_of(pod.pod)}
        return bool(named & self._managed)

    async def filter(self, pod: PodInfo, nodes: Nodes, feasible: Mask) -> list[ExtenderRefusal]:
        """The nodes it refuses, with reasons."""
        answer = await self._post("filter", self._arguments(pod, nodes, feasible))
        if answer.get("error"):
            raise ExtenderError(answer["error"])
        if self._by_name and answer.get("nodenames") is not None:
            kept = set(answer["nodenames"])
        else:
            kept = {node["metadata"]["name"] for node in (answer.get("nodes") or {}).get("items") or ()}
        return list(_refusals(answer, kept, nodes, feasible))

    async def prioritize(self, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        """Its scores, scaled and weighted; none if it fails."""
        scores = np.zeros(nodes.length)
        try:
            answer = await self._post("prioritize", self._arguments(pod, nodes, feasible))
        except ExtenderError:
            return scores  # ranking is advice: upstream goes on without it
        for entry in answer:
            place = nodes.index.get(entry["host"])
            if place is not None:
                scores[place] = entry["score"] * self.weight * (100.0 / HIGHEST_PRIORITY)
        return scores

    async def bind(self, pod: PodInfo, node: str) -> None:
        """Let it bind the pod."""
        body = {"podName": pod.name, "podNamespace": pod.namespace, "podUID": pod.uid, "node": node}
        answer = await self._post("bind", body)
        if answer.get("error"):
            raise ExtenderError(answer["error"])

    def _arguments(self, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Object:
        infos = [
            info for info in (nodes.infos[place] for place in np.flatnonzero(feasible)) if info is not None
        ]
        if self._by_name:
            return {"pod": pod.pod, "nodes": None, "nodenames": [info.name for info in infos]}
        items = [info.node for info in infos]
        return {"pod": pod.pod, "nodes": {"metadata": {}, "items": items}, "nodenames": None}

    async def _post(self, verb: str, body: Object) -> Any:
        path = "/" + self._verbs[verb]
        try:
            return await self._client.request("POST", path, body=body, timeout=self._timeout)
        except (StatusError, ConnectionError, TimeoutError) as error:
            raise ExtenderError(f"{self.name}{path}: {error or type(error).__name__}") from error


def _refusals(answer: Object, kept: set[str], nodes: Nodes, feasible: Mask) -> Iterator[ExtenderRefusal]:
    failed = answer.get("failedNodes") or {}
    final = answer.get("failedAndUnresolvableNodes") or {}
    by_reason: dict[tuple[str, bool], list[int]] = {}
    for place in np.flatnonzero(feasible):
        name = nodes.name_of(int(place))
        if name in kept:
            continue
        if name in final:
            reason = (final[name], False)
        else:
            reason = (failed.get(name) or "node(s) didn't satisfy extender", True)
        by_reason.setdefault(reason, []).append(int(place))
    for (text, resolvable), places in by_reason.items():
        yield ExtenderRefusal(text, resolvable, nodes.mask_of(places))
