"""What the API server remarks on in a pod or a pod template without refusing it.

The texts are upstream's (`pkg/api/pod/warnings.go`); clients print them after `Warning:`. New pods pass here on the way
in, so that whatever a usual pod does not have costs one look.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core import node_labels, persistent_volume_claim, volume_warnings
from kubarium.api.core.pod.containers import all_containers
from kubarium.apimachinery import names, quantity
from kubarium.apimachinery.object import Object, annotations_of, name_of

SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR_CONTAINER = "container.apparmor.security.beta.kubernetes.io/"

_OLD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_NO_SELECTOR = "a null labelSelector results in matching no pod"
_WHOLE_BYTES = ("memory", "ephemeral-storage")


def warnings(pod: Object, old: Object | None) -> list[str]:
    """For a new pod. Changes come from programs mostly, which nobody's remarks reach."""
    if old is not None:
        return []
    return [*name_warnings(pod), *_of_pod(pod, "", is_template=False)]


def template_warnings(template: Object, path: str = "spec.template") -> list[str]:
    """For the pods that a workload will make."""
    return list(_of_pod(template, f"{path}.", is_template=True))


def name_warnings(obj: Object) -> list[str]:
    """Whose name becomes part of host names had better be a DNS label."""
    found = names.dns_label_errors(name_of(obj))
    if not found:
        return []
    return [
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
        f"a DNS label is recommended: [{' '.join(found)}]"
    ]


def _of_pod(pod: Object, path: str, is_template: bool) -> Iterator[str]:
    spec = pod.get("spec") or {}
    annotations = annotations_of(pod)
    at = f"{path}spec"
    yield from _placement(spec, at)
    if annotations:
        yield from _annotations(annotations, spec, path, is_template)
    if spec.get("volumes"):
        yield from _volumes(spec["volumes"], f"{at}.volumes")
    yield from _repeated(spec.get("hostAliases"), "ip", f"{at}.hostAliases")
    yield from _pull_secrets(spec.get("imagePullSecrets"), f"{at}.imagePullSecrets")
    if spec.get("overhead"):
        yield from _fractions(spec["overhead"], f"{at}.overhead")
    for where, container in _placed_containers(spec, at):
        yield from _container(container, where)
    yield from _ports(spec, at)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        yield (
            f"{at}.terminationGracePeriodSeconds: must be >= 0; "
            "negative values are invalid and will be treated as 1"
        )


def _placed_containers(spec: Object, at: str) -> Iterator[tuple[str, Object]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(kind) or ()):
            yield f"{at}.{kind}[{index}]", container


# -------------------------------------------------------------------------------------------------------- placement


def _placement(spec: Object, at: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or ():
        if key in node_labels.DEPRECATED:
            yield f"{at}.nodeSelector[{key}]: {node_labels.DEPRECATED[key]}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, key = f"{at}.topologySpreadConstraints[{index}]", constraint.get("topologyKey")
        if key in node_labels.DEPRECATED:
            yield f"{where}.topologyKey: {key} is {node_labels.DEPRECATED[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{where}.labelSelector: {_NO_SELECTOR}"
    affinity = spec.get("affinity")
    if not affinity:
        return
    yield from _node_affinity(affinity.get("nodeAffinity") or {}, f"{at}.affinity.nodeAffinity")
    for kind in ("podAffinity", "podAntiAffinity"):
        yield from _pod_affinity(affinity.get(kind) or {}, f"{at}.affinity.{kind}")


def _node_affinity(affinity: Object, at: str) -> Iterator[str]:
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    where = f"{at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    for index, term in enumerate(required.get("nodeSelectorTerms") or ()):
        yield from node_labels.term_warnings(term, f"{where}[{index}]")
    where = f"{at}.preferredDuringSchedulingIgnoredDuringExecution"
    for index, term in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        yield from node_labels.term_warnings(term.get("preference") or {}, f"{where}[{index}].preference")


def _pod_affinity(affinity: Object, at: str) -> Iterator[str]:
    for index, term in enumerate(affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
        if term.get("labelSelector") is None:
            yield f"{at}.requiredDuringSchedulingIgnoredDuringExecution[{index}].labelSelector: {_NO_SELECTOR}"
    where = f"{at}.preferredDuringSchedulingIgnoredDuringExecution"
    for index, weighted in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
            yield f"{where}[{index}].podAffinityTerm.labelSelector: {_NO_SELECTOR}"


# ------------------------------------------------------------------------------------------------ annotations, lists


def _annotations(annotations: dict[str, str], spec: Object, path: str, is_template: bool) -> Iterator[str]:
    at = f"{path}metadata.annotations"
    for key, text in _OLD_ANNOTATIONS.items():
        if key in annotations:
            yield f"{at}[{key}]: {text}"
    security = spec.get("securityContext") or {}
    if SECCOMP_POD in annotations and not security.get("seccompProfile"):
        yield f'{at}[{SECCOMP_POD}]: non-functional in v1.27+; use the "seccompProfile" field instead'
    for container in all_containers({"spec": spec}):
        own = container.get("securityContext") or {}
        key = f"{SECCOMP_CONTAINER}{container.get('name')}"
        if key in annotations and not own.get("seccompProfile"):
            yield f'{at}[{key}]: non-functional in v1.27+; use the "seccompProfile" field instead'
        key = f"{APPARMOR_CONTAINER}{container.get('name')}"
        has_profile = security.get("appArmorProfile") or own.get("appArmorProfile")
        if is_template and key in annotations and not has_profile:
            yield f'{at}[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'


def _repeated(items: list[Object] | None, key: str, at: str) -> Iterator[str]:
    seen = set()
    for index, item in enumerate(items or ()):
        text = item.get(key) or ""
        if text in seen:
            yield f'{at}[{index}].{key}: duplicate {key} "{text}"'
        seen.add(text)


def _pull_secrets(secrets: list[Object] | None, at: str) -> Iterator[str]:
    if not secrets:
        return
    yield from _repeated(secrets, "name", at)
    for index, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{at}[{index}].name: invalid empty name ""'


def _volumes(volumes: list[Object], at: str) -> Iterator[str]:
    for index, volume in enumerate(volumes):
        yield from volume_warnings.of_source(volume, f"{at}[{index}]")
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template:
            where = f"{at}[{index}].ephemeral.volumeClaimTemplate.spec"
            yield from persistent_volume_claim.spec_warnings(template.get("spec") or {}, where)
    yield from _token_paths(volumes, at)


def _token_paths(volumes: list[Object], at: str) -> Iterator[str]:
    """A file that lies where a projected token is to lie."""
    sources = [
        (f"{at}[{index}].projected.sources", source)
        for index, volume in enumerate(volumes)
        for source in (volume.get("projected") or {}).get("sources") or ()
    ]
    taken = {
        source["serviceAccountToken"].get("path")
        for _, source in sources
        if source.get("serviceAccountToken")
    }
    for where, source in sources if taken else ():
        for field_name, shown in (
            ("configMap", "configMap"),
            ("secret", "secrets"),
            ("downwardAPI", "downwardAPI"),
        ):
            for index, item in enumerate((source.get(field_name) or {}).get("items") or ()):
                if item.get("path") in taken:
                    yield f'{where}.{shown}[{index}]: has duplicated path with ServiceAccountToken "{item["path"]}"'
        path = (source.get("clusterTrustBundle") or {}).get("path")
        if path in taken:
            yield f'{where}.ClusterTrustBundle: has duplicated path with ServiceAccountToken "{path}"'


# -------------------------------------------------------------------------------------------------------- containers


def _container(container: Object, at: str) -> Iterator[str]:
    resources = container.get("resources")
    if resources:
        for kind in ("limits", "requests"):
            if resources.get(kind):
                yield from _fractions(resources[kind], f"{at}.resources.{kind}")
    env = container.get("env")
    if env and len(env) > 1:
        yield from _hidden_variables(env, f"{at}.env")


def _fractions(amounts: Object, at: str) -> Iterator[str]:
    for name in _WHOLE_BYTES:
        if name in amounts and quantity.milli_value(amounts[name]) % 1000:
            text = quantity.canonical(amounts[name])
            yield f'{at}[{name}]: fractional byte value "{text}" is invalid, must be an integer'


def _hidden_variables(env: list[Object], at: str) -> Iterator[str]:
    """A second definition is fine only if it extends the first: `PATH=$(PATH):/more`."""
    seen = set()
    for index, variable in enumerate(env):
        name, value = variable.get("name"), variable.get("value") or ""
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") or value == reference or reference not in value):
            yield f'{at}[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)


def _ports(spec: Object, at: str) -> Iterator[str]:
    seen: dict[tuple[object, object], list[tuple[str, Object]]] = {}
    for where, container in _placed_containers(spec, at):
        for index, port in enumerate(container.get("ports") or ()):
            here = f"{where}.ports[{index}]"
            others = seen.setdefault((port.get("containerPort"), port.get("protocol")), [])
            for there, other in others:
                clash = _clash(port, other)
                if clash:
                    yield f"{here}: {clash} port definition with {there}"
            others.append((here, port))


def _clash(port: Object, other: Object) -> str:
    ip, number = port.get("hostIP") or "", port.get("hostPort") or 0
    other_ip, other_number = other.get("hostIP") or "", other.get("hostPort") or 0
    if (ip, number) == (other_ip, other_number):
        return "duplicate"
    if not number or not other_number:
        return "overlapping"
    if number == other_number and bool(ip) != bool(other_ip):
        return "dangerously ambiguous"
    return ""
