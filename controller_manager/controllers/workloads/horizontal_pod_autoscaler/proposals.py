"""One metric of an autoscaler's wish → a number of replicas.

Each source ends in a `Proposal`, or in NoMetrics with the words that upstream uses: they are seen in the condition
ScalingActive and in events.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller_manager.controllers.workloads.horizontal_pod_autoscaler.metrics_client import MetricsClient
from kubarium.api.autoscaling import horizontal_pod_autoscaler as hpa
from kubarium.api.autoscaling.horizontal_pod_autoscaler import NoMetrics, Sample, Settings
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import labels, quantity
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of
from kubarium.client.lister import Lister
from kubarium.component_base.clock import Clock


@dataclass(frozen=True)
class Proposal:
    """What one metric asks for. `status` is its entry in `currentMetrics`."""

    replicas: int
    name: str
    status: Object


@dataclass(frozen=True)
class Question:
    """Who asks: an autoscaler, about the pods that its target's scale selects."""

    autoscaler: Object
    selector: str
    replicas: int  # that the target's scale wishes
    running: int  # that the target's scale reports

    @property
    def namespace(self) -> str:
        """Of the autoscaler, its target and its pods."""
        return namespace_of(self.autoscaler)


class Proposer:
    """Knows how each type of metric is asked for and weighed."""

    def __init__(self, metrics: MetricsClient, pods: Lister, clock: Clock, settings: Settings) -> None:
        self._metrics, self._pods, self._clock, self._settings = metrics, pods, clock, settings

    async def propose(self, question: Question, metric: Object) -> Proposal:
        """Replicas for one metric. Raises NoMetrics."""
        match metric["type"]:
            case "Resource":
                return await self._resource(question, metric["resource"], "")
            case "ContainerResource":
                source = metric["containerResource"]
                return await self._resource(question, source, source["container"])
            case "Pods":
                return await self._of_pods(question, metric["pods"])
            case "Object":
                return await self._of_object(question, metric["object"])
            case "External":
                return await self._external(question, metric["external"])
        raise NoMetrics(f'unknown metric source type "{metric["type"]}"')

    # ---- what pods use

    async def _resource(self, question: Question, source: Object, container: str) -> Proposal:
        resource, target = source["name"], source["target"]
        is_share = target.get("averageValue") is None
        try:
            samples = await self._metrics.of_resource(
                question.namespace, question.selector, resource, container
            )
            if is_share:
                goal = float(target["averageUtilization"])
                requests = _requests(self._selected(question), resource, container)
                weighed = self._weigh(question, samples, goal, resource, requests)
            else:
                goal = float(quantity.milli_value(target["averageValue"]))
                weighed = self._weigh(question, samples, goal, resource, None)
        except NoMetrics as error:
            what = "utilization" if is_share else "usage"
            raise NoMetrics(f"failed to get {resource} {what}: {error}") from error
        name = f"{resource} resource"
        current: Object = {"averageValue": quantity.of_milli(weighed.average)}
        if is_share:
            name += " utilization (percentage of request)"
            current["averageUtilization"] = weighed.percentage
        shown = {"name": resource, "current": current, **({"container": container} if container else {})}
        field = "containerResource" if container else "resource"
        return Proposal(weighed.replicas, name, {"type": field[0].upper() + field[1:], field: shown})

    async def _of_pods(self, question: Question, source: Object) -> Proposal:
        name = source["metric"]["name"]
        try:
            samples = await self._metrics.of_pods(question.namespace, question.selector, source["metric"])
        except NoMetrics as error:
            raise NoMetrics(f"unable to get metric {name}: {error}") from error
        goal = float(quantity.milli_value(source["target"]["averageValue"]))
        weighed = self._weigh(question, samples, goal, "", None)
        shown = {"metric": source["metric"], "current": {"averageValue": quantity.of_milli(weighed.average)}}
        return Proposal(weighed.replicas, f"pods metric {name}", {"type": "Pods", "pods": shown})

    def _weigh(
        self,
        question: Question,
        samples: Mapping[str, Sample],
        goal: float,
        resource: str,
        requests: Mapping[str, int] | None,
    ) -> hpa.Weighed:
        pods = self._selected(question)
        if not pods:
            raise NoMetrics("no pods returned by selector while calculating replica count")
        grouped = hpa.group_pods(pods, samples, resource, self._settings, self._clock.now())
        hidden = grouped.ignored | grouped.unready
        used = {name: sample.value for name, sample in samples.items() if name not in hidden}
        if not used:
            raise NoMetrics("did not receive metrics for targeted pods (pods might be unready)")
        tolerances = hpa.tolerances_of(question.autoscaler, self._settings.tolerance)
        return hpa.weigh(question.replicas, used, goal, requests, grouped, tolerances)

    def _selected(self, question: Question) -> list[Object]:
        return self._pods.list(question.namespace, labels.parse(question.selector))

    # ---- one number for all replicas

    async def _of_object(self, question: Question, source: Object) -> Proposal:
        thing, metric, target = source["describedObject"], source["metric"], source["target"]
        try:
            usage = await self._metrics.of_object(question.namespace, thing, metric)
        except NoMetrics as error:
            # The words stand where upstream's stand, `on` and `/` included.
            where = f"{thing['kind']} on {question.namespace} {thing['name']}/{error}"
            raise NoMetrics(f"unable to get metric {metric['name']}: {where}") from error
        wanted, current = self._from_total(question, target, usage)
        shown = {"metric": metric, "current": current, "describedObject": thing}
        name = f"{thing['kind']} metric {metric['name']}"
        if target.get("averageValue") is not None:
            name = f"external metric {metric['name']}({labels.in_go(metric.get('selector'))})"
        return Proposal(wanted, name, {"type": "Object", "object": shown})

    async def _external(self, question: Question, source: Object) -> Proposal:
        metric = source["metric"]
        selector = labels.in_go(metric.get("selector"))
        try:
            usage = await self._metrics.external(question.namespace, metric)
        except NoMetrics as error:
            where = f"{question.namespace}/{metric['name']}/{selector}"
            raise NoMetrics(f"unable to get external metric {where}: {error}") from error
        wanted, current = self._from_total(question, source["target"], usage)
        shown = {"metric": metric, "current": current}
        name = f"external metric {metric['name']}({selector})"
        return Proposal(wanted, name, {"type": "External", "external": shown})

    def _from_total(self, question: Question, target: Object, usage: int) -> tuple[int, Object]:
        """Shared by all replicas, or compared as it is."""
        tolerances = hpa.tolerances_of(question.autoscaler, self._settings.tolerance)
        if target.get("averageValue") is not None:
            goal = quantity.milli_value(target["averageValue"])
            running = max(1, question.running)
            close = question.running and hpa.within(usage / (goal * running), tolerances)
            wanted = question.running if close else math.ceil(usage / goal)
            return wanted, {"averageValue": quantity.of_milli(math.ceil(usage / running))}
        ratio = usage / quantity.milli_value(target["value"])
        current = {"value": quantity.of_milli(usage)}
        if hpa.within(ratio, tolerances):
            return question.replicas, current
        return math.ceil(ratio * self._ready(question)), current

    def _ready(self, question: Question) -> int:
        pods = self._selected(question)
        if not pods:
            text = "no pods returned by selector while calculating replica count"
            raise NoMetrics(f"unable to calculate ready pods: {text}")
        running = [pod for pod in pods if pod_status.phase_of(pod) == pod_status.RUNNING]
        return sum(map(pod_status.is_ready, running))


def _requests(pods: Iterable[Object], resource: str, container: str) -> dict[str, int]:
    """What each pod asks for, in thousandths. Raises NoMetrics if one does not say."""
    found: dict[str, int] = {}
    for pod in pods:
        whole = ((spec_of(pod).get("resources") or {}).get("requests") or {}).get(resource)
        if whole is not None and not container:
            found[name_of(pod)] = quantity.milli_value(whole)
        else:
            found[name_of(pod)] = sum(_request(pod, one, resource) for one in _containers(pod, container))
    return found


def _containers(pod: Object, wanted: str) -> list[Object]:
    """Those that run as long as the pod does; only one, if one is named."""
    spec = spec_of(pod)
    sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
    everyone = [*(spec.get("containers") or []), *sidecars]
    return [one for one in everyone if not wanted or one["name"] == wanted]


def _request(pod: Object, container: Object, resource: str) -> int:
    asked = ((container.get("resources") or {}).get("requests") or {}).get(resource)
    if asked is None:
        where = f"container {container['name']} of Pod {name_of(pod)}"
        raise NoMetrics(f"missing request for {resource} in {where}")
    return quantity.milli_value(asked)
