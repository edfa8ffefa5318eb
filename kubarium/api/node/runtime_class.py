"""RuntimeClass: by which runtime a pod's containers are run, and what that costs.

Source: https://kubernetes.io/docs/concepts/containers/runtime-class/
"""

from __future__ import annotations

from kubarium.api.core.pod.container_validation import validate_resources
from kubarium.api.core.pod.placement_validation import validate_tolerations
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import ROOT, FieldError, InOrder, duplicate, immutable
from kubarium.apimachinery.metadata import validate_labels
from kubarium.apimachinery.object import Object


def validate(runtime_class: Object) -> list[FieldError]:
    """A handler; amounts and nodes that make sense."""
    found = rules.if_given(ROOT / "handler", runtime_class.get("handler") or "", names.dns_label_errors)
    overhead = (runtime_class.get("overhead") or {}).get("podFixed")
    if overhead:
        found += validate_resources({"limits": overhead}, ROOT / "overhead")
    scheduling = runtime_class.get("scheduling") or {}
    at = ROOT / "scheduling"
    found += validate_labels(scheduling.get("nodeSelector"), at / "nodeSelector")
    tolerations = scheduling.get("tolerations") or []
    for index, one in enumerate(tolerations):
        if one in tolerations[:index]:
            found.append(duplicate(at / "tolerations" % index, _shown(one)))
    # upstream names the field twice
    return found + validate_tolerations(tolerations, at / "tolerations" / "tolerations")


def _shown(toleration: Object) -> InOrder:
    """A toleration as messages show it: by the names of the internal type."""
    fields = {"Key": "key", "Operator": "operator", "Value": "value", "Effect": "effect"}
    shown = InOrder({name: toleration.get(key) or "" for name, key in fields.items()})
    shown["TolerationSeconds"] = toleration.get("tolerationSeconds")
    return shown


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The handler stays."""
    return [*validate(new), *immutable(ROOT / "handler", new.get("handler"), old.get("handler"))]
