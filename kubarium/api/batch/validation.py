"""What makes a Job or a CronJob invalid."""

from __future__ import annotations

from kubarium.api.apps.validation import not_negative
from kubarium.api.core.pod import validation as pod
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object

_RESTART = ("OnFailure", "Never")


def validate_job(job: Object) -> list[FieldError]:
    """Counts and template."""
    return validate_job_spec(job.get("spec") or {}, SPEC)


def validate_job_spec(spec: Object, path: FieldPath) -> list[FieldError]:
    """The part that CronJobs share."""
    found: list[FieldError] = []
    counts = (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
    )
    for field in counts:
        if (spec.get(field) or 0) < 0:
            found.append(invalid(path / field, spec[field], "must be greater than or equal to 0"))
    mode = spec.get("completionMode")
    if mode == "Indexed" and spec.get("completions") is None:
        found.append(required(path / "completions", "when completion mode is Indexed"))
    if mode not in (None, "Indexed", "NonIndexed"):
        found.append(not_supported(path / "completionMode", mode, ("Indexed", "NonIndexed")))
    template = spec.get("template") or {}
    restart = (template.get("spec") or {}).get("restartPolicy") or ""
    if restart not in _RESTART:
        at = path / "template" / "spec" / "restartPolicy"
        found.append(
            required(at, 'valid values: "OnFailure", "Never"')
            if not restart
            else not_supported(at, restart, _RESTART)
        )
    return [*found, *pod.validate_template(template, path / "template", None)]


def validate_job_update(new: Object, old: Object) -> list[FieldError]:
    """Selector, template and completion mode stay; a suspended job's scheduling may change."""
    found = validate_job(new)
    after, before = new.get("spec") or {}, old.get("spec") or {}
    for field in ("selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy"):
        found += immutable(SPEC / field, after.get(field), before.get(field))
    if not (
        before.get("completionMode") == "Indexed" and after.get("completions") == after.get("parallelism")
    ):
        found += immutable(SPEC / "completions", after.get("completions"), before.get("completions"))
    if not before.get("suspend"):
        found += immutable(SPEC / "template", after.get("template"), before.get("template"))
    return found


def validate_cron_job(cron_job: Object) -> list[FieldError]:
    """Schedule, policies, limits, template."""
    spec = cron_job.get("spec") or {}
    found: list[FieldError] = []
    schedule = spec.get("schedule") or ""
    if not schedule:
        found.append(required(SPEC / "schedule"))
    elif "TZ" in schedule:
        found.append(
            invalid(
                SPEC / "schedule",
                schedule,
                "cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            )
        )
    elif not schedule.startswith("@") and len(schedule.split()) != 5:
        detail = f"expected exactly 5 fields, found {len(schedule.split())}: [{schedule}]"
        found.append(invalid(SPEC / "schedule", schedule, detail))
    policy = spec.get("concurrencyPolicy")
    if policy not in ("Allow", "Forbid", "Replace"):
        found.append(not_supported(SPEC / "concurrencyPolicy", policy, ("Allow", "Forbid", "Replace")))
    limits = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    found += not_negative(spec, *limits)
    template = (spec.get("jobTemplate") or {}).get("spec") or {}
    if len((cron_job.get("metadata") or {}).get("name") or "") > 52:
        at = FieldPath("metadata") / "name"
        found.append(invalid(at, cron_job["metadata"]["name"], "must be no more than 52 characters"))
    return [*found, *validate_job_spec(template, SPEC / "jobTemplate" / "spec")]


def validate_cron_job_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate_cron_job(new)
