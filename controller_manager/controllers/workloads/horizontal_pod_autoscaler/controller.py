"""HorizontalPodAutoscaler: metrics → desired replicas, every 15 seconds.

    1. read the target's scale                        condition AbleToScale
    2. ask for each metric, propose replicas, take the largest      condition ScalingActive
    3. smooth and limit by behavior and bounds        conditions AbleToScale, ScalingLimited
    4. write the scale, then the status

Metrics come from the aggregated APIs metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from controller_manager import metrics
from controller_manager.controllers.workloads.horizontal_pod_autoscaler.metrics_client import MetricsClient
from controller_manager.controllers.workloads.horizontal_pod_autoscaler.proposals import (
    Proposal,
    Proposer,
    Question,
)
from kubarium.api.autoscaling import horizontal_pod_autoscaler as hpa
from kubarium.api.autoscaling.horizontal_pod_autoscaler import NoMetrics, Settings
from kubarium.apimachinery import conditions, errors, labels, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    generation_of,
    key_of,
    labels_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.discovery import Discovered
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock

AUTOSCALERS = ("autoscaling/v2", "horizontalpodautoscalers")


FASTER = "increasing faster than the maximum scale rate"
UP_LIMIT = ("ScaleUpLimit", FASTER)
DOWN_LIMIT = ("ScaleDownLimit", FASTER.replace("increasing", "decreasing"))
TOO_MANY = ("TooManyReplicas", "more than the maximum replica count")
TOO_FEW = ("TooFewReplicas", "less than the minimum replica count")
HORIZON = 3600.0  # seconds; no window may be longer


@dataclass
class Memory:
    """What an autoscaler remembers: recommendations and changes, each with its moment."""

    recommendations: list[tuple[float, int]] = field(default_factory=list)
    added: list[tuple[float, int]] = field(default_factory=list)
    removed: list[tuple[float, int]] = field(default_factory=list)

    def recommended_since(self, moment: float) -> list[int]:
        """Recommendations later than a moment."""
        return [replicas for at, replicas in self.recommendations if at > moment]

    def forget(self, now: float) -> None:
        """What is older than any window."""
        for entries in (self.recommendations, self.added, self.removed):
            entries[:] = [(at, count) for at, count in entries if now - at <= HORIZON]


class HorizontalPodAutoscalerController(Controller):
    """Scales what can be scaled."""

    name = "horizontal-pod-autoscaler-controller"
    queue_name = "horizontalpodautoscaler"
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
        self.metrics = MetricsClient(client)
        self.proposer = Proposer(self.metrics, self.pods, clock, self.settings)
        self._memory: dict[ObjectKey, Memory] = {}
        self._selectors: dict[ObjectKey, labels.Selector] = {}
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
            self._selectors.pop(key, None)
            return None
        autoscaler = copy(stored)
        autoscaler.setdefault("status", {}).setdefault("currentReplicas", 0)
        began, error = self.clock.monotonic(), "internal"
        try:
            await self._scale(autoscaler)
            error = _error_in(autoscaler)
        finally:
            labels = (_action_of(autoscaler), error)
            metrics.AUTOSCALER_RECONCILIATIONS.add(labels)
            metrics.AUTOSCALER_SECONDS.observe(labels, self.clock.monotonic() - began)
            if status_of(autoscaler) != status_of(stored):
                await self.resource.update_status(autoscaler)
        return self.period

    async def _scale(self, autoscaler: Object) -> None:
        reference = spec_of(autoscaler)["scaleTargetRef"]
        try:
            kind = await self.metrics.kind_of(reference)
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
        status["currentReplicas"] = current
        status["observedGeneration"] = generation_of(autoscaler)
        if current == 0 and least != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._set(autoscaler, "ScalingActive", False, "ScalingDisabled", text)
            status["desiredReplicas"] = 0
            return
        memory = self._remembered(autoscaler)
        if not memory.recommendations:  # the first look must not shrink at once
            memory.recommendations.append((self.clock.monotonic(), current))
        reason = ""
        if current > most:
            desired, reason = most, "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            desired, reason = least, "Current number of replicas below Spec.MinReplicas"
        else:
            try:
                proposal = await self._propose(autoscaler, scale, current)
            except NoMetrics as error:
                self.events.event(autoscaler, "Warning", "FailedComputeMetricsReplicas", str(error))
                status.setdefault("desiredReplicas", 0)
                return
            desired = self._smooth(autoscaler, current, proposal.replicas)
            above = proposal.name if proposal.replicas > 0 else ""
            reason = "All metrics below target" if desired < current else f"{above} above target"
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
        if spec_of(autoscaler).get("behavior"):
            memory = self._remembered(autoscaler)
            changes = memory.added if desired > current else memory.removed
            changes.append((self.clock.monotonic(), abs(desired - current)))
        status_of(autoscaler)["lastScaleTime"] = time.format_time(self.clock.now())

    # ---- metrics

    async def _propose(self, autoscaler: Object, scale: Object, current: int) -> Proposal:
        """The largest proposal. Raises NoMetrics when the metrics do not allow a decision."""
        selector = self._selector_of(autoscaler, scale)
        question = Question(autoscaler, selector, current, int(status_of(scale).get("replicas") or 0))
        proposals: list[Proposal | None] = []
        failures: list[tuple[Object, NoMetrics]] = []
        for metric in spec_of(autoscaler).get("metrics") or []:
            began = self.clock.monotonic()
            try:
                proposals.append(await self.proposer.propose(question, metric))
                self._measure(metric, began, proposals[-1], current)
            except NoMetrics as error:
                self._measure(metric, began, None, current)
                proposals.append(None)
                failures.append((metric, error))
                self.events.event(autoscaler, "Warning", f"FailedGet{metric['type']}Metric", str(error))
        best = max((one for one in proposals if one), key=lambda one: one.replicas, default=None)
        if best is None or (failures and best.replicas < current):
            metric, first = failures[0]
            text = f"the HPA was unable to compute the replica count: {first}"
            self._set(autoscaler, "ScalingActive", False, f"FailedGet{metric['type']}Metric", text)
            raise NoMetrics(
                f"invalid metrics ({len(failures)} invalid out of {len(proposals)}), first error is: "
                f"{_wrapped(metric, first)}"
            )
        # One without an answer keeps its place: clients read the entries by the places of spec.metrics.
        status_of(autoscaler)["currentMetrics"] = [one.status if one else {"type": ""} for one in proposals]
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self._set(autoscaler, "ScalingActive", True, "ValidMetricFound", text)
        return best

    def _measure(self, metric: Object, began: float, proposal: Proposal | None, current: int) -> None:
        """Count the calculation of one metric, and how long it took."""
        wanted = current if proposal is None else proposal.replicas
        action = "scale_down" if wanted < current else "scale_up" if wanted > current else "none"
        labels = (action, "internal" if proposal is None else "none", metric["type"])
        metrics.METRIC_COMPUTATIONS.add(labels)
        metrics.METRIC_SECONDS.observe(labels, self.clock.monotonic() - began)

    def _selector_of(self, autoscaler: Object, scale: Object) -> str:
        selector = status_of(scale).get("selector") or ""
        if not selector:
            self.events.event(autoscaler, "Warning", "SelectorRequired", "selector is required")
            text = "the HPA target's scale is missing a selector"
            self._set(autoscaler, "ScalingActive", False, "InvalidSelector", text)
            raise NoMetrics("selector is required")
        try:
            parsed = labels.parse(selector)
        except ValueError as error:
            text = f"couldn't convert selector into a corresponding internal selector object: {error}"
            self._refuse_selector(autoscaler, "InvalidSelector", text)
        self._selectors[key_of(autoscaler)] = parsed
        others = self._rivals(autoscaler, parsed)
        if len(others) > 1:
            told = f"[{' '.join(map(str, others))}]"
            text = f"pods by selector {selector} are controlled by multiple HPAs: {told}"
            self._refuse_selector(autoscaler, "AmbiguousSelector", text)
        return selector

    def _refuse_selector(self, autoscaler: Object, reason: str, text: str) -> NoReturn:
        self.events.event(autoscaler, "Warning", reason, text)
        self._set(autoscaler, "ScalingActive", False, reason, text)
        raise NoMetrics(text)

    def _rivals(self, autoscaler: Object, selector: labels.Selector) -> list[ObjectKey]:
        """Every autoscaler, this one included, that selects a pod of this one's."""
        namespace = namespace_of(autoscaler)
        pods = [labels_of(pod) for pod in self.pods.list(namespace, selector)]
        near = [(key, one) for key, one in self._selectors.items() if key.namespace == namespace]
        return sorted(key for key, one in near if any(map(one.matches, pods)))

    # ---- smoothing and limits

    def _remembered(self, autoscaler: Object) -> Memory:
        return self._memory.setdefault(key_of(autoscaler), Memory())

    def _smooth(self, autoscaler: Object, current: int, proposed: int) -> int:
        memory, now = self._remembered(autoscaler), self.clock.monotonic()
        memory.forget(now)
        up, down = hpa.rules(autoscaler, "scaleUp"), hpa.rules(autoscaler, "scaleDown")
        down_window = hpa.window_of(down or {}, self.settings.downscale_stabilization)
        highest = max([proposed, *memory.recommended_since(now - down_window)])
        if up is None or down is None:
            steady, grows = highest, False
        else:
            lowest = min([proposed, *memory.recommended_since(now - hpa.window_of(up, 0.0))])
            steady, grows = min(max(current, lowest), highest), proposed >= current
        memory.recommendations.append((now, proposed))
        self._say_if_steady(autoscaler, steady, proposed, grows)
        if up is None or down is None:
            return self._limit_plainly(autoscaler, current, steady)
        return self._limit(autoscaler, memory, current, steady, up, down)

    def _say_if_steady(self, autoscaler: Object, steady: int, proposed: int, grows: bool) -> None:
        if steady == proposed:
            text = "recommended size matches current size"
            self._set(autoscaler, "AbleToScale", True, "ReadyForNewScale", text)
            return
        side, how, extreme = ("Up", "lower", "lowest") if grows else ("Down", "higher", "highest")
        text = f"recent recommendations were {how} than current one, applying the {extreme} recent recommendation"
        self._set(autoscaler, "AbleToScale", True, f"Scale{side}Stabilized", text)

    def _limit_plainly(self, autoscaler: Object, current: int, wanted: int) -> int:
        """Without a behavior: at most twice as many, or four, at a time."""
        least, most = hpa.bounds_of(autoscaler)
        rate = hpa.plain_limit_up(current)
        if wanted < least:
            self._limited(autoscaler, *TOO_FEW)
            return least
        if wanted > min(most, rate):
            self._limited(autoscaler, *(UP_LIMIT if rate < most else TOO_MANY))
            return min(most, rate)
        return self._unlimited(autoscaler, wanted)

    def _limit(
        self, autoscaler: Object, memory: Memory, current: int, wanted: int, up: Object, down: Object
    ) -> int:
        now = self.clock.monotonic()
        added = [(now - at, count) for at, count in memory.added]
        removed = [(now - at, count) for at, count in memory.removed]
        least, most = hpa.bounds_of(autoscaler)
        if wanted > current:
            rate = max(current, hpa.limit_up(up, current, added, removed))
            if wanted > min(most, rate):
                self._limited(autoscaler, *(UP_LIMIT if rate < most else TOO_MANY))
                return min(most, rate)
        elif wanted < current:
            rate = min(current, hpa.limit_down(down, current, added, removed))
            if wanted < max(least, rate):
                self._limited(autoscaler, *(DOWN_LIMIT if rate > least else TOO_FEW))
                return max(least, rate)
        return self._unlimited(autoscaler, wanted)

    def _unlimited(self, autoscaler: Object, wanted: int) -> int:
        text = "the desired count is within the acceptable range"
        self._set(autoscaler, "ScalingLimited", False, "DesiredWithinRange", text)
        return wanted

    def _limited(self, autoscaler: Object, reason: str, how: str) -> None:
        self._set(autoscaler, "ScalingLimited", True, reason, f"the desired replica count is {how}")

    def _set(self, autoscaler: Object, type: str, value: bool, reason: str, message: str) -> None:
        listed = autoscaler["status"].setdefault("conditions", [])
        condition = {"type": type, "status": str(value), "reason": reason, "message": message}
        conditions.set_condition(listed, condition, self.clock.now())


def _wrapped(metric: Object, error: NoMetrics) -> str:
    """The error as it is told where several metrics are judged together."""
    match metric["type"]:
        case "Pods":
            return f"failed to get pods metric value: {error}"
        case "Object":
            source = metric["object"]
            more = f"failed to get {source['metric']['name']} object metric: " if _is_average(source) else ""
            return f"failed to get object metric value: {more}{error}"
        case "External":
            source, name = metric["external"], metric["external"]["metric"]["name"]
            what = f"{name} external metric" if _is_average(source) else f"external metric {name}"
            return f"failed to get {name} external metric value: failed to get {what}: {error}"
    return str(error)


def _is_average(source: Object) -> bool:
    return source["target"].get("averageValue") is not None


def _no(obj: Object) -> Iterable[ObjectKey]:
    return ()


def _action_of(autoscaler: Object) -> str:
    """What the last look has led to, for the metrics."""
    status = status_of(autoscaler)
    current, desired = status.get("currentReplicas") or 0, status.get("desiredReplicas") or 0
    return "none" if current == desired else "scale_up" if desired > current else "scale_down"


def _error_in(autoscaler: Object) -> str:
    """Whose fault it is that nothing could be decided: of whoever wrote the object, or of the world."""
    for type in ("AbleToScale", "ScalingActive"):
        found = conditions.find(status_of(autoscaler).get("conditions"), type)
        if found is not None and found.get("status") == "False" and found.get("reason") != "ScalingDisabled":
            return "spec" if str(found.get("reason")).startswith("Invalid") else "internal"
    return "none"
