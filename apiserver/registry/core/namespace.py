"""Namespaces: deleting one means Terminating, until the namespace controller has emptied it and `finalize`s it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apiserver.registry.metadata import domain_errors
from apiserver.registry.strategy import Strategy, keep, offers_of
from apiserver.request import RequestContext
from kubarium.api.core import namespace as noun
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import SPEC, FieldError, invalid
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, is_deleting, spec_of, status_of

SELECTABLE: Mapping[str, FieldGetter] = {
    "status.phase": lambda namespace: status_of(namespace).get("phase") or "",
}


@dataclass(frozen=True)
class NamespaceStrategy(Strategy):
    """A namespace ends when its own finalizers, those in `spec`, are gone too."""

    selectable_fields: Mapping[str, FieldGetter] = field(default_factory=lambda: SELECTABLE)

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        noun.fill_defaults(obj)
        obj["status"] = {"phase": "Active"}
        spec = obj.setdefault("spec", {})
        finalizers = spec.setdefault("finalizers", [])
        if noun.FINALIZER not in finalizers:
            finalizers.append(noun.FINALIZER)

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        noun.fill_defaults(new)
        keep(new, old, "status")
        spec = new.setdefault("spec", {})
        if "finalizers" in spec_of(old):
            spec["finalizers"] = list(spec_of(old)["finalizers"])

    def must_wait(self, obj: Object) -> bool:
        return bool(spec_of(obj).get("finalizers"))

    def is_finished(self, obj: Object) -> bool:
        return is_deleting(obj) and not spec_of(obj).get("finalizers") and super().is_finished(obj)

    def after_begin_delete(self, context: RequestContext, obj: Object) -> None:
        obj.setdefault("status", {})["phase"] = "Terminating"


def validate(namespace: Object) -> list[FieldError]:
    """Whoever must agree before the namespace goes has a qualified name."""
    path = SPEC / "finalizers"
    return [
        error
        for name in noun.finalizers_of(namespace)
        for error in (
            *(invalid(path, name or "", text) for text in names.qualified_name_errors(name or "")),
            *domain_errors(name or "", path),
        )
    ]


def prepare_finalize(context: RequestContext, new: Object, old: Object) -> None:
    """Only `spec.finalizers` comes from the request."""
    keep(new, old, "status")
    new["metadata"] = {**old["metadata"]}


def validate_finalize(new: Object, old: Object) -> list[FieldError]:
    """As at creation, but told with their places."""
    return [
        error
        for index, name in enumerate(noun.finalizers_of(new))
        for error in (
            *(invalid(SPEC / "finalizers" % index, name, text) for text in names.qualified_name_errors(name)),
            *domain_errors(name, SPEC / "finalizers" % index),
        )
    ]


STRATEGY = NamespaceStrategy(name_errors=names.dns_label_errors, validate=validate, **offers_of(noun))
