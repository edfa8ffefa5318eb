"""What makes a Job or a CronJob invalid, and what of them may change."""

from __future__ import annotations

import re

from kubarium.api.batch import job as noun
from kubarium.api.batch.cron_job import parse_schedule, zone_of
from kubarium.api.batch.policy_validation import validate_failure_policy, validate_success_policy
from kubarium.api.core.pod import validation as pod
from kubarium.apimachinery import conditions, labels, names, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    immutable,
    invalid,
    not_supported,
    required,
    too_long,
)
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object, copy, spec_of, status_of

_RESTART = ("OnFailure", "Never")
_COUNTS = (
    "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes",
)  # fmt: skip
MAX_INDEXED_PARALLELISM = 100_000
MAX_FAILED_INDEXES = 100_000
MANY_COMPLETIONS = 100_000  # above it, parallelism and failures have lower bounds
MAX_WITH_MANY = 10_000
MAX_MANAGER = 63
MAX_CRON_JOB_NAME = 52  # the Job's name has a time behind it


def validate_job(job: Object) -> list[FieldError]:
    """A spec and a selector that finds the job's own pods."""
    spec = spec_of(job)
    found = _validate_selector(spec)
    return found + validate_job_spec(spec, SPEC)


def _validate_selector(spec: Object) -> list[FieldError]:
    selector = spec.get("selector")
    if selector is None:
        return [required(SPEC / "selector")]
    found = validate_label_selector(selector, SPEC / "selector")
    own = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not found and not labels.from_label_selector(selector).matches(own):
        at = SPEC / "template" / "metadata" / "labels"
        found.append(invalid(at, own, "`selector` does not match template `labels`"))
    return found


def validate_job_spec(spec: Object, path: FieldPath) -> list[FieldError]:
    """The part that CronJobs share."""
    found = rules.not_negative(spec, path, *_COUNTS)
    manager = spec.get("managedBy")
    if manager is not None:
        found += rules.named(path / "managedBy", manager, names.domain_prefixed_path_errors)
        if len(manager) > MAX_MANAGER:
            found.append(too_long(path / "managedBy", MAX_MANAGER))
    found += _validate_mode(spec, path)
    template = spec.get("template") or {}
    if spec.get("podFailurePolicy") is not None:
        found += validate_failure_policy(spec, path / "podFailurePolicy")
    if spec.get("successPolicy") is not None:
        found += validate_success_policy(spec, path / "successPolicy")
    allowed = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    found += rules.if_one_of(path / "podReplacementPolicy", spec.get("podReplacementPolicy"), allowed)
    found += pod.validate_template(template, path / "template", None)
    return found + _validate_restart_policy(spec, template, path / "template" / "spec" / "restartPolicy")


def _validate_mode(spec: Object, path: FieldPath) -> list[FieldError]:
    mode = spec.get("completionMode")
    found = rules.if_one_of(path / "completionMode", mode, ("Indexed", "NonIndexed"))
    per_index, most_failed = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if mode == "Indexed":
        found += _validate_indexed(spec, path)
    else:
        for field, value in (("backoffLimitPerIndex", per_index), ("maxFailedIndexes", most_failed)):
            if value is not None:
                found.append(invalid(path / field, value, "requires indexed completion mode"))
    if most_failed is not None and per_index is None:
        found.append(required(path / "backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return found


def _validate_indexed(spec: Object, path: FieldPath) -> list[FieldError]:
    completions, parallelism = spec.get("completions"), spec.get("parallelism")
    most_failed = spec.get("maxFailedIndexes")
    found: list[FieldError] = []
    if completions is None:
        found.append(required(path / "completions", "when completion mode is Indexed"))
    if (parallelism or 0) > MAX_INDEXED_PARALLELISM:
        why = f"must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed"
        found.append(invalid(path / "parallelism", parallelism, why))
    if most_failed is not None and completions is not None and most_failed > completions:
        found.append(
            invalid(path / "maxFailedIndexes", most_failed, "must be less than or equal to completions")
        )
    if (most_failed or 0) > MAX_FAILED_INDEXES:
        why = f"must be less than or equal to {MAX_FAILED_INDEXES}"
        found.append(invalid(path / "maxFailedIndexes", most_failed, why))
    if (completions or 0) > MANY_COMPLETIONS and spec.get("backoffLimitPerIndex") is not None:
        found += _validate_many(parallelism, most_failed, path)
    return found


def _validate_many(parallelism: int | None, most_failed: int | None, path: FieldPath) -> list[FieldError]:
    bound = (
        f"must be less than or equal to {MAX_WITH_MANY} when completions are above {MANY_COMPLETIONS} "
        "and used with backoff limit per index"
    )
    found: list[FieldError] = []
    if most_failed is None:
        why = f"must be specified when completions is above {MANY_COMPLETIONS}"
        found.append(required(path / "maxFailedIndexes", why))
    elif most_failed > MAX_WITH_MANY:
        found.append(invalid(path / "maxFailedIndexes", most_failed, bound))
    if (parallelism or 0) > MAX_WITH_MANY:
        found.append(invalid(path / "parallelism", parallelism, bound))
    return found


def _validate_restart_policy(spec: Object, template: Object, path: FieldPath) -> list[FieldError]:
    policy = (template.get("spec") or {}).get("restartPolicy") or ""
    if policy not in _RESTART:  # one that nobody named has become `Always` already
        shown = 'valid values: "OnFailure", "Never"'
        return [required(path, shown) if policy in ("", "Always") else not_supported(path, policy, _RESTART)]
    if policy != "Never":
        for field in ("podFailurePolicy", "backoffLimitPerIndex"):
            if spec.get(field) is not None:
                return [invalid(path, policy, f'only "Never" is supported when {field} is specified')]
    return []


def validate_job_update(new: Object, old: Object) -> list[FieldError]:
    """The numbers of an elastic job may change, and the scheduling of one that has not started."""
    found = validate_job(new)
    after, before = spec_of(new), spec_of(old)
    found += _completions_stay(after, before)
    for field in (
        "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy",
    ):  # fmt: skip
        found += immutable(SPEC / field, after.get(field), before.get(field))
    wanted, kept = after.get("template") or {}, before.get("template") or {}
    if _may_be_placed_anew(old):
        kept = _with_placement_of(kept, wanted)
    return found + immutable(SPEC / "template", wanted, kept)


def _completions_stay(after: Object, before: Object) -> list[FieldError]:
    now, was = after.get("completions"), before.get("completions")
    at = SPEC / "completions"
    if before.get("completionMode") != "Indexed" or now is None or was is None:
        return immutable(at, now, was)
    if now != was and now != after.get("parallelism"):
        return [invalid(at, now, "can only be modified in tandem with spec.parallelism")]
    return []


def _may_be_placed_anew(job: Object) -> bool:
    """Suspended, and none of its pods runs."""
    status = status_of(job)
    at_rest = not status.get("startTime") or conditions.is_true(job, noun.SUSPENDED)
    return bool(noun.is_suspended(job) and at_rest and not status.get("active"))


_PLACEMENT = ("nodeSelector", "tolerations", "schedulingGates", "affinity")


def _with_placement_of(kept: Object, wanted: Object) -> Object:
    """The old template with the parts that queues of jobs may change from outside."""
    merged = copy(kept)
    metadata, own = merged.setdefault("metadata", {}), wanted.get("metadata") or {}
    spec, other = merged.setdefault("spec", {}), wanted.get("spec") or {}
    for holder, source, fields in (
        (metadata, own, ("labels", "annotations")),
        (spec, other, _PLACEMENT),
    ):
        for field in fields:
            holder.pop(field, None)
            if field in source:
                holder[field] = source[field]
    for part in ("containers", "initContainers"):
        for mine, theirs in zip(spec.get(part) or [], other.get(part) or [], strict=False):
            if "resources" in theirs:
                mine["resources"] = theirs["resources"]
    return merged


def validate_cron_job(cron_job: Object) -> list[FieldError]:
    """Schedule, zone, policies, limits, template."""
    found = _validate_cron_spec(cron_job, creating=True)
    name = (cron_job.get("metadata") or {}).get("name") or ""
    if len(name) > MAX_CRON_JOB_NAME:
        why = f"must be no more than {MAX_CRON_JOB_NAME} characters"
        found.append(invalid(FieldPath("metadata") / "name", name, why))
    return found


def validate_cron_job_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid; an old zone inside of a schedule may stay."""
    return _validate_cron_spec(new, creating="TZ" not in (spec_of(old).get("schedule") or ""))


def _validate_cron_spec(cron_job: Object, *, creating: bool) -> list[FieldError]:
    spec = spec_of(cron_job)
    schedule, zone = spec.get("schedule") or "", spec.get("timeZone")
    found: list[FieldError] = []
    if not schedule:
        found.append(required(SPEC / "schedule"))
    else:
        found += _validate_schedule(schedule, zone, creating=creating)
    if zone is not None:
        found += _validate_zone(zone, SPEC / "timeZone")
    policies = ("Allow", "Forbid", "Replace")
    found += rules.one_of(SPEC / "concurrencyPolicy", spec.get("concurrencyPolicy"), policies)
    limits = ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    found += rules.not_negative(spec, SPEC, *limits)
    template = (spec.get("jobTemplate") or {}).get("spec") or {}
    at = SPEC / "jobTemplate" / "spec"
    if template.get("manualSelector"):
        found.append(not_supported(at / "manualSelector", True, ("nil", "false")))
    return [*found, *validate_job_spec(template, at)]


def _validate_schedule(schedule: str, zone: str | None, *, creating: bool) -> list[FieldError]:
    at = SPEC / "schedule"
    if "TZ" in schedule and zone is not None:
        return [invalid(at, schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule")]
    if "TZ" in schedule and creating:
        return [invalid(at, schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")]
    bare = re.sub(r"^(CRON_)?TZ=\S+\s+", "", schedule)
    if not bare.startswith("@") and len(bare.split()) != 5:
        shown = " ".join(bare.split())
        return [invalid(at, schedule, f"expected exactly 5 fields, found {len(bare.split())}: [{shown}]")]
    try:
        parse_schedule(bare)
    except ValueError as error:
        return [invalid(at, schedule, str(error))]
    return []


def _validate_zone(zone: str, path: FieldPath) -> list[FieldError]:
    if not zone:
        return [invalid(path, zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [invalid(path, zone, why)]
    try:
        zone_of(zone)
    except ValueError as error:
        return [invalid(path, zone, str(error))]
    return []
