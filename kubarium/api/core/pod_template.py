"""PodTemplate: a template on its own."""

from __future__ import annotations

from kubarium.api.core.pod import defaults, validation
from kubarium.api.core.pod import warnings as pod_warnings
from kubarium.apimachinery.field_path import ROOT, FieldError
from kubarium.apimachinery.object import Object


def fill_defaults(template: Object) -> None:
    """As in a controller."""
    defaults.fill_template(template.setdefault("template", {}))


def validate(template: Object) -> list[FieldError]:
    """As in a controller, with any restart policy."""
    return validation.validate_template(template.get("template") or {}, ROOT / "template", None)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def warnings(template: Object, old: Object | None) -> list[str]:
    """As in a controller."""
    return pod_warnings.template_warnings(template.get("template") or {}, "template")
