"""PodTemplate: a template on its own."""

from __future__ import annotations

from kubarium.api.core.pod import defaults
from kubarium.apimachinery.object import Object


def fill_defaults(template: Object) -> None:
    """As in a controller."""
    defaults.fill_template(template.get("template"))
