"""Eviction: delete a pod if the disruption budget agrees."""

from __future__ import annotations

from apiserver.registry import deletion
from apiserver.registry.core.pod_binding import SUCCESS
from apiserver.registry.resource import Resource
from apiserver.registry.store import Registry
from apiserver.request import RequestContext
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors, labels, time
from kubarium.apimachinery.object import (
    Object,
    generation_of,
    is_deleting,
    labels_of,
    name_of,
    spec_of,
    status_of,
    uid_of,
)

MAX_DISRUPTED_PODS = 2000
_REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
_STILL_PROCESSING_SECONDS = 10


async def evict(registry: Registry, row: Resource, context: RequestContext, eviction: Object) -> Object:
    """POST pods/<name>/eviction."""
    namespace, name = context.info.namespace, context.info.name
    if name_of(eviction) != name:
        raise errors.BadRequest("name in URL does not match name in Eviction object")
    options: Object = dict(eviction.get("deleteOptions") or {})
    if options.get("dryRun"):  # the only place where `kubectl drain --dry-run=server` says it
        context.dry_run = True
    pod = (await registry.get(row, namespace, name, newest=True)).obj
    if not _ignores_budgets(pod):
        budget = await _budget_of(registry, namespace, pod)
        if budget is not None and not _is_unhealthy_and_free(pod, budget):
            await _take_from_budget(registry, context, namespace, name_of(budget), pod)
    if not context.dry_run and not is_deleting(pod):
        await _mark(registry, row, namespace, pod)
    options["preconditions"] = {"uid": uid_of(pod)} | (options.get("preconditions") or {})
    await deletion.delete(registry, row, context, namespace, name, options)
    return SUCCESS


def _ignores_budgets(pod: Object) -> bool:
    """Nothing is disrupted where nothing runs."""
    return is_deleting(pod) or pod_status.is_terminal(pod) or pod_status.phase_of(pod) == pod_status.PENDING


async def _budget_of(registry: Registry, namespace: str, pod: Object) -> Object | None:
    row = registry.resources("policy", "poddisruptionbudgets")
    page = await registry.storage.list(row.list_prefix(namespace), minimum_revision=0)
    found = [budget for item in page.items if _selects(budget := item.obj, pod)]
    if len(found) > 1:
        text = (
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
        raise errors.InternalError(text)
    return found[0] if found else None


def _selects(budget: Object, pod: Object) -> bool:
    return labels.from_label_selector(spec_of(budget).get("selector")).matches(labels_of(pod))


def _is_unhealthy_and_free(pod: Object, budget: Object) -> bool:
    """May a pod that is not ready go without asking? `unhealthyPodEvictionPolicy` says."""
    if pod_status.is_ready(pod):
        return False
    if spec_of(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = status_of(budget)
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    return healthy >= desired and desired > 0


async def _take_from_budget(
    registry: Registry, context: RequestContext, namespace: str, budget_name: str, pod: Object
) -> None:
    """Count this pod as disrupted. Raises TooManyRequests when nothing is left."""
    now = time.format_time(registry.clock.now())

    def take(budget: Object, revision: int) -> Object | None:
        status = budget.setdefault("status", {})
        check_budget(budget)
        status["disruptionsAllowed"] -= 1
        status.setdefault("disruptedPods", {})[name_of(pod)] = now
        return None if context.dry_run else budget

    row = registry.resources("policy", "poddisruptionbudgets")
    await registry.storage.update(row.key(namespace, budget_name), take)


def check_budget(budget: Object) -> None:
    """Raise unless one more pod may be disrupted."""
    status, name = status_of(budget), name_of(budget)
    if (status.get("observedGeneration") or 0) < generation_of(budget):
        text = f"The disruption budget {name} is still being processed by the server."
        raise _too_many(text, _STILL_PROCESSING_SECONDS)
    allowed = status.get("disruptionsAllowed") or 0
    if allowed < 0:
        raise errors.Forbidden.of(
            "policy", "poddisruptionbudgets", name, "pdb disruptions allowed is negative"
        )
    if len(status.get("disruptedPods") or {}) > MAX_DISRUPTED_PODS:
        text = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.Forbidden.of("policy", "poddisruptionbudgets", name, text)
    if allowed == 0:
        desired, healthy = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
        raise _too_many(
            f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently", 0
        )


def _too_many(cause: str, seconds: int) -> errors.TooManyRequests:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if seconds:
        details["retryAfterSeconds"] = seconds
    return errors.TooManyRequests(_REFUSED, details)


async def _mark(registry: Registry, row: Resource, namespace: str, pod: Object) -> None:
    """Say in the pod's conditions why it goes."""
    now = registry.clock.now()

    def mark(current: Object, revision: int) -> Object | None:
        if uid_of(current) != uid_of(pod) or is_deleting(current):
            return None
        entry = {
            "type": pod_status.DISRUPTION_TARGET,
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        status = current.setdefault("status", {})
        changed = conditions.set_condition(
            status.setdefault("conditions", []), pod_status.observed(current, entry), now
        )
        return current if changed else None

    await registry.storage.update(row.key(namespace, name_of(pod)), mark)
