"""What makes a Deployment, ReplicaSet, StatefulSet or DaemonSet invalid."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.api.core import persistent_volume_claim
from kubarium.api.core.pod import validation as pod
from kubarium.apimachinery import labels, names, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    STATUS,
    FieldError,
    FieldPath,
    InOrder,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import shown_selector, validate_label_selector
from kubarium.apimachinery.object import Object, copy


def validate_deployment(deployment: Object) -> list[FieldError]:
    """Counts, selector, template, strategy."""
    spec = deployment.get("spec") or {}
    found = [
        *rules.not_negative(
            spec, SPEC, "replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"
        )
    ]
    found += _selector_and_template(spec)
    found += _deployment_strategy(spec.get("strategy") or {}, SPEC / "strategy")
    if (spec.get("progressDeadlineSeconds") or 0) <= (spec.get("minReadySeconds") or 0):
        at = SPEC / "progressDeadlineSeconds"
        found.append(invalid(at, spec.get("progressDeadlineSeconds"), "must be greater than minReadySeconds"))
    return found


def validate_deployment_update(new: Object, old: Object) -> list[FieldError]:
    """The selector stays."""
    return [*validate_deployment(new), *_selector_stays(new, old)]


_MORE = "cannot be greater than status.replicas"


def validate_deployment_status(new: Object, old: Object) -> list[FieldError]:
    """Counts that fit together; collisions are never forgotten."""
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    found = _counts(new, (*counts, "terminatingReplicas", "observedGeneration", "collisionCount"))
    found += _not_more(new, ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return found + _collisions(new, old)


def validate_replica_set_status(new: Object, old: Object) -> list[FieldError]:
    """Counts that fit together."""
    counts = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
    return [
        *_counts(new, (*counts, "observedGeneration")),
        *_not_more(new, ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")),
    ]


def validate_stateful_set_status(new: Object, old: Object) -> list[FieldError]:
    """Counts that fit together; collisions are never forgotten."""
    counts = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    return [
        *_counts(new, (*counts, "observedGeneration", "collisionCount")),
        *_not_more(new, ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")),
        *_collisions(new, old),
    ]


def validate_daemon_set_status(new: Object, old: Object) -> list[FieldError]:
    """Counts; collisions are never forgotten."""
    counts = (
        "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration",
        "updatedNumberScheduled", "numberAvailable", "numberUnavailable", "collisionCount",
    )  # fmt: skip
    return [*_counts(new, counts), *_collisions(new, old)]


def _counts(obj: Object, fields: Sequence[str]) -> list[FieldError]:
    return rules.not_negative(obj.get("status") or {}, STATUS, *fields)


def _not_more(obj: Object, fields: Sequence[str]) -> list[FieldError]:
    """Parts of the replicas; of those that are available each is ready."""
    status = obj.get("status") or {}
    every, ready = status.get("replicas") or 0, status.get("readyReplicas") or 0
    found = [
        invalid(STATUS / field, status.get(field) or 0, _MORE)
        for field in fields
        if (status.get(field) or 0) > every
    ]
    if (status.get("availableReplicas") or 0) > ready:
        why = "cannot be greater than readyReplicas"
        found.append(invalid(STATUS / "availableReplicas", status["availableReplicas"], why))
    return found


def _collisions(new: Object, old: Object) -> list[FieldError]:
    now, before = ((obj.get("status") or {}).get("collisionCount") for obj in (new, old))
    if before is None or (now is not None and now >= before):
        return []
    return [invalid(STATUS / "collisionCount", now or 0, "cannot be decremented")]


def validate_replica_set(replica_set: Object) -> list[FieldError]:
    """Counts, selector, template."""
    spec = replica_set.get("spec") or {}
    return [*rules.not_negative(spec, SPEC, "replicas", "minReadySeconds"), *_selector_and_template(spec)]


def validate_replica_set_update(new: Object, old: Object) -> list[FieldError]:
    """The selector stays."""
    return [*validate_replica_set(new), *_selector_stays(new, old)]


def validate_replication_controller(controller: Object) -> list[FieldError]:
    """Counts, a plain map as selector, template."""
    spec = controller.get("spec") or {}
    found = rules.not_negative(spec, SPEC, "replicas", "minReadySeconds")
    selector = spec.get("selector") or {}
    if not selector:
        found.append(required(SPEC / "selector"))
    template = spec.get("template")
    if not template:
        return [*found, required(SPEC / "template")]
    own = (template.get("metadata") or {}).get("labels")
    if selector and not labels.from_map(selector).matches(own or {}):
        at = SPEC / "template" / "metadata" / "labels"
        found.append(invalid(at, own, "`selector` does not match template `labels`"))
    return [*found, *pod.validate_template(template, SPEC / "template", ("Always",))]


def validate_stateful_set(stateful_set: Object) -> list[FieldError]:
    """Policies, counts, selector, template, claims."""
    spec = stateful_set.get("spec") or {}
    policy = spec.get("podManagementPolicy")
    found: list[FieldError] = []
    if policy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        found.append(invalid(SPEC / "podManagementPolicy", policy, detail))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in ("RollingUpdate", "OnDelete"):
        detail = "must be 'RollingUpdate' or 'OnDelete'"
        found.append(invalid(SPEC / "updateStrategy", _shown(strategy), detail))
    elif strategy.get("type") == "OnDelete" and strategy.get("rollingUpdate"):
        at = SPEC / "updateStrategy" / "rollingUpdate"
        found.append(
            invalid(at, strategy["rollingUpdate"], "only allowed for updateStrategy 'RollingUpdate'")
        )
    partition = (strategy.get("rollingUpdate") or {}).get("partition") or 0
    if partition < 0:
        at = SPEC / "updateStrategy" / "rollingUpdate" / "partition"
        found.append(invalid(at, partition, "must be greater than or equal to 0"))
    for name in ("whenDeleted", "whenScaled"):
        value = (spec.get("persistentVolumeClaimRetentionPolicy") or {}).get(name)
        if value not in ("Delete", "Retain"):
            at = SPEC / "persistentVolumeClaimRetentionPolicy" / name
            found.append(not_supported(at, value, ("Delete", "Retain")))
    found += rules.not_negative(spec, SPEC, "replicas", "minReadySeconds")
    if ((spec.get("ordinals") or {}).get("start") or 0) < 0:
        at = SPEC / "ordinals.start"
        found.append(invalid(at, spec["ordinals"]["start"], "must be greater than or equal to 0"))
    found += _selector_and_template(spec, "StatefulSet")
    found += rules.if_named(SPEC / "serviceName", spec.get("serviceName"), names.dns_label_errors)
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or []):
        at = SPEC / "volumeClaimTemplates" % index / "spec"
        found += persistent_volume_claim.validate_spec(claim.get("spec") or {}, at)
    return found


_STATEFUL_SET_MAY_CHANGE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def validate_stateful_set_update(new: Object, old: Object) -> list[FieldError]:
    """Little may change. What was wrong with the templates already is no obstacle."""
    found = validate_stateful_set(new)
    wrong = {part for error in validate_stateful_set(old) if (part := _template_of(error))}
    found = [error for error in found if _template_of(error) not in wrong]
    after, before = copy(new.get("spec") or {}), copy(old.get("spec") or {})
    for field in _STATEFUL_SET_MAY_CHANGE:
        after.pop(field, None)
        before.pop(field, None)
    if after != before:
        detail = (
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )
        found.append(forbidden(SPEC, detail))
    return found


def _template_of(error: FieldError) -> str | None:
    """Which of the templates is it about, if any?"""
    parts = ("spec.template.", "spec.volumeClaimTemplates[")
    return next((part for part in parts if str(error.path).startswith(part)), None)


def validate_daemon_set(daemon_set: Object) -> list[FieldError]:
    """Selector, template, strategy."""
    spec = daemon_set.get("spec") or {}
    found = _selector_and_template(spec, "DaemonSet")
    found += rules.not_negative(spec, SPEC, "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in ("OnDelete", "RollingUpdate"):
        known = ("RollingUpdate", "OnDelete")
        found.append(not_supported(SPEC / "updateStrategy", _shown(strategy), known))
    if strategy.get("type") == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        at = SPEC / "updateStrategy" / "rollingUpdate"
        found += _amounts(rolling, at)
        if rules.is_nothing(rolling.get("maxUnavailable")) and rules.is_nothing(rolling.get("maxSurge")):
            found.append(required(at / "maxUnavailable", "cannot be 0 when maxSurge is 0"))
        if not rules.is_nothing(rolling.get("maxUnavailable")) and not rules.is_nothing(
            rolling.get("maxSurge")
        ):
            found.append(
                invalid(
                    at / "maxSurge", rolling["maxSurge"], "may not be set when maxUnavailable is non-zero"
                )
            )
    return found


def validate_daemon_set_update(new: Object, old: Object) -> list[FieldError]:
    """The selector stays."""
    return [*validate_daemon_set(new), *_selector_stays(new, old)]


def _selector_and_template(spec: Object, owner: str = "ReplicaSet") -> list[FieldError]:
    """A selector that can be read and chooses the template's labels; a template is judged only beside such a one."""
    selector, template = spec.get("selector"), spec.get("template") or {}
    found: list[FieldError] = []
    problems: list[FieldError] = []
    if selector is None:
        if owner != "DaemonSet":
            found.append(required(SPEC / "selector"))
    else:
        problems = validate_label_selector(selector, SPEC / "selector")
        found += problems
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            found.append(invalid(SPEC / "selector", {}, f"empty selector is invalid for {_SAID[owner]}"))
    if problems and owner != "DaemonSet":
        detail = "" if owner == "StatefulSet" else "invalid label selector"
        return [*found, invalid(SPEC / "selector", shown_selector(selector or {}), detail)]
    if not problems:
        found += _chosen(selector, template)
    found += pod.validate_template(
        _with_claims(template, spec) if owner == "StatefulSet" else template, SPEC / "template", ("Always",)
    )
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        at = SPEC / "template" / "spec" / "activeDeadlineSeconds"
        found.append(forbidden(at, f"activeDeadlineSeconds in {owner} is not Supported"))
    return found


_SAID = {"ReplicaSet": "deployment", "StatefulSet": "statefulset", "DaemonSet": "daemonset"}
"""Whose empty selector is refused; ReplicaSets say `deployment`, as upstream's do."""


def _chosen(selector: Object | None, template: Object) -> list[FieldError]:
    own = (template.get("metadata") or {}).get("labels")
    if labels.from_label_selector(selector).matches(own or {}):
        return []
    at = SPEC / "template" / "metadata" / "labels"
    return [invalid(at, own, "`selector` does not match template `labels`")]


def _with_claims(template: Object, spec: Object) -> Object:
    """The template with a volume for each claim template: containers may mount them by name."""
    claims = [
        name
        for claim in spec.get("volumeClaimTemplates") or []
        if (name := (claim.get("metadata") or {}).get("name"))
    ]
    if not claims:
        return template
    inner = template.get("spec") or {}
    own = [volume for volume in inner.get("volumes") or [] if volume.get("name") not in claims]
    more = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in dict.fromkeys(claims)]
    return {**template, "spec": {**inner, "volumes": [*own, *more]}}


def _selector_stays(new: Object, old: Object) -> list[FieldError]:
    return immutable(
        SPEC / "selector", (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector")
    )


def _deployment_strategy(strategy: Object, path: FieldPath) -> list[FieldError]:
    kind = strategy.get("type")
    if kind not in ("Recreate", "RollingUpdate"):
        return [not_supported(path, _shown(strategy), ("Recreate", "RollingUpdate"))]
    rolling = strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            why = "may not be specified when strategy `type` is 'Recreate'"
            return [forbidden(path / "rollingUpdate", why)]
        return []
    at = path / "rollingUpdate"
    found = _amounts(rolling or {}, at)
    if rules.is_nothing((rolling or {}).get("maxUnavailable")) and rules.is_nothing(
        (rolling or {}).get("maxSurge")
    ):
        found.append(
            invalid(
                at / "maxUnavailable",
                (rolling or {}).get("maxUnavailable"),
                "may not be 0 when `maxSurge` is 0",
            )
        )
    return found


def _amounts(rolling: Object, path: FieldPath) -> list[FieldError]:
    found = [
        error
        for field in ("maxUnavailable", "maxSurge")
        for error in rules.share(path / field, rolling.get(field))
    ]
    return found + rules.at_most_all(path / "maxUnavailable", rolling.get("maxUnavailable"))


_ROLLING = (
    ("partition", "Partition"), ("maxUnavailable", "MaxUnavailable"), ("maxSurge", "MaxSurge"),
)  # fmt: skip


def _shown(strategy: Object) -> InOrder:
    """A strategy as messages show it: by the names of the internal type."""
    rolling = strategy.get("rollingUpdate")
    inner = None if rolling is None else {name: rolling.get(key) for key, name in _ROLLING if key in rolling}
    return InOrder(Type=strategy.get("type") or "", RollingUpdate=inner)
