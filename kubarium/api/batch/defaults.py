"""What absent fields of Job and CronJob mean."""

from __future__ import annotations

from kubarium.api.core.pod import defaults as pod
from kubarium.apimachinery.object import Object, metadata_of, spec_of

NO_LIMIT = 2**31 - 1


def fill_job(job: Object) -> None:
    """One pod, six retries."""
    spec = job.setdefault("spec", {})
    fill_job_spec(spec)
    fill_labels(job)


def fill_labels(job: Object) -> None:
    """Without labels of its own it has those of its pods."""
    labels = ((spec_of(job).get("template") or {}).get("metadata") or {}).get("labels") or {}
    if labels and not (job.get("metadata") or {}).get("labels"):
        metadata_of(job)["labels"] = (
            labels  # the same ones: what is added to the template is added to the job
        )


def fill_job_spec(spec: Object) -> None:
    """The part that CronJobs share."""
    pod.fill_template(spec.get("template"))
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    if spec.get("parallelism") is None:
        spec["parallelism"] = 1
    if spec.get("backoffLimit") is None:
        spec["backoffLimit"] = NO_LIMIT if spec.get("backoffLimitPerIndex") is not None else 6
    if not spec.get("completionMode"):
        spec["completionMode"] = "NonIndexed"
    if spec.get("suspend") is None:
        spec["suspend"] = False
    if spec.get("manualSelector") is None:
        spec["manualSelector"] = False
    if not spec.get("podReplacementPolicy"):
        spec["podReplacementPolicy"] = "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for condition in rule.get("onPodConditions") or []:
            condition.setdefault("status", "True")


def fill_cron_job(cron_job: Object) -> None:
    """Overlapping runs are allowed, three good and one bad are kept."""
    spec = cron_job.setdefault("spec", {})
    if not spec.get("concurrencyPolicy"):
        spec["concurrencyPolicy"] = "Allow"
    if spec.get("suspend") is None:
        spec["suspend"] = False
    if spec.get("successfulJobsHistoryLimit") is None:
        spec["successfulJobsHistoryLimit"] = 3
    if spec.get("failedJobsHistoryLimit") is None:
        spec["failedJobsHistoryLimit"] = 1
    template = (spec.get("jobTemplate") or {}).get("spec")
    if template is not None:
        pod.fill_template(template.get("template"))
