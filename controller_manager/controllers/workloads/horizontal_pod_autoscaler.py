"""HorizontalPodAutoscaler: metrics → desired replicas, every 15 seconds.

    1. read the target's scale                        condition AbleToScale
    2. ask for each metric, propose replicas, take the largest      condition ScalingActive
    3. smooth and limit by behavior and bounds        conditions AbleToScale, ScalingLimited
    4. write the scale, then the status

Metrics come from the aggregated APIs metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

from kubarium.api.autoscaling import horizontal_pod_autoscaler as hpa
from kubarium.api.autoscaling.horizontal_pod_autoscaler import NoMetrics, Sample, Settings
from kubarium.apimachinery import conditions, errors, group_version, labels, quantity, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    generation_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.discovery import Discovered, Discovery
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

AUTOSCALERS = ("autoscaling/v2", "horizontalpodautoscalers")


@dataclass(frozen=True)
class Proposal:
    """What one metric asks for."""

    replicas: int
    name: str
    status: Object


@dataclass
class Memory:
    """What an autoscaler remembers: recommendations and changes, each with its moment."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    added: list[tuple[float, int]] = field(default_factory=list)
    removed: list[tuple[float, int]] = field(default_factory=list)


class HorizontalPodAutoscalerController(Controller):
    """Scales what can be scaled."""

    name = "horizontal-pod-autoscaler-controller"
    backoff = Backoff(initial=15.0, factor=1.0, maximum=15.0)

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        workers: int = 5,
        period: float = 15.0,
        settings: Settings | None = None,
    ) -> None:
        self.workers, self.period, self.events = workers, period, events
        self.settings = settings or Settings()
        self.autoscalers = informers.informer(*AUTOSCALERS).lister
        self.pods = informers.informer("v1", "pods").lister
        self.resource = client.resource(*AUTOSCALERS)
        self.discovery = Discovery(client)
        self._memory: dict[ObjectKey, Memory] = {}
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch(*AUTOSCALERS, changed=lambda old, new: spec_of(old) != spec_of(new)),
            Watch("v1", "pods", keys=_no),
        ]

    async def reconcile(self, key: ObjectKey) -> float | None:
        stored = self.autoscalers.get(key)
        if stored is None:
            self._memory.pop(key, None)
            return None
        autoscaler = copy(stored)
        autoscaler.setdefault("status", {}).setdefault("currentReplicas", 0)
        try:
            await self._scale(autoscaler)
        finally:
            if status_of(autoscaler) != status_of(stored):
                await self.resource.update_status(autoscaler)
        return self.period

    async def _scale(self, autoscaler: Object) -> None:
        reference = spec_of(autoscaler)["scaleTargetRef"]
        try:
            kind = await self._kind_of(reference)
            scale = await self.client.resource(kind.api_version, kind.plural).get(
                reference["name"], namespace_of(autoscaler), subresource="scale"
            )
        except errors.StatusError as error:
            self.events.event(autoscaler, "Warning", "FailedGetScale", str(error))
            text = f"the HPA controller was unable to get the target's current scale: {error}"
            self._set(autoscaler, "AbleToScale", False, "FailedGetScale", text)
            return
        text = "the HPA controller was able to get the target's current scale"
        self._set(autoscaler, "AbleToScale", True, "SucceededGetScale", text)
        await self._decide(autoscaler, kind, scale)

    async def _decide(self, autoscaler: Object, kind: Discovered, scale: Object) -> None:
        current = int(spec_of(scale).get("replicas") or 0)
        least, most = hpa.bounds_of(autoscaler)
        status = status_of(autoscaler)
        status |= {"currentReplicas": int(status_of(scale).get("replicas") or 0)}
        status["observedGeneration"] = generation_of(autoscaler)
        if current == 0 and least != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._set(autoscaler, "ScalingActive", False, "ScalingDisabled", text)
            status["desiredReplicas"] = 0
            return
        reason = ""
        if current > most:
            desired, reason = most, "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            desired, reason = least, "Current number of replicas below Spec.MinReplicas"
        else:
            try:
                proposal = await self._propose(autoscaler, scale, current)
            except NoMetrics as error:
                text = (
                    "failed to compute desired number of replicas based on listed metrics for "
                    f"{_target(autoscaler)}: {error}"
                )
                self.events.event(autoscaler, "Warning", "FailedComputeMetricsReplicas", text)
                status["desiredReplicas"] = current
                return
            desired = self._smooth(autoscaler, current, proposal.replicas)
            reason = "All metrics below target" if desired < current else f"{proposal.name} above target"
        if desired != current:
            await self._rescale(autoscaler, kind, scale, current, desired, reason)
        status["desiredReplicas"] = desired

    async def _rescale(
        self, autoscaler: Object, kind: Discovered, scale: Object, current: int, desired: int, reason: str
    ) -> None:
        changed = copy(scale)
        changed["spec"]["replicas"] = desired
        try:
            await self.client.resource(kind.api_version, kind.plural).update(changed, subresource="scale")
        except errors.StatusError as error:
            text = f"New size: {desired}; reason: {reason}; error: {error}"
            self.events.event(autoscaler, "Warning", "FailedRescale", text)
            text = f"the HPA controller was unable to update the target scale: {error}"
            self._set(autoscaler, "AbleToScale", False, "FailedUpdateScale", text)
            raise
        text = f"the HPA controller was able to update the target scale to {desired}"
        self._set(autoscaler, "AbleToScale", True, "SucceededRescale", text)
        self.events.event(autoscaler, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {reason}")
        memory, now = self._remembered(autoscaler), self.clock.monotonic()
        if desired > current:
            memory.added.append((now, desired - current))
        else:
            memory.removed.append((now, current - desired))
        status_of(autoscaler)["lastScaleTime"] = time.format_time(self.clock.now())

    async def _kind_of(self, reference: Object) -> Discovered:
        group, _ = group_version.split(reference.get("apiVersion") or "")
        for kind in await self.discovery.namespaced():
            if (kind.group, kind.kind) == (group, reference["kind"]):
                return kind
        raise errors.NotFound(f'no matches for kind "{reference["kind"]}" in group "{group}"')

    # ---- metrics

    async def _propose(self, autoscaler: Object, scale: Object, current: int) -> Proposal:
        selector = status_of(scale).get("selector") or ""
        if not selector:
            text = "the HPA target's scale is missing a selector"
            self._set(autoscaler, "ScalingActive", False, "InvalidSelector", text)
            raise NoMetrics("selector is required")
        proposals: list[Proposal] = []
        failures: list[str] = []
        for metric in spec_of(autoscaler).get("metrics") or []:
            try:
                proposals.append(await self._ask(autoscaler, metric, selector, current))
            except (NoMetrics, errors.StatusError) as error:
                failures.append(str(error))
                reason = f"FailedGet{metric['type']}Metric"
                self.events.event(autoscaler, "Warning", reason, str(error))
                text = f"the HPA was unable to compute the replica count: {error}"
                self._set(autoscaler, "ScalingActive", False, reason, text)
        status_of(autoscaler)["currentMetrics"] = [one.status for one in proposals] or None
        best = max(proposals, key=lambda one: one.replicas, default=None)
        if best is None or (failures and best.replicas < current):
            count = len(failures)
            first = failures[0] if failures else "no metrics"
            raise NoMetrics(
                f"invalid metrics ({count} invalid out of {count + len(proposals)}), first error is: {first}"
            )
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self._set(autoscaler, "ScalingActive", True, "ValidMetricFound", text)
        return best

    async def _ask(self, autoscaler: Object, metric: Object, selector: str, current: int) -> Proposal:
        match metric["type"]:
            case "Resource":
                return await self._resource(autoscaler, metric["resource"], selector, current, "")
            case "ContainerResource":
                source = metric["containerResource"]
                return await self._resource(autoscaler, source, selector, current, source["container"])
            case "Pods":
                return await self._pods_metric(autoscaler, metric["pods"], selector, current)
            case "Object":
                return await self._object_metric(autoscaler, metric["object"], selector, current)
            case "External":
                return await self._external_metric(autoscaler, metric["external"], selector, current)
        raise NoMetrics(f'unknown metric source type "{metric["type"]}"')

    def _selected(self, autoscaler: Object, selector: str) -> list[Object]:
        return self.pods.list(namespace_of(autoscaler), labels.parse(selector))

    async def _resource(
        self, autoscaler: Object, source: Object, selector: str, current: int, container: str
    ) -> Proposal:
        resource, target = source["name"], source["target"]
        samples = await self._resource_samples(namespace_of(autoscaler), selector, resource, container)
        pods = self._selected(autoscaler, selector)
        if not pods:
            raise NoMetrics("no pods returned by selector while calculating replica count")
        grouped = hpa.group_pods(pods, samples, resource, self.settings, self.clock.now())
        used = {n: s.value for n, s in samples.items() if n not in grouped.ignored | grouped.unready}
        average = sum(used.values()) // len(used) if used else 0
        kind = "containerResource" if container else "resource"
        what = f"{resource} container resource" if container else f"{resource} resource"
        tolerances = hpa.tolerances_of(autoscaler, self.settings.tolerance)
        if target.get("averageUtilization") is not None:
            requests = _requests(pods, resource, container)
            goal = float(target["averageUtilization"])
            known = {name: value for name, value in used.items() if name in requests}
            ratio = hpa.usage_ratio(known, goal, requests)
            again = hpa.RatioWith(known, goal, requests, grouped)
            name = f"{what} utilization (percentage of request)"
            now_at: Object = {"averageUtilization": round(ratio * goal), "averageValue": _milli(average)}
        else:
            goal = float(quantity.milli_value(target["averageValue"]))
            ratio = hpa.usage_ratio(used, goal, None)
            again = hpa.RatioWith(used, goal, None, grouped)
            name, now_at = what, {"averageValue": _milli(average)}
        wanted = hpa.replicas_for_ratio(current, ratio, grouped, again, tolerances)
        shown = {"name": resource, "current": now_at, **({"container": container} if container else {})}
        kind_name = "ContainerResource" if container else "Resource"
        return Proposal(wanted, name, {"type": kind_name, kind: shown})

    async def _resource_samples(
        self, namespace: str, selector: str, resource: str, container: str
    ) -> dict[str, Sample]:
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
        try:
            found = await self.client.request("GET", path, query={"labelSelector": selector})
        except errors.StatusError as error:
            raise NoMetrics(
                f"failed to get {resource} utilization: unable to get metrics for resource {resource}: "
                f"unable to fetch metrics from resource metrics API: {error}"
            ) from error
        samples: dict[str, Sample] = {}
        for item in found.get("items") or []:
            chosen = [c for c in item.get("containers") or [] if not container or c.get("name") == container]
            usage = [one["usage"][resource] for one in chosen if resource in (one.get("usage") or {})]
            if chosen and len(usage) == len(chosen):
                moment = time.parse_time(item["timestamp"])
                samples[name_of(item)] = Sample(
                    sum(map(quantity.milli_value, usage)), moment, timedelta(seconds=60)
                )
        if not samples:
            text = f"failed to get {resource} utilization: unable to get metrics for resource {resource}: "
            raise NoMetrics(text + "no metrics returned from resource metrics API")
        return samples

    async def _pods_metric(self, autoscaler: Object, source: Object, selector: str, current: int) -> Proposal:
        name, namespace = source["metric"]["name"], namespace_of(autoscaler)
        items = await self._custom(namespace, f"pods/*/{quote(name)}", source["metric"], selector)
        now = self.clock.now()
        samples = {i["describedObject"]["name"]: Sample(quantity.milli_value(i["value"]), now) for i in items}
        pods = self._selected(autoscaler, selector)
        grouped = hpa.group_pods(pods, samples, "", self.settings, now)
        used = {n: s.value for n, s in samples.items() if n not in grouped.ignored | grouped.unready}
        goal = float(quantity.milli_value(source["target"]["averageValue"]))
        ratio = hpa.usage_ratio(used, goal, None)
        tolerances = hpa.tolerances_of(autoscaler, self.settings.tolerance)
        again = hpa.RatioWith(used, goal, None, grouped)
        wanted = hpa.replicas_for_ratio(current, ratio, grouped, again, tolerances)
        average = sum(used.values()) // len(used)
        shown = {"metric": source["metric"], "current": {"averageValue": _milli(average)}}
        return Proposal(wanted, f"pods metric {name}", {"type": "Pods", "pods": shown})

    async def _object_metric(
        self, autoscaler: Object, source: Object, selector: str, current: int
    ) -> Proposal:
        thing, name = source["describedObject"], source["metric"]["name"]
        kind = await self._kind_of(thing)
        path = f"{kind.group_resource}/{quote(thing['name'])}/{quote(name)}"
        items = await self._custom(namespace_of(autoscaler), path, source["metric"], "")
        usage = quantity.milli_value(items[0]["value"])
        wanted, now_at = self._from_total(autoscaler, source["target"], usage, selector, current)
        shown = {"metric": source["metric"], "current": now_at, "describedObject": thing}
        return Proposal(wanted, f"{thing['kind']} metric {name}", {"type": "Object", "object": shown})

    async def _external_metric(
        self, autoscaler: Object, source: Object, selector: str, current: int
    ) -> Proposal:
        name, namespace = source["metric"]["name"], namespace_of(autoscaler)
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{quote(name)}"
        wanted_labels = str(labels.from_label_selector(source["metric"].get("selector") or {}))
        found = await self.client.request("GET", path, query={"labelSelector": wanted_labels})
        items = found.get("items") or []
        if not items:
            raise NoMetrics("no metrics returned from external metrics API")
        usage = sum(quantity.milli_value(item["value"]) for item in items)
        wanted, now_at = self._from_total(autoscaler, source["target"], usage, selector, current)
        shown = {"metric": source["metric"], "current": now_at}
        text = f"external metric {name}({source['metric'].get('selector') or '&LabelSelector{}'})"
        return Proposal(wanted, text, {"type": "External", "external": shown})

    def _from_total(
        self, autoscaler: Object, target: Object, usage: int, selector: str, current: int
    ) -> tuple[int, Object]:
        """One number for the whole target: shared by all replicas, or compared as it is."""
        tolerances = hpa.tolerances_of(autoscaler, self.settings.tolerance)
        if target.get("averageValue") is not None:
            goal = quantity.milli_value(target["averageValue"])
            ratio = usage / (goal * current) if current and goal else 0.0
            wanted = current if current and hpa.within(ratio, tolerances) else math.ceil(usage / goal)
            return wanted, {"averageValue": _milli(math.ceil(usage / max(1, current)))}
        goal = quantity.milli_value(target["value"])
        ratio = usage / goal
        ready = sum(1 for pod in self._selected(autoscaler, selector) if conditions.is_true(pod, "Ready"))
        wanted = current if hpa.within(ratio, tolerances) else math.ceil(ratio * ready)
        return wanted, {"value": _milli(usage)}

    async def _custom(self, namespace: str, path: str, metric: Object, selector: str) -> list[Object]:
        query = {"labelSelector": selector}
        if metric.get("selector"):
            query["metricLabelSelector"] = str(labels.from_label_selector(metric["selector"]))
        where = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{namespace}/{path}"
        found = await self.client.request("GET", where, query=query)
        items: list[Object] = found.get("items") or []
        if not items:
            raise NoMetrics("no metrics returned from custom metrics API")
        return items

    # ---- smoothing and limits

    def _remembered(self, autoscaler: Object) -> Memory:
        key = ObjectKey(namespace_of(autoscaler), name_of(autoscaler))
        return self._memory.setdefault(key, Memory())

    def _smooth(self, autoscaler: Object, current: int, proposed: int) -> int:
        memory, now = self._remembered(autoscaler), self.clock.monotonic()
        up, up_window = hpa.rules(autoscaler, "scaleUp", 0.0)
        down, down_window = hpa.rules(autoscaler, "scaleDown", self.settings.downscale_stabilization)
        horizon = max(3600.0, up_window, down_window)
        for name in ("recommendations", "added", "removed"):
            setattr(memory, name, [(at, n) for at, n in getattr(memory, name) if now - at <= horizon])
        highest = max([proposed, *(n for at, n in memory.recommendations if now - at < down_window)])
        lowest = min([proposed, *(n for at, n in memory.recommendations if now - at < up_window)])
        memory.recommendations.append((now, proposed))
        steady = min(max(current, lowest), highest)
        if steady != proposed:
            side, how = ("ScaleUp", "lower") if proposed > current else ("ScaleDown", "higher")
            extreme = "lowest" if how == "lower" else "highest"
            text = f"recent recommendations were {how} than current one, applying the {extreme} recent recommendation"
            self._set(autoscaler, "AbleToScale", True, f"{side}Stabilized", text)
        else:
            text = "recommended size matches current size"
            self._set(autoscaler, "AbleToScale", True, "ReadyForNewScale", text)
        return self._limit(autoscaler, memory, current, steady, up, down)

    def _limit(
        self, autoscaler: Object, memory: Memory, current: int, wanted: int, up: Object, down: Object
    ) -> int:
        now = self.clock.monotonic()
        added = [(now - at, count) for at, count in memory.added]
        removed = [(now - at, count) for at, count in memory.removed]
        least, most = hpa.bounds_of(autoscaler)
        if wanted > current:
            rate = max(current, hpa.limit_up(up, current, added, removed))
            ceiling = min(most, rate)
            if wanted > ceiling:
                reason = ("TooManyReplicas", "more than the maximum replica count")
                if rate < most:
                    reason = ("ScaleUpLimit", "increasing faster than the maximum scale rate")
                self._limited(autoscaler, *reason)
                return ceiling
        elif wanted < current or wanted < least:
            rate = min(current, hpa.limit_down(down, current, added, removed))
            floor = max(least, rate)
            if wanted < floor:
                reason = ("TooFewReplicas", "less than the minimum replica count")
                if rate > least:
                    reason = ("ScaleDownLimit", "decreasing faster than the maximum scale rate")
                self._limited(autoscaler, *reason)
                return floor
        text = "the desired count is within the acceptable range"
        self._set(autoscaler, "ScalingLimited", False, "DesiredWithinRange", text)
        return wanted

    def _limited(self, autoscaler: Object, reason: str, how: str) -> None:
        self._set(autoscaler, "ScalingLimited", True, reason, f"the desired replica count is {how}")

    def _set(self, autoscaler: Object, type: str, value: bool, reason: str, message: str) -> None:
        listed = autoscaler["status"].setdefault("conditions", [])
        condition = {"type": type, "status": str(value), "reason": reason, "message": message}
        conditions.set_condition(listed, condition, self.clock.now())


def _requests(pods: Iterable[Object], resource: str, container: str) -> dict[str, int]:
    """What each pod asks for, in thousandths. Raises NoMetrics if one does not say."""
    found: dict[str, int] = {}
    for pod in pods:
        total = 0
        spec = spec_of(pod)
        sidecars = [one for one in spec.get("initContainers") or [] if one.get("restartPolicy") == "Always"]
        for one in [*(spec.get("containers") or []), *sidecars]:
            if container and one["name"] != container:
                continue
            asked = ((one.get("resources") or {}).get("requests") or {}).get(resource)
            if asked is None:
                raise NoMetrics(
                    f"failed to get {resource} utilization: missing request for {resource} in container "
                    f"{one['name']} of Pod {name_of(pod)}"
                )
            total += quantity.milli_value(asked)
        found[name_of(pod)] = total
    return found


def _milli(amount: int) -> str:
    return quantity.of_milli(amount)


def _target(autoscaler: Object) -> str:
    reference: Mapping[str, str] = spec_of(autoscaler)["scaleTargetRef"]
    return f"{reference['kind']}/{namespace_of(autoscaler)}/{reference['name']}"


def _no(obj: Object) -> Iterable[ObjectKey]:
    return ()
