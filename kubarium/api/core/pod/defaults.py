"""What an absent field of a pod means.

Source: the field descriptions of `PodSpec` in the API reference; kubelet, scheduler and controllers may rely on these
being filled in, for nobody else fills them.
"""

from __future__ import annotations

import re

from kubarium.api.core.pod import resources
from kubarium.apimachinery.object import Object

DEFAULT_MODE = 0o644
TOKEN_SECONDS = 3600
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def fill(pod: Object) -> None:
    """A pod as it is created."""
    spec = pod.setdefault("spec", {})
    fill_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    if spec["terminationGracePeriodSeconds"] < 0:  # of a pod only: templates keep what they were given
        spec["terminationGracePeriodSeconds"] = 1
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _requests_from_limits(container.get("resources") or {})
    if spec.get("resources"):
        _fill_pod_level(spec)


def fill_template(template: Object | None) -> None:
    """The pod inside a Deployment, a Job and their kind."""
    if template is not None:
        template.setdefault("metadata", {})
        fill_spec(template.setdefault("spec", {}))


def fill_spec(spec: Object) -> None:
    """What pods and templates share."""
    _default(spec, "dnsPolicy", "ClusterFirst")
    _default(spec, "restartPolicy", "Always")
    _default(spec, "schedulerName", "default-scheduler")
    if spec.get("terminationGracePeriodSeconds") is None:
        spec["terminationGracePeriodSeconds"] = 30
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if spec.get("serviceAccountName") and not spec.get("serviceAccount"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for volume in spec.get("volumes") or []:
        fill_volume(volume)
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(field) or []:
            fill_container(container)
            if spec.get("hostNetwork"):
                for port in container.get("ports") or []:
                    if not port.get("hostPort"):
                        port["hostPort"] = port.get("containerPort", 0)


def fill_container(container: Object) -> None:
    """Pull policy by tag, termination message, probes, ports."""
    _default(container, "terminationMessagePath", "/dev/termination-log")
    _default(container, "terminationMessagePolicy", "File")
    _default(container, "imagePullPolicy", pull_policy(container.get("image") or ""))
    if container.get("resources") is None:
        container["resources"] = {}
    for port in container.get("ports") or []:
        _default(port, "protocol", "TCP")
    for variable in container.get("env") or []:
        _fill_field_ref((variable.get("valueFrom") or {}).get("fieldRef"))
        file_key = (variable.get("valueFrom") or {}).get("fileKeyRef")
        if file_key is not None:
            file_key.setdefault("optional", False)
    for name in _PROBES:
        if container.get(name):
            _fill_probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _fill_http_get(hook.get("httpGet"))
    security = container.get("securityContext")
    if security is not None and "procMount" in security and security["procMount"] is None:
        del security["procMount"]


MAX_IMAGE_NAME = 255
_REFERENCE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?"
)
"""A name of an image with a tag perhaps (github.com/distribution/reference); others have no tag that says `latest`."""


def pull_policy(image: str) -> str:
    """Always for `latest`, said or unsaid; else once is enough."""
    if (
        "@" in image
        or len(image.rpartition(":")[0] or image) > MAX_IMAGE_NAME
        or not _REFERENCE.fullmatch(image)
    ):
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2] or "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def fill_volume(volume: Object) -> None:
    """A volume that names no source is an emptyDir."""
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(source) is not None and volume[source].get("defaultMode") is None:
            volume[source]["defaultMode"] = DEFAULT_MODE
    for item in (volume.get("downwardAPI") or {}).get("items") or []:
        _fill_field_ref(item.get("fieldRef"))
    for part in (volume.get("projected") or {}).get("sources") or []:
        for item in (part.get("downwardAPI") or {}).get("items") or []:
            _fill_field_ref(item.get("fieldRef"))
        token = part.get("serviceAccountToken")
        if token is not None and token.get("expirationSeconds") is None:
            token["expirationSeconds"] = TOKEN_SECONDS
    if volume.get("hostPath") is not None and volume["hostPath"].get("type") is None:
        volume["hostPath"]["type"] = ""
    if volume.get("iscsi") is not None:
        _default(volume["iscsi"], "iscsiInterface", "default")
    if volume.get("image") is not None:
        _default(volume["image"], "pullPolicy", pull_policy(volume["image"].get("reference") or ""))
    claim = ((volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}).get("spec")
    if claim is not None:
        _default(claim, "volumeMode", "Filesystem")


def _fill_probe(probe: Object) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        if not probe.get(field):
            probe[field] = value
    _fill_http_get(probe.get("httpGet"))
    if probe.get("grpc") is not None and probe["grpc"].get("service") is None:
        probe["grpc"]["service"] = ""


def _fill_http_get(action: Object | None) -> None:
    if action is not None:
        _default(action, "path", "/")
        _default(action, "scheme", "HTTP")


def _fill_field_ref(reference: Object | None) -> None:
    if reference is not None:
        _default(reference, "apiVersion", "v1")


def _requests_from_limits(wanted: Object) -> None:
    """A limit without a request is also the request."""
    for name, quantity in (wanted.get("limits") or {}).items():
        requests = wanted.get("requests")
        if requests is None:
            requests = wanted["requests"] = {}
        requests.setdefault(name, quantity)


def _fill_pod_level(spec: Object) -> None:
    """What a pod with limits of its own asks for: what its containers do, else as much as its limits.

    Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/2837-pod-level-resource-spec
    """
    whole = spec["resources"]
    inner = {key: value for key, value in spec.items() if key not in ("resources", "overhead")}
    if whole.get("limits") or whole.get("requests"):
        for name, text in resources.quantities_of(inner, "limits").items():
            if name.startswith("hugepages-") and name not in (whole.get("requests") or {}):
                whole.setdefault("limits", {}).setdefault(name, text)
    if not whole.get("limits"):
        return
    for name, text in resources.quantities_of(inner, "requests").items():
        if name in ("cpu", "memory"):
            whole.setdefault("requests", {}).setdefault(name, text)
    _requests_from_limits(whole)


def _default(target: Object, field: str, value: str) -> None:
    if not target.get(field):
        target[field] = value
