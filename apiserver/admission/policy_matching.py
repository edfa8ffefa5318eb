"""Which policies and bindings speak of a write, and with which parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace

from apiserver.admission.namespaces import Namespaces
from apiserver.admission.plugin import Attributes
from apiserver.admission.webhook_client import Convert, Versions
from kubarium.api.admissionregistration import matching
from kubarium.apimachinery import errors, labels
from kubarium.apimachinery.group_version import join, split
from kubarium.apimachinery.object import Object, labels_of, name_of, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client

API_VERSION = "admissionregistration.k8s.io/v1"

PluralOf = Callable[[str, str], tuple[str, bool] | None]
"""Plural of a kind by apiVersion and kind, and whether it lives in namespaces; None if it is not served."""


class ParamsMissing(Exception):
    """The parameters that a binding refers to cannot be had."""


class KindUnknown(ParamsMissing):
    """Nothing is served of the kind that a policy takes its parameters from, whatever a binding says."""


_REVIEWS = (
    ("authentication.k8s.io", "selfsubjectreviews"), ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"), ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"), ("authorization.k8s.io", "subjectaccessreviews"),
)  # fmt: skip
_POLICIES = tuple(
    (matching.GROUP, f"{sort}admissionpolic{end}")
    for sort in ("validating", "mutating")
    for end in ("ies", "ybindings")
)
_NEVER_MATCHED = frozenset(_REVIEWS + _POLICIES)
"""What no policy may touch, lest a cluster cannot be repaired. Source: upstream's exclusion of admission resources."""


@dataclass(frozen=True, slots=True)
class Match:
    """A policy that speaks of a write, with those of its bindings that do, and the version it wants to see."""

    policy: Object
    bindings: tuple[Object, ...]
    version: str


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
        namespaces: Namespaces,
        policies: str,
        bindings: str,
        versions: Versions,
        plural_of: PluralOf,
        convert: Convert,
    ) -> None:
        self._client = client
        self._policies = informers.informer(API_VERSION, policies).lister
        self._bindings = informers.informer(API_VERSION, bindings).lister
        self._namespaces = namespaces
        self._versions = versions
        self._plural_of = plural_of
        self._convert = convert

    async def namespace_of(self, attributes: Attributes) -> Object | None:
        """The namespace that the write is in, as expressions see it; a namespace itself is in none."""
        return await self._namespaces.of(attributes)

    async def matching(self, attributes: Attributes) -> AsyncIterator[Match]:
        """Policies with their bindings, in the order of their names."""
        if not len(self._policies) or attributes.resource[::2] in _NEVER_MATCHED:
            return
        by_policy: dict[str, list[Object]] = {}
        for binding in sorted(self._bindings.list(), key=name_of):
            by_policy.setdefault(spec_of(binding).get("policyName") or "", []).append(binding)
        for policy in sorted(self._policies.list(), key=name_of):
            bindings = by_policy.get(name_of(policy)) or []
            constraints = spec_of(policy).get("matchConstraints") or {}
            version = await self._matched(constraints, attributes) if bindings else None
            if version is None:
                continue
            bindings = [
                one for one in bindings if await self._binds(spec_of(one).get("matchResources"), attributes)
            ]
            if bindings:
                yield Match(policy, tuple(bindings), version)

    async def shown(self, attributes: Attributes, version: str) -> Attributes:
        """The write in the version that a policy speaks of."""
        if attributes.kind.group != attributes.resource.group or version == attributes.resource.version:
            return attributes
        wanted = join(attributes.resource.group, version)
        new, old = attributes.obj, attributes.old
        return replace(
            attributes,
            kind=attributes.kind._replace(version=version),
            resource=attributes.resource._replace(version=version),
            obj=await self._convert(new, wanted) if new is not None else None,
            old=await self._convert(old, wanted) if old is not None else None,
        )

    async def restored(self, obj: Object, attributes: Attributes) -> Object:
        """An object that was shown in another version, back in the request's."""
        wanted = attributes.new.get("apiVersion") or ""
        return obj if obj.get("apiVersion") == wanted else await self._convert(obj, wanted)

    async def _binds(self, match: Object | None, attributes: Attributes) -> bool:
        """A binding without rules takes all that its policy takes."""
        if not match:
            return True
        if (
            match.get("resourceRules")
            and self._rules_match(match["resourceRules"], match, attributes) is None
        ):
            return False
        return not self._excluded(match, attributes) and await self._selected(match, attributes)

    async def _matched(self, match: Object, attributes: Attributes) -> str | None:
        """The version in which a policy wants to see the object; None if it does not speak of the write."""
        if not await self._selected(match, attributes) or self._excluded(match, attributes):
            return None
        return self._rules_match(match.get("resourceRules") or [], match, attributes)

    def _excluded(self, match: Object, attributes: Attributes) -> bool:
        rules = match.get("excludeResourceRules")
        return bool(rules) and self._rules_match(rules or [], match, attributes) is not None

    async def _selected(self, match: Object, attributes: Attributes) -> bool:
        if match.get("namespaceSelector"):
            own = attributes.is_for("", "namespaces")
            namespace = (attributes.obj or attributes.old) if own else await self.namespace_of(attributes)
            if (own or attributes.namespace) and not matching.selects(
                match["namespaceSelector"], labels_of(namespace or {})
            ):
                return False
        new, old = attributes.obj, attributes.old
        return matching.selects(
            match.get("objectSelector"),
            labels_of(new) if new is not None else None,
            labels_of(old) if old is not None else None,
        )

    def _rules_match(self, rules: Sequence[Object], match: Object, attributes: Attributes) -> str | None:
        equivalent = match.get("matchPolicy") != "Exact"
        named = [rule for rule in rules
                 if not rule.get("resourceNames") or attributes.name in rule["resourceNames"]]  # fmt: skip
        return matching.matching_version(
            named,
            attributes.operation,
            attributes.resource,
            attributes.subresource,
            bool(attributes.namespace) and not attributes.is_for("", "namespaces"),
            self._versions(attributes.resource) if equivalent else (),
        )

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
            group, version = split(kind.get("apiVersion") or "")
            wanted = f"{group}/{version}, Kind={kind.get('kind')}"
            raise KindUnknown(f"failed to find resource referenced by paramKind: '{wanted}'")
        plural, namespaced = served
        if reference.get("namespace") and not namespaced:
            raise ParamsMissing("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
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
