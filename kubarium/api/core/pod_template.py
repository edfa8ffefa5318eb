"""PodTemplate: a template on its own."""

from __future__ import annotations

from kubarium.api.core.pod import defaults
from kubarium.api.core.pod import warnings as pod_warnings
from kubarium.apimachinery.object import Object


def fill_defaults(template: Object) -> None:
    """As in a controller."""
    defaults.fill_template(template.get("template"))


def warnings(template: Object, old: Object | None) -> list[str]:
    """As in a controller."""
    return pod_warnings.template_warnings(template.get("template") or {}, "template")
