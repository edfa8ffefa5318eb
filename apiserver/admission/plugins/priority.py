"""The name of a priority class becomes a number; one class at most is everybody's default."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client

_API = "scheduling.k8s.io/v1"
_PREEMPT_LOWER = "PreemptLowerPriority"


class Priority(AdmissionPlugin):
    """Looks up priority classes of pods."""

    name = "Priority"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods"), ("scheduling.k8s.io", "priorityclasses")})

    def __init__(self, client: Client, informers: Informers) -> None:
        self._classes = client.resource(_API, "priorityclasses")
        self._cached = informers.informer(_API, "priorityclasses").lister

    async def admit(self, attributes: Attributes) -> None:
        """Write the number into the pod."""
        if attributes.subresource or attributes.resource.resource != "pods":
            return
        spec = attributes.new.setdefault("spec", {})
        if attributes.operation == UPDATE:
            before = spec_of(attributes.old or {})
            for field in ("priority", "preemptionPolicy"):
                if spec.get(field) is None and before.get(field) is not None:
                    spec[field] = before[field]
            return
        found = await self._class_of(attributes, spec)
        number = found.get("value", 0) if found else 0
        policy = (found or {}).get("preemptionPolicy") or _PREEMPT_LOWER
        self._check(attributes, spec, number, policy)
        spec["priority"], spec["preemptionPolicy"] = number, policy

    async def _class_of(self, attributes: Attributes, spec: Object) -> Object | None:
        name = spec.get("priorityClassName")
        if not name:
            default = self._default()
            if default is not None:
                spec["priorityClassName"] = name_of(default)
            return default
        cached = self._cached.get("", name)
        if cached is not None:
            return cached
        try:
            return await self._classes.get(name)
        except errors.NotFound:
            raise attributes.forbidden(f"no PriorityClass with name {name} was found") from None

    def _default(self) -> Object | None:
        """The default class; the smallest number if two slipped in."""
        marked = [found for found in self._cached.list() if found.get("globalDefault")]
        return min(marked, key=lambda found: found.get("value", 0), default=None)

    @staticmethod
    def _check(attributes: Attributes, spec: Object, number: int, policy: str) -> None:
        given, given_policy = spec.get("priority"), spec.get("preemptionPolicy")
        if given is not None and given != number:
            raise attributes.forbidden(
                f"the integer value of priority ({given}) must not be provided in pod spec; priority admission "
                f"controller computed {number} from the given PriorityClass name"
            )
        if given_policy is not None and given_policy != policy:
            raise attributes.forbidden(
                f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; priority "
                f"admission controller computed {policy} from the given PriorityClass name"
            )

    async def validate(self, attributes: Attributes) -> None:
        """One default class at most."""
        if attributes.resource.resource != "priorityclasses" or not attributes.new.get("globalDefault"):
            return
        default = self._default()
        if default is not None and name_of(default) != name_of(attributes.new):
            text = (
                f"PriorityClass {name_of(default)} is already marked as default. Only one default can exist"
            )
            raise attributes.forbidden(text)
