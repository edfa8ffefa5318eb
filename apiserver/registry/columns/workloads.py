"""apps, batch, autoscaling, policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from apiserver.registry.columns.shared import (
    AGE,
    CONTAINERS,
    NAME,
    NAME_TEXT,
    NONE,
    UNKNOWN,
    UNSET,
    ago,
    cell,
    containers_at,
    number,
    read,
    selector,
    shown_map,
    text,
)
from apiserver.registry.strategy import Column
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, is_deleting, spec_of, status_of
from kubarium.apimachinery.owners import controller_of
from kubarium.apimachinery.time import human_duration, parse_time


def _ready_of(obj: Object) -> str:
    return f"{status_of(obj).get('readyReplicas') or 0}/{spec_of(obj).get('replicas') or 0}"


READY_TEXT = "Number of the pod with ready state"
DEPLOYMENT = (
    NAME,
    cell("Ready", _ready_of, READY_TEXT),
    number(
        "Up-to-date",
        "status",
        "updatedReplicas",
        type="string",
        about="apps.v1.DeploymentStatus.updatedReplicas",
    ),
    number(
        "Available",
        "status",
        "availableReplicas",
        type="string",
        about="apps.v1.DeploymentStatus.availableReplicas",
    ),
    AGE,
    *CONTAINERS,
    selector("apps.v1.DeploymentSpec.selector", nothing=""),
)
REPLICA_SET = (
    NAME,
    number("Desired", "spec", "replicas", about="apps.v1.ReplicaSetSpec.replicas"),
    number("Current", "status", "replicas", about="apps.v1.ReplicaSetStatus.replicas"),
    number("Ready", "status", "readyReplicas", about="apps.v1.ReplicaSetStatus.readyReplicas"),
    AGE,
    *CONTAINERS,
    selector("apps.v1.ReplicaSetSpec.selector"),
)
STATEFUL_SET = (NAME, cell("Ready", _ready_of, READY_TEXT), AGE, *CONTAINERS)
_SET = "apps.v1.DaemonSetStatus"
DAEMON_SET = (
    NAME,
    number("Desired", "status", "desiredNumberScheduled", about=f"{_SET}.desiredNumberScheduled"),
    number("Current", "status", "currentNumberScheduled", about=f"{_SET}.currentNumberScheduled"),
    number("Ready", "status", "numberReady", about=f"{_SET}.numberReady"),
    number("Up-to-date", "status", "updatedNumberScheduled", about=f"{_SET}.updatedNumberScheduled"),
    number("Available", "status", "numberAvailable", about=f"{_SET}.numberAvailable"),
    cell(
        "Node Selector",
        lambda obj: shown_map(read(obj, "spec", "template", "spec", "nodeSelector", default={})),
        about="core.v1.PodSpec.nodeSelector",
    ),
    AGE,
    *CONTAINERS,
    selector("apps.v1.DaemonSetSpec.selector"),
)


def _controller(revision: Object) -> str:
    owner = controller_of(revision)
    if owner is None:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind']}{'.' + group if group else ''}".lower() + f"/{owner['name']}"


CONTROLLER_REVISION = (
    NAME,
    cell("Controller", _controller, "Controller of the object"),
    number("Revision", "revision", type="string", about="apps.v1.ControllerRevision.revision"),
    AGE,
)


def _job_status(job: Object) -> str:
    for type, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if conditions.is_true(job, type):
            return word
    if is_deleting(job):
        return "Terminating"
    for type in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if conditions.is_true(job, type):
            return type
    return "Running"


def _completions(job: Object) -> str:
    done, spec = status_of(job).get("succeeded") or 0, spec_of(job)
    if spec.get("completions") is not None:
        return f"{done}/{spec['completions']}"
    parallel = spec.get("parallelism") or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(job: Object, now: datetime) -> str:
    started, ended = status_of(job).get("startTime"), status_of(job).get("completionTime")
    if not started:
        return ""
    return human_duration(((parse_time(ended) if ended else now) - parse_time(started)).total_seconds())


JOB = (
    NAME,
    cell("Status", _job_status, "Status of the job."),
    cell("Completions", _completions, about="batch.v1.JobStatus.succeeded"),
    Column("Duration", _job_duration, description="Time required to complete the job.", needs_now=True),
    AGE,
    *CONTAINERS,
    selector("batch.v1.JobSpec.selector"),
)


def _last_schedule(cron_job: Object, now: datetime) -> str:
    last = status_of(cron_job).get("lastScheduleTime")
    return ago(last, now) if last else NONE


def _suspended(cron_job: Object) -> str:
    suspend = spec_of(cron_job).get("suspend")
    return UNSET if suspend is None else "True" if suspend else "False"


CRON_JOB = (
    NAME,
    text("Schedule", "spec", "schedule", about="batch.v1.CronJobSpec.schedule"),
    text("Timezone", "spec", "timeZone", default=NONE, about="batch.v1.CronJobSpec.timeZone"),
    cell("Suspend", _suspended, type="boolean", about="batch.v1.CronJobSpec.suspend"),
    cell(
        "Active",
        lambda obj: len(status_of(obj).get("active") or []),
        type="integer",
        about="batch.v1.CronJobStatus.active",
    ),
    Column("Last Schedule", _last_schedule, needs_now=True, about="batch.v1.CronJobStatus.lastScheduleTime"),
    AGE,
    *containers_at("spec", "jobTemplate", "spec", "template"),
    selector("batch.v1.JobSpec.selector", "spec", "jobTemplate", "spec", "selector"),
)


def _targets(autoscaler: Object) -> str:
    """What is measured and what is wanted, metric by metric; the first two."""
    current = status_of(autoscaler).get("currentMetrics") or []
    found = []
    for index, metric in enumerate(spec_of(autoscaler).get("metrics") or []):
        kind = metric.get("type") or ""
        source = kind[:1].lower() + kind[1:]
        seen = current[index].get(source) if index < len(current) else None
        show = _METRICS.get(kind)
        found.append(
            show(metric.get(source) or {}, seen and (seen.get("current") or {})) if show else "<unknown type>"
        )
    shown = ", ".join(found[:2])
    return shown + (f" + {len(found) - 2} more..." if len(found) > 2 else "") if found else NONE


def _value(metric: Object, seen: Object | None) -> str:
    """Of an object or of something outside: on the whole, or for each pod."""
    wanted = metric.get("target") or {}
    average = wanted.get("averageValue")
    if average is not None:
        return f"{(seen or {}).get('averageValue') or UNKNOWN}/{average} (avg)"
    return f"{UNKNOWN if seen is None else seen.get('value') or NIL}/{wanted.get('value') or NIL}"


def _of_pods(metric: Object, seen: Object | None) -> str:
    wanted = (metric.get("target") or {}).get("averageValue") or NIL
    return f"{UNKNOWN if seen is None else seen.get('averageValue') or NIL}/{wanted}"


def _of_resource(metric: Object, seen: Object | None) -> str:
    wanted = metric.get("target") or {}
    if wanted.get("averageValue") is not None:
        return f"{metric.get('name')}: {_of_pods(metric, seen)}"
    percents = [(seen or {}).get("averageUtilization"), wanted.get("averageUtilization")]
    now, target = (
        word if value is None else f"{value}%"
        for value, word in zip(percents, (UNKNOWN, "<auto>"), strict=True)
    )
    return f"{metric.get('name')}: {now}/{target}"


NIL = "<nil>"
"""How upstream writes a quantity that is not there."""
_METRICS = {
    "External": _value,
    "Object": _value,
    "Pods": _of_pods,
    "Resource": _of_resource,
    "ContainerResource": _of_resource,
}


def _scaled(autoscaler: Object) -> str:
    reference = spec_of(autoscaler).get("scaleTargetRef") or {}
    return f"{reference.get('kind')}/{reference.get('name')}"


def _least(autoscaler: Object) -> str:
    return str(read(autoscaler, "spec", "minReplicas", default=UNSET))


_SCALER = "autoscaling.v2.HorizontalPodAutoscaler"
AUTOSCALER = (
    NAME,
    cell("Reference", _scaled, about=f"{_SCALER}Spec.scaleTargetRef"),
    cell("Targets", _targets, about=f"{_SCALER}Spec.metrics"),
    cell("MinPods", _least, about=f"{_SCALER}Spec.minReplicas"),
    number("MaxPods", "spec", "maxReplicas", type="string", about=f"{_SCALER}Spec.maxReplicas"),
    number("Replicas", "status", "currentReplicas", type="string", about=f"{_SCALER}Status.currentReplicas"),
    AGE,
)


def _limit(field: str) -> Callable[[Object], str]:
    return lambda budget: str(read(budget, "spec", field, default="N/A"))


DISRUPTION_BUDGET = (
    NAME,
    cell("Min Available", _limit("minAvailable"), "The minimum number of pods that must be available."),
    cell("Max Unavailable", _limit("maxUnavailable"), "The maximum number of pods that may be unavailable."),
    Column(
        "Allowed Disruptions",
        lambda budget: status_of(budget).get("disruptionsAllowed") or 0,
        type="integer",
        description="Calculated number of pods that may be disrupted at this time.",
    ),
    AGE,
)
SCALE = (
    Column("Name", NAME.cell, description=NAME_TEXT),
    number("Desired", "spec", "replicas", about="autoscaling.v1.ScaleSpec.replicas"),
    number("Available", "status", "replicas", about="autoscaling.v1.ScaleStatus.replicas"),
    AGE,
)


def scale_of_custom(paths: Object) -> tuple[Column, ...]:
    """The columns of a custom resource's `Scale`; `paths` are those of its definition."""
    wanted = number("Desired", "spec", "replicas")
    seen = number("Available", "status", "replicas")
    return (
        NAME,
        *(
            [replace(wanted, description="Number of desired replicas")]
            if paths.get("specReplicasPath")
            else []
        ),
        *(
            [replace(seen, description="Number of actual replicas")]
            if paths.get("statusReplicasPath")
            else []
        ),
        replace(AGE, type="date"),
    )
