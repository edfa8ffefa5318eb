"""apps, batch, autoscaling, policy."""

from __future__ import annotations

from datetime import datetime

from apiserver.registry.columns.shared import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    SELECTOR,
    UNKNOWN,
    ago,
    cell,
    number,
    read,
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


DEPLOYMENT = (
    NAME,
    cell("Ready", _ready_of),
    number("Up-to-date", "status", "updatedReplicas"),
    number("Available", "status", "availableReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
REPLICA_SET = (
    NAME,
    number("Desired", "spec", "replicas"),
    number("Current", "status", "replicas"),
    number("Ready", "status", "readyReplicas"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)
STATEFUL_SET = (NAME, cell("Ready", _ready_of), AGE, CONTAINERS, IMAGES)
DAEMON_SET = (
    NAME,
    number("Desired", "status", "desiredNumberScheduled"),
    number("Current", "status", "currentNumberScheduled"),
    number("Ready", "status", "numberReady"),
    number("Up-to-date", "status", "updatedNumberScheduled"),
    number("Available", "status", "numberAvailable"),
    cell(
        "Node Selector",
        lambda obj: shown_map(read(obj, "spec", "template", "spec", "nodeSelector", default={})),
    ),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _controller(revision: Object) -> str:
    owner = controller_of(revision)
    if owner is None:
        return NONE
    group = owner["apiVersion"].rpartition("/")[0]
    return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"


CONTROLLER_REVISION = (NAME, cell("Controller", _controller), number("Revision", "revision"), AGE)


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
    cell("Status", _job_status),
    cell("Completions", _completions),
    Column("Duration", _job_duration, needs_now=True),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
)


def _job_containers(cron_job: Object) -> list[Object]:
    return read(cron_job, "spec", "jobTemplate", "spec", "template", "spec", "containers", default=[]) or []


def _last_schedule(cron_job: Object, now: datetime) -> str:
    last = status_of(cron_job).get("lastScheduleTime")
    return ago(last, now) if last else NONE


CRON_JOB = (
    NAME,
    text("Schedule", "spec", "schedule"),
    text("Timezone", "spec", "timeZone", default=NONE),
    cell("Suspend", lambda obj: "True" if spec_of(obj).get("suspend") else "False"),
    cell("Active", lambda obj: len(status_of(obj).get("active") or []), type="integer"),
    Column("Last Schedule", _last_schedule, needs_now=True),
    AGE,
    cell("Containers", lambda obj: ",".join(c["name"] for c in _job_containers(obj)), wide=True),
    cell("Images", lambda obj: ",".join(c.get("image") or "" for c in _job_containers(obj)), wide=True),
    cell("Selector", lambda obj: NONE, wide=True),
)


def _target(autoscaler: Object) -> str:
    """What is measured and what is wanted, metric by metric."""
    found = []
    current = status_of(autoscaler).get("currentMetrics") or []
    for index, metric in enumerate(spec_of(autoscaler).get("metrics") or []):
        kind = metric.get("type") or ""
        field = kind[:1].lower() + kind[1:]
        wanted = (metric.get(field) or {}).get("target") or {}
        seen = (current[index].get(field) or {}).get("current") or {} if index < len(current) else {}
        name = (metric.get(field) or {}).get("name")
        found.append(_metric(f"{name}: " if name else "", wanted, seen))
    shown = ", ".join(found[:2])
    return shown + (f" + {len(found) - 2} more..." if len(found) > 2 else "") if found else NONE


def _metric(head: str, wanted: Object, seen: Object) -> str:
    if wanted.get("averageUtilization") is not None:
        now = f"{seen['averageUtilization']}%" if seen.get("averageUtilization") is not None else UNKNOWN
        return f"{head}{now}/{wanted['averageUtilization']}%"
    average = wanted.get("averageValue")
    value = average if average is not None else wanted.get("value")
    now = seen.get("averageValue" if average is not None else "value") or UNKNOWN
    return f"{head}{now}/{value}{' (avg)' if average is not None else ''}"


def _scaled(autoscaler: Object) -> str:
    reference = spec_of(autoscaler).get("scaleTargetRef") or {}
    return f"{reference.get('kind')}/{reference.get('name')}"


AUTOSCALER = (
    NAME,
    cell("Reference", _scaled),
    cell("Targets", _target),
    text("MinPods", "spec", "minReplicas", default="<unset>"),
    number("MaxPods", "spec", "maxReplicas"),
    number("Replicas", "status", "currentReplicas"),
    AGE,
)
DISRUPTION_BUDGET = (
    NAME,
    text("Min Available", "spec", "minAvailable", default="N/A"),
    text("Max Unavailable", "spec", "maxUnavailable", default="N/A"),
    number("Allowed Disruptions", "status", "disruptionsAllowed"),
    AGE,
)
SCALE = (NAME, number("Desired", "spec", "replicas"), number("Available", "status", "replicas"), AGE)
