"""A namespace's labels say how much its pods may ask of their nodes.

`pod-security.kubernetes.io/enforce: restricted` refuses, `audit` notes, `warn` tells the client; the last two also for
the pod templates of workloads.
"""

from __future__ import annotations

import re

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.configuration import ConfigurationError
from kubarium.api.core.pod import security_standards as standards
from kubarium.apimachinery import errors
from kubarium.apimachinery.field_path import METADATA, FieldError, invalid
from kubarium.apimachinery.object import Object, labels_of, name_of, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.metrics import Counts
from kubarium.component_base.version import VERSION

_PREFIX = "pod-security.kubernetes.io/"
_MAX_PODS = 3000  # looked at when a namespace becomes stricter
_MODES = ("enforce", "audit", "warn")
_VERSION = re.compile(r"latest|v1\.(0|[1-9][0-9]*)")
_NEWEST_MINOR = int(VERSION.split(".")[1])
_EVALUATIONS = Counts(
    "pod_security_evaluations_total",
    "Number of policy evaluations that occurred, not counting ignored or exempt requests.",
    ("decision", "policy_level", "policy_version", "mode", "request_operation", "resource", "subresource"),
)
_TEMPLATES = frozenset(
    {("", "replicationcontrollers"), ("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"),
     ("apps", "daemonsets"), ("batch", "jobs"), ("batch", "cronjobs"), ("", "podtemplates")}
)  # fmt: skip


class PodSecurity(AdmissionPlugin):
    """Judges pods by the Pod Security Standards."""

    name = "PodSecurity"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods"), ("", "namespaces")}) | _TEMPLATES

    def __init__(self, client: Client, informers: Informers, configuration: Object | None = None) -> None:
        """Raises ConfigurationError."""
        given = configuration or {}
        self._defaults = _defaults(given.get("defaults") or {})
        exemptions = given.get("exemptions") or {}
        self._exempt_users = frozenset(exemptions.get("usernames") or ())
        self._exempt_classes = frozenset(exemptions.get("runtimeClasses") or ())
        self._exempt_namespaces = frozenset(exemptions.get("namespaces") or ())
        self._namespaces = client.resource("v1", "namespaces")
        self._pods = client.resource("v1", "pods")
        self._cached = informers.informer("v1", "namespaces").lister

    async def validate(self, attributes: Attributes) -> None:
        """Refuse, note or warn."""
        if attributes.subresource not in ("", "ephemeralcontainers"):
            return
        if attributes.is_for("", "namespaces"):
            self._check_labels(attributes)
            await self._warn_of_pods(attributes)
            return
        labels = {**self._defaults, **await self._labels(attributes.namespace)}
        if not any(key.startswith(_PREFIX) for key in labels):
            return
        is_pod = attributes.resource.resource == "pods"
        pod = attributes.new if is_pod else _template(attributes.new)
        if pod is None or self._is_exempt(attributes, pod) or (is_pod and _same_for_security(attributes)):
            return
        if is_pod:
            self._enforce(attributes, labels, pod)
        self._tell(attributes, labels, pod)

    def _is_exempt(self, attributes: Attributes, pod: Object) -> bool:
        why = (
            "namespace"
            if attributes.namespace in self._exempt_namespaces
            else "user"
            if attributes.user.name in self._exempt_users
            else "runtimeClass"
            if spec_of(pod).get("runtimeClassName") in self._exempt_classes
            else ""
        )
        if why:
            attributes.context.audit_annotations[_PREFIX + "exempt"] = why
        return bool(why)

    def _enforce(self, attributes: Attributes, labels: dict[str, str], pod: Object) -> None:
        level, version = _wanted(labels, "enforce")
        attributes.context.audit_annotations[_PREFIX + "enforce-policy"] = f"{level}:{version}"
        found = standards.violations(pod, level, version)
        _count(attributes, level, version, "enforce", bool(found))
        if found:
            raise attributes.forbidden(f'violates PodSecurity "{level}:{version}": {", ".join(found)}')

    def _tell(self, attributes: Attributes, labels: dict[str, str], pod: Object) -> None:
        for mode in ("audit", "warn"):
            level, version = _wanted(labels, mode)
            found = standards.violations(pod, level, version)
            text = f'would violate PodSecurity "{level}:{version}": {", ".join(found)}'
            if found:
                _count(attributes, level, version, mode, True)
            if found and mode == "warn":
                attributes.context.warn(text)
            elif found:
                attributes.context.audit_annotations[_PREFIX + "audit-violations"] = text

    async def _labels(self, namespace: str) -> dict[str, str]:
        cached = self._cached.get("", namespace)
        if cached is None:
            try:
                cached = await self._namespaces.get(namespace)
            except errors.NotFound:
                return {}
        return labels_of(cached)

    async def _warn_of_pods(self, attributes: Attributes) -> None:
        """A stricter level does not touch the pods that are there; say which would not be let in again."""
        if attributes.old is None or attributes.name in self._exempt_namespaces:
            return
        level, version = _wanted({**self._defaults, **labels_of(attributes.new)}, "enforce")
        before, earlier = _wanted({**self._defaults, **labels_of(attributes.old)}, "enforce")
        if (level, version) == (before, earlier) or level == "privileged":
            return
        if standards.LEVELS.index(level) < standards.LEVELS.index(before) and version == earlier:
            return
        pods = (await self._pods.list(attributes.name, limit=_MAX_PODS))["items"]
        offenders: dict[str, list[str]] = {}
        for pod in pods:
            found = standards.violations(pod, level, version)
            if found:
                offenders.setdefault(", ".join(text.partition(" (")[0] for text in found), []).append(
                    name_of(pod)
                )
        if offenders:
            attributes.context.warn(
                f'existing pods in namespace "{attributes.name}" violate the new PodSecurity enforce level '
                f'"{level}:{version}"'
            )
        for reasons, names in sorted(offenders.items()):
            more = {1: "", 2: " (and 1 other pod)"}.get(len(names), f" (and {len(names) - 1} other pods)")
            attributes.context.warn(f"{min(names)}{more}: {reasons}")

    @staticmethod
    def _check_labels(attributes: Attributes) -> None:
        labels, old = labels_of(attributes.new), labels_of(attributes.old or {})
        found: list[FieldError] = []
        for mode in _MODES:
            level, version = labels.get(_PREFIX + mode), labels.get(f"{_PREFIX}{mode}-version")
            if level is not None and level not in standards.LEVELS and level != old.get(_PREFIX + mode):
                text = f"must be one of {', '.join(standards.LEVELS)}"
                found.append(invalid((METADATA / "labels").key(_PREFIX + mode), level, text))
            if version is not None and not _VERSION.fullmatch(version):
                text = 'must be "latest" or "v1.x"'
                found.append(invalid((METADATA / "labels").key(f"{_PREFIX}{mode}-version"), version, text))
        if found:
            raise errors.Invalid.of("", "Namespace", name_of(attributes.new), found)


def _count(attributes: Attributes, level: str, version: str, mode: str, denied: bool) -> None:
    """Note what was found; allowed pods count only where they are judged in earnest, as upstream does it."""
    known = version if version == "latest" or int(version[3:]) <= _NEWEST_MINOR else "future"
    sort = "pod" if attributes.resource.resource == "pods" else "controller"
    asked = attributes.operation.lower(), sort, attributes.subresource
    _EVALUATIONS.add(("deny" if denied else "allow", level, known, mode, *asked))


def _defaults(given: Object) -> dict[str, str]:
    """The labels of a namespace that has none."""
    for mode in _MODES:
        level, version = given.get(mode) or "privileged", given.get(f"{mode}-version") or "latest"
        if level not in standards.LEVELS:
            allowed = ", ".join(f'"{name}"' for name in standards.LEVELS)
            text = f'defaults.{mode}: Invalid value: "{level}": must be one of {allowed}'
            raise ConfigurationError(text)
        if not _VERSION.fullmatch(version):
            text = f'defaults.{mode}-version: Invalid value: "{version}": must be "latest" or "v1.x"'
            raise ConfigurationError(text)
    return {_PREFIX + key: text for key, text in given.items() if text}


def _wanted(labels: dict[str, str], mode: str) -> tuple[str, str]:
    level = labels.get(_PREFIX + mode) or "privileged"
    known = level if level in standards.LEVELS else "restricted"
    version = labels.get(f"{_PREFIX}{mode}-version") or "latest"
    return known, version if _VERSION.fullmatch(version) else "latest"


def _template(obj: Object) -> Object | None:
    """The pod that a workload would make."""
    spec = spec_of(obj)
    if "jobTemplate" in spec:
        spec = spec_of(spec["jobTemplate"])
    return spec.get("template") or obj.get("template")


def _same_for_security(attributes: Attributes) -> bool:
    """Updates that leave containers and security settings alone were judged before."""
    if attributes.old is None:
        return False
    new, old = spec_of(attributes.new), spec_of(attributes.old)
    fields = ("containers", "initContainers", "ephemeralContainers", "securityContext", "volumes", "hostNetwork",
              "hostPID", "hostIPC")  # fmt: skip
    return all(new.get(field) == old.get(field) for field in fields)
