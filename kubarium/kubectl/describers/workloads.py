"""What keeps pods: deployments and their kin."""

from __future__ import annotations

from datetime import timedelta

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import owners
from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.describers.containers import pod_template
from kubarium.kubectl.describers.page import Page, go_list, map_text, moment, selector_text
from kubarium.kubectl.describers.pods import controlled_by
from kubarium.kubectl.session import Session

REVISION = "deployment.kubernetes.io/revision"


def _head(obj: Object, page: Page, *, created: bool = False) -> None:
    metadata = obj["metadata"]
    page.write(0, "Name:", metadata["name"])
    page.write(0, "Namespace:", metadata["namespace"])
    if created:
        page.write(0, "CreationTimestamp:", moment(metadata.get("creationTimestamp")))


def _marks(obj: Object, page: Page) -> None:
    page.pairs(0, "Labels", obj["metadata"].get("labels"))
    page.annotations(0, obj["metadata"].get("annotations"))


async def _pods_of(session: Session, obj: Object) -> str:
    """`2 Running / 0 Waiting / …` of the pods that it controls."""
    found = (await session.client.resource("v1", "pods").list(namespace_of(obj)))["items"]
    phases = [pod_status.phase_of(one) for one in found if owners.is_controlled_by(one, obj)]
    counts = [
        (phases.count("Running"), "Running"),
        (phases.count("Pending"), "Waiting"),
        (phases.count("Succeeded"), "Succeeded"),
        (phases.count("Failed"), "Failed"),
    ]
    return " / ".join(f"{count} {word}" for count, word in counts)


def _conditions(obj: Object, page: Page) -> None:
    if found := (obj.get("status") or {}).get("conditions"):
        page.write(0, "Conditions:")
        rows = [[one["type"], one["status"], one.get("reason") or ""] for one in found]
        page.table(1, ["Type", "Status", "Reason"], rows)


async def deployment(session: Session, obj: Object, page: Page) -> None:
    """A deployment, and its replica sets."""
    spec, status = obj["spec"], obj.get("status") or {}
    _head(obj, page, created=True)
    _marks(obj, page)
    page.write(0, "Selector:", selector_text(spec.get("selector")))
    page.write(
        0,
        "Replicas:",
        f"{spec.get('replicas', 1)} desired | {status.get('updatedReplicas', 0)} updated | "
        f"{status.get('replicas', 0)} total | {status.get('availableReplicas', 0)} available | "
        f"{status.get('unavailableReplicas', 0)} unavailable",
    )
    strategy = spec.get("strategy") or {}
    page.write(0, "StrategyType:", strategy.get("type") or "")
    page.write(0, "MinReadySeconds:", str(spec.get("minReadySeconds") or 0))
    if rolling := strategy.get("rollingUpdate"):
        text = f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
        page.write(0, "RollingUpdateStrategy:", text)
    pod_template(spec["template"], page)
    _conditions(obj, page)
    sets = (await session.client.resource("apps/v1", "replicasets").list(namespace_of(obj)))["items"]
    mine = [one for one in sets if owners.is_controlled_by(one, obj)]
    revision = (obj["metadata"].get("annotations") or {}).get(REVISION)
    new = [one for one in mine if (one["metadata"].get("annotations") or {}).get(REVISION) == revision]
    page.write(0, "OldReplicaSets:", _sets([one for one in mine if one not in new]))
    page.write(0, "NewReplicaSet:", _sets(new))


def _sets(listed: list[Object]) -> str:
    texts = []
    for one in listed:
        made = (one.get("status") or {}).get("replicas", 0)
        texts.append(f"{name_of(one)} ({made}/{one['spec'].get('replicas', 1)} replicas created)")
    return ", ".join(texts) or "<none>"


async def replica_set(session: Session, obj: Object, page: Page) -> None:
    """A replica set or replication controller."""
    spec = obj["spec"]
    _head(obj, page)
    selector = spec.get("selector")
    is_old = obj["kind"] == "ReplicationController"
    page.write(0, "Selector:", map_text(selector) if is_old else selector_text(selector))
    _marks(obj, page)
    controlled_by(obj["metadata"], page)
    current = (obj.get("status") or {}).get("replicas", 0)
    page.write(0, "Replicas:", f"{current} current / {spec.get('replicas', 1)} desired")
    page.write(0, "Pods Status:", await _pods_of(session, obj))
    pod_template(spec["template"], page)
    _conditions(obj, page)


async def stateful_set(session: Session, obj: Object, page: Page) -> None:
    """A stateful set, and the claims that it makes."""
    spec = obj["spec"]
    _head(obj, page, created=True)
    page.write(0, "Selector:", selector_text(spec.get("selector")))
    _marks(obj, page)
    total = (obj.get("status") or {}).get("replicas", 0)
    page.write(0, "Replicas:", f"{spec.get('replicas', 1)} desired | {total} total")
    strategy = spec.get("updateStrategy") or {}
    page.write(0, "Update Strategy:", strategy.get("type") or "")
    rolling = strategy.get("rollingUpdate") or {}
    if rolling.get("partition") is not None:
        page.write(1, "Partition:", str(rolling["partition"]))
        if rolling.get("maxUnavailable") is not None:
            page.write(1, "MaxUnavailable:", str(rolling["maxUnavailable"]))
    page.write(0, "Pods Status:", await _pods_of(session, obj))
    pod_template(spec["template"], page)
    claims = spec.get("volumeClaimTemplates") or []
    page.write(0, "Volume Claims:", *([] if claims else ["<none>"]))
    for one in claims:
        page.write(1, "Name:", one["metadata"]["name"])
        page.write(1, "StorageClass:", one["spec"].get("storageClassName") or "")
        page.pairs(1, "Labels", one["metadata"].get("labels"))
        page.pairs(1, "Annotations", one["metadata"].get("annotations"), ": ")
        storage = ((one["spec"].get("resources") or {}).get("requests") or {}).get("storage")
        page.write(1, "Capacity:", str(storage or "<default>"))
        page.write(1, "Access Modes:", go_list(one["spec"].get("accessModes") or []))


async def daemon_set(session: Session, obj: Object, page: Page) -> None:
    """A daemon set."""
    spec, status = obj["spec"], obj.get("status") or {}
    _head(obj, page)
    page.write(0, "Selector:", selector_text(spec.get("selector")))
    page.write(0, "Node-Selector:", map_text(spec["template"]["spec"].get("nodeSelector")))
    _marks(obj, page)
    for title, field in (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    ):
        page.write(0, f"{title}: {status.get(field) or 0}")
    page.write(0, "Pods Status:", await _pods_of(session, obj))
    pod_template(spec["template"], page)


async def job(session: Session, obj: Object, page: Page) -> None:
    """A job."""
    spec, status = obj["spec"], obj.get("status") or {}
    _head(obj, page)
    if spec.get("selector"):
        page.write(0, "Selector:", selector_text(spec["selector"]))
    _marks(obj, page)
    controlled_by(obj["metadata"], page)
    if spec.get("parallelism") is not None:
        page.write(0, "Parallelism:", str(spec["parallelism"]))
    completions = spec.get("completions")
    page.write(0, "Completions:", "<unset>" if completions is None else str(completions))
    if spec.get("completionMode"):
        page.write(0, "Completion Mode:", spec["completionMode"])
    page.write(0, "Suspend:", str(bool(spec.get("suspend"))).lower())
    for title, field in (
        ("Backoff Limit", "backoffLimit"),
        ("Backoff Limit Per Index", "backoffLimitPerIndex"),
        ("TTL Seconds After Finished", "ttlSecondsAfterFinished"),
    ):
        if spec.get(field) is not None:
            page.write(0, f"{title}:", str(spec[field]))
    if spec.get("activeDeadlineSeconds") is not None and not status.get("startTime"):
        page.write(0, "Active Deadline Seconds:", f"{spec['activeDeadlineSeconds']}s")
    if status.get("startTime"):
        page.write(0, "Start Time:", moment(status["startTime"]))
    if status.get("completionTime"):
        page.write(0, "Completed At:", moment(status["completionTime"]))
    if status.get("startTime") and status.get("completionTime"):
        took = api_time.parse_time(status["completionTime"]) - api_time.parse_time(status["startTime"])
        page.write(0, "Duration:", api_time.human_duration(took / timedelta(seconds=1)))
    ready = f" ({status['ready']} Ready)" if status.get("ready") is not None else ""
    text = f"{status.get('active', 0)} Active{ready} / {status.get('succeeded', 0)} Succeeded"
    page.write(0, "Pods Statuses:", f"{text} / {status.get('failed', 0)} Failed")
    if spec.get("completionMode") == "Indexed":
        page.write(0, "Completed Indexes:", status.get("completedIndexes") or "<none>")
    pod_template(spec["template"], page)


async def cron_job(session: Session, obj: Object, page: Page) -> None:
    """A cron job."""
    spec, status = obj["spec"], obj.get("status") or {}
    _head(obj, page)
    _marks(obj, page)

    def plain(value: object) -> str:
        return "<unset>" if value is None else str(value)

    of_job = spec["jobTemplate"]["spec"]
    deadline = spec.get("startingDeadlineSeconds")
    page.write(0, "Schedule:", spec["schedule"])
    page.write(0, "Concurrency Policy:", spec.get("concurrencyPolicy") or "")
    page.write(0, "Suspend:", str(bool(spec.get("suspend"))))
    page.write(0, "Time Zone:", spec.get("timeZone") or "<unset>")
    page.write(0, "Successful Job History Limit:", plain(spec.get("successfulJobsHistoryLimit")))
    page.write(0, "Failed Job History Limit:", plain(spec.get("failedJobsHistoryLimit")))
    page.write(0, "Starting Deadline Seconds:", "<unset>" if deadline is None else f"{deadline}s")
    page.write(0, "Selector:", selector_text(of_job.get("selector"), "<unset>"))
    page.write(0, "Parallelism:", plain(of_job.get("parallelism")))
    page.write(0, "Completions:", plain(of_job.get("completions")))
    pod_template(of_job["template"], page)
    page.write(0, "Last Schedule Time:", moment(status.get("lastScheduleTime")))
    active = [one["name"] for one in status.get("active") or []]
    page.write(0, "Active Jobs:", ", ".join(active) or "<none>")


async def disruption_budget(session: Session, obj: Object, page: Page) -> None:
    """How many pods may be missing."""
    spec, status = obj["spec"], obj.get("status") or {}
    _head(obj, page)
    for title, field in (("Min available", "minAvailable"), ("Max unavailable", "maxUnavailable")):
        if spec.get(field) is not None:
            page.write(0, f"{title}:", str(spec[field]))
    page.write(0, "Selector:", selector_text(spec["selector"]) if spec.get("selector") else "<unset>")
    page.write(0, "Status:")
    for title, field in (
        ("Allowed disruptions", "disruptionsAllowed"),
        ("Current", "currentHealthy"),
        ("Desired", "desiredHealthy"),
        ("Total", "expectedPods"),
    ):
        page.write(2, f"{title}:", str(status.get(field) or 0))
