"""A filter, a ranking, a binder or a second opinion on preemption over HTTP.

The fields of requests and answers have the names of upstream's Go structs (`Pod`, `NodeNames`, `FailedNodes`); answers
are read whatever their case, as Go does.
Source: https://github.com/kubernetes/kubernetes/tree/master/staging/src/k8s.io/kube-scheduler/extender/v1
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

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
TIMEOUT = 5.0  # seconds


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
        self._timeout = float(parse_duration(timeout) if isinstance(timeout, str) else TIMEOUT)
        tls = settings.get("tlsConfig") or {}
        unchecked = bool(settings.get("enableHTTPS")) and not (tls.get("caFile") or tls.get("caData"))
        self._client = Client(
            ClientConfig(
                server=self.name.rstrip("/"),
                ca_file=tls.get("caFile") or "",
                ca_data=_decoded(tls, "caData"),
                cert_file=tls.get("certFile") or "",
                cert_data=_decoded(tls, "certData"),
                key_file=tls.get("keyFile") or "",
                key_data=_decoded(tls, "keyData"),
                insecure_skip_tls_verify=bool(tls.get("insecure")) or unchecked,
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

    def has_say_in_preemption(self, pod: PodInfo) -> bool:
        """Does it want to look at victims?"""
        return bool(self._verbs["preempt"]) and self._is_interested(pod)

    def _is_interested(self, pod: PodInfo) -> bool:
        """Without managed resources: always. Else only for pods that name one."""
        if not self._managed:
            return True
        named = {*resources.requests_of(pod.pod), *resources.limits_of(pod.pod)}
        return bool(named & self._managed)

    async def filter(self, pod: PodInfo, nodes: Nodes, feasible: Mask) -> list[ExtenderRefusal]:
        """The nodes it refuses, with reasons."""
        answer = _folded(await self._post("filter", self._arguments(pod, nodes, feasible)))
        if answer.get("error"):
            raise ExtenderError(answer["error"])
        if self._by_name and answer.get("nodenames") is not None:
            kept = list(answer["nodenames"])
        else:
            kept = [node["metadata"]["name"] for node in (answer.get("nodes") or {}).get("items") or ()]
        for name in kept:
            if name not in nodes.index or not feasible[nodes.index[name]]:
                raise ExtenderError(
                    f'extender "{self.name}" claims a filtered node "{name}" which is not found in the input node list'
                )
        return list(_refusals(answer, set(kept), nodes, feasible))

    async def prioritize(self, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        """Its scores, scaled and weighted; none if it fails."""
        scores = np.zeros(nodes.length)
        try:
            answer = await self._post("prioritize", self._arguments(pod, nodes, feasible))
        except ExtenderError:
            return scores  # ranking is advice: upstream goes on without it
        for entry in map(_folded, answer or ()):
            place = nodes.index.get(entry["host"])
            if place is not None:
                scores[place] = entry["score"] * self.weight * (100.0 / HIGHEST_PRIORITY)
        return scores

    async def bind(self, pod: PodInfo, node: str) -> None:
        """Let it bind the pod."""
        body = {"PodName": pod.name, "PodNamespace": pod.namespace, "PodUID": pod.uid, "Node": node}
        answer = _folded(await self._post("bind", body))
        if answer.get("error"):
            raise ExtenderError(answer["error"])

    async def preempt(
        self, pod: PodInfo, victims: Mapping[str, tuple[Sequence[PodInfo], int]]
    ) -> dict[str, list[str]]:
        """`victims`: per node who would have to go, and how many budgets that breaks. Which of these nodes, and whose
        uids, it agrees to.
        """
        body: Object = {"Pod": pod.pod, "NodeNameToVictims": None, "NodeNameToMetaVictims": None}
        if self._by_name:
            body["NodeNameToMetaVictims"] = {
                node: {"Pods": [{"UID": victim.uid} for victim in pods], "NumPDBViolations": violations}
                for node, (pods, violations) in victims.items()
            }
        else:
            body["NodeNameToVictims"] = {
                node: {"Pods": [victim.pod for victim in pods], "NumPDBViolations": violations}
                for node, (pods, violations) in victims.items()
            }
        answer = _folded(await self._post("preempt", body))
        agreed = answer.get("nodenametometavictims") or {}
        return {
            node: [_folded(one)["uid"] for one in _folded(entry or {}).get("pods") or ()]
            for node, entry in agreed.items()
        }

    def _arguments(self, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Object:
        infos = [
            info for info in (nodes.infos[place] for place in np.flatnonzero(feasible)) if info is not None
        ]
        if self._by_name:
            return {"Pod": pod.pod, "Nodes": None, "NodeNames": [info.name for info in infos]}
        items = [info.node for info in infos]
        return {"Pod": pod.pod, "Nodes": {"metadata": {}, "items": items}, "NodeNames": None}

    async def _post(self, verb: str, body: Object) -> Any:
        path = "/" + self._verbs[verb]
        try:
            answer = await self._client.fetch("POST", path, body=body, timeout=self._timeout)
            return orjson.loads(
                answer.content
            )  # whatever it calls itself: Go's servers say text/plain by default
        except orjson.JSONDecodeError as error:
            raise ExtenderError(
                f"the answer of {self.name.rstrip('/')}{path} is not JSON: {error}"
            ) from error
        except StatusError as error:
            where = self.name.rstrip("/") + path
            raise ExtenderError(
                f"failed {self._verbs[verb]} with extender at URL {where}, code {error.code}"
            ) from error
        except (ConnectionError, TimeoutError) as error:
            text = str(error) or "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise ExtenderError(f'Post "{self.name.rstrip("/")}{path}": {text}') from error


def _folded(answer: Any) -> Object:
    """An object whose field names are lower case."""
    return {key.lower(): value for key, value in answer.items()} if isinstance(answer, dict) else {}


def _decoded(tls: Object, name: str) -> bytes:
    return base64.b64decode(tls.get(name) or "")


def _refusals(answer: Object, kept: set[str], nodes: Nodes, feasible: Mask) -> Iterator[ExtenderRefusal]:
    failed = answer.get("failednodes") or {}
    final = answer.get("failedandunresolvablenodes") or {}
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
