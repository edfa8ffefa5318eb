"""Which policies and bindings speak of a write, and with which parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from apiserver.admission.plugin import Attributes
from apiserver.admission.webhook_client import Versions
from kubarium.api.admissionregistration import matching
from kubarium.apimachinery import errors, labels
from kubarium.apimachinery.object import Object, labels_of, name_of, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client

API_VERSION = "admissionregistration.k8s.io/v1"

PluralOf = Callable[[str, str], tuple[str, bool] | None]
"""Plural of a kind by apiVersion and kind, and whether it lives in namespaces; None if it is not served."""


class ParamsMissing(Exception):
    """The parameters that a binding refers to cannot be had."""


@dataclass(frozen=True, slots=True)
class Case:
    """One policy by one binding, with one set of parameters."""

    policy: Object
    binding: Object
    params: Object | None


class Policies:
    """Policies and bindings of one kind, from the informers' caches."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        policies: str,
        bindings: str,
        versions: Versions,
        plural_of: PluralOf,
    ) -> None:
        self._client = client
        self._policies = informers.informer(API_VERSION, policies).lister
        self._bindings = informers.informer(API_VERSION, bindings).lister
        self._namespaces = informers.informer("v1", "namespaces").lister
        self._versions = versions
        self._plural_of = plural_of

    def namespace_of(self, attributes: Attributes) -> Object | None:
        """The namespace that the write is in, as expressions and selectors see it."""
        if attributes.is_for("", "namespaces"):
            return attributes.obj or attributes.old
        return self._namespaces.get("", attributes.namespace) if attributes.namespace else None

    def matching(self, attributes: Attributes) -> Iterator[tuple[Object, Object]]:
        """Policy and binding, in the order of their names."""
        if not len(self._policies) or attributes.resource.group == matching.GROUP:
            return
        by_policy: dict[str, list[Object]] = {}
        for binding in sorted(self._bindings.list(), key=name_of):
            by_policy.setdefault(spec_of(binding).get("policyName") or "", []).append(binding)
        for policy in sorted(self._policies.list(), key=name_of):
            bindings = by_policy.get(name_of(policy))
            if bindings and self._matches(spec_of(policy).get("matchConstraints") or {}, attributes, True):
                for binding in bindings:
                    if self._matches(spec_of(binding).get("matchResources") or {}, attributes, False):
                        yield policy, binding

    def _matches(self, match: Object, attributes: Attributes, rules_needed: bool) -> bool:
        rules = match.get("resourceRules")
        if (rules or rules_needed) and not self._rules_match(rules or (), match, attributes):
            return False
        if match.get("excludeResourceRules") and self._rules_match(
            match["excludeResourceRules"], match, attributes
        ):
            return False
        if attributes.namespace and match.get("namespaceSelector"):
            namespace = self.namespace_of(attributes) or {}
            if not matching.selects(match["namespaceSelector"], labels_of(namespace)):
                return False
        new, old = attributes.obj, attributes.old
        return matching.selects(
            match.get("objectSelector"),
            labels_of(new) if new is not None else None,
            labels_of(old) if old is not None else None,
        )

    def _rules_match(self, rules: list[Object] | tuple[()], match: Object, attributes: Attributes) -> bool:
        equivalent = match.get("matchPolicy") != "Exact"
        named = [rule for rule in rules
                 if not rule.get("resourceNames") or attributes.name in rule["resourceNames"]]  # fmt: skip
        version = matching.matching_version(
            named,
            attributes.operation,
            attributes.resource,
            attributes.subresource,
            bool(attributes.namespace) and not attributes.is_for("", "namespaces"),
            self._versions(attributes.resource) if equivalent else (),
        )
        return version is not None

    async def cases(self, policy: Object, binding: Object, attributes: Attributes) -> list[Case]:
        """The binding once for each object of parameters. Raises ParamsMissing."""
        kind, reference = spec_of(policy).get("paramKind"), spec_of(binding).get("paramRef")
        if not kind or not reference:
            return [Case(policy, binding, None)]
        found = await self._params(kind, reference, attributes)
        if not found and reference.get("parameterNotFoundAction") == "Deny":
            raise ParamsMissing("no params found for policy binding with `Deny` parameterNotFoundAction")
        return [Case(policy, binding, params) for params in found]

    async def _params(self, kind: Object, reference: Object, attributes: Attributes) -> list[Object]:
        served = self._plural_of(kind.get("apiVersion") or "", kind.get("kind") or "")
        if served is None:
            raise ParamsMissing(f"failed to find resource referenced by paramKind: '{kind.get('kind')}'")
        plural, namespaced = served
        namespace = (reference.get("namespace") or attributes.namespace) if namespaced else ""
        if namespaced and not namespace:
            raise ParamsMissing(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
        resource = self._client.resource(kind["apiVersion"], plural)
        try:
            if reference.get("name"):
                return [await resource.get(reference["name"], namespace)]
            selector = str(labels.from_label_selector(reference.get("selector")))
            items: list[Object] = (await resource.list(namespace, label_selector=selector))["items"]
            return items
        except errors.NotFound:
            return []
