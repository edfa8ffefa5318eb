"""What makes a Deployment, ReplicaSet, StatefulSet or DaemonSet invalid."""

from __future__ import annotations

from kubarium.api.core import persistent_volume_claim
from kubarium.api.core.pod import validation as pod
from kubarium.apimachinery import labels, names, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_label_selector
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
    own = (template.get("metadata") or {}).get("labels") or {}
    if selector and not labels.from_map(selector).matches(own):
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
        found.append(invalid(SPEC / "updateStrategy", strategy.get("type"), detail))
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
    """Little may change."""
    found = validate_stateful_set(new)
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


def validate_daemon_set(daemon_set: Object) -> list[FieldError]:
    """Selector, template, strategy."""
    spec = daemon_set.get("spec") or {}
    found = _selector_and_template(spec, "DaemonSet")
    found += rules.not_negative(spec, SPEC, "minReadySeconds", "revisionHistoryLimit")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in ("OnDelete", "RollingUpdate"):
        at = SPEC / "updateStrategy" / "type"
        found.append(not_supported(at, strategy.get("type"), ("OnDelete", "RollingUpdate")))
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
    found: list[FieldError] = []
    selector, template = spec.get("selector"), spec.get("template") or {}
    own = (template.get("metadata") or {}).get("labels") or {}
    if selector is None:
        found.append(required(SPEC / "selector"))
    else:
        problems = validate_label_selector(selector, SPEC / "selector")
        found += problems
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            kind = "deployment" if owner == "ReplicaSet" else owner.lower()
            found.append(invalid(SPEC / "selector", selector, f"empty selector is invalid for {kind}"))
        elif not problems and not labels.from_label_selector(selector).matches(own):
            at = SPEC / "template" / "metadata" / "labels"
            found.append(invalid(at, own, "`selector` does not match template `labels`"))
    if owner == "StatefulSet":
        policy = (template.get("spec") or {}).get("restartPolicy")
        found += pod.validate_template_metadata(template, SPEC / "template")
        if policy != "Always":
            found.append(not_supported(SPEC / "template" / "spec" / "restartPolicy", policy, ("Always",)))
    else:
        found += pod.validate_template(template, SPEC / "template", ("Always",))
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        at = SPEC / "template" / "spec" / "activeDeadlineSeconds"
        found.append(forbidden(at, f"activeDeadlineSeconds in {owner} is not Supported"))
    return found


def _selector_stays(new: Object, old: Object) -> list[FieldError]:
    return immutable(
        SPEC / "selector", (new.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector")
    )


def _deployment_strategy(strategy: Object, path: FieldPath) -> list[FieldError]:
    kind = strategy.get("type")
    if kind not in ("Recreate", "RollingUpdate"):
        return [not_supported(path / "type", kind, ("Recreate", "RollingUpdate"))]
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
