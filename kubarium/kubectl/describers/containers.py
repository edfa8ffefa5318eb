"""Containers and volumes, of pods and of templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubarium.api.core.pod import fields as pod_fields
from kubarium.apimachinery.object import Object
from kubarium.kubectl.describers.page import Page, go_list, moment

FieldValue = Callable[[str], str]


def pod_template(template: Object, page: Page) -> None:
    """What a workload's pods are made from."""
    page.write(0, "Pod Template:")
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    page.pairs(1, "Labels", metadata.get("labels"))
    if metadata.get("annotations"):
        page.annotations(1, metadata["annotations"])
    if spec.get("serviceAccountName"):
        page.write(1, "Service Account:", spec["serviceAccountName"])
    if spec.get("initContainers"):
        of_list("Init Containers", spec["initContainers"], {}, page, " ", lambda path: "")
    of_list("Containers", spec.get("containers") or [], {}, page, " ", lambda path: "")
    volumes(spec.get("volumes") or [], page, " ")
    for constraint in spec.get("topologySpreadConstraints") or []:
        spread(constraint, page, 1)
    if spec.get("priorityClassName"):
        page.write(1, "Priority Class Name:", spec["priorityClassName"])
    page.pairs(1, "Node-Selectors", spec.get("nodeSelector"))
    tolerations(spec.get("tolerations") or [], page, 1)


def spread(constraint: Object, page: Page, level: int) -> None:
    """How evenly the pods must be spread."""
    text = (
        f"{constraint['topologyKey']}:{constraint['whenUnsatisfiable']} when max skew {constraint['maxSkew']}"
    )
    page.write(level, "Topology Spread Constraints:", text + " is exceeded")


def tolerations(listed: Sequence[Object], page: Page, level: int) -> None:
    """Which taints are tolerated, and for how long."""
    texts = []
    for one in sorted(listed, key=lambda each: str(each.get("key") or "")):
        text = str(one.get("key") or "")
        text += f"={one['value']}" if one.get("value") else ""
        text += f":{one['effect']}" if one.get("effect") else ""
        if one.get("operator") == "Exists":
            text += " op=Exists" if text else "op=Exists"
        if one.get("tolerationSeconds") is not None:
            text += f" for {one['tolerationSeconds']}s"
        texts.append(text)
    page.listed(level, "Tolerations", texts)


def of_list(
    title: str,
    listed: Sequence[Object],
    statuses: Mapping[str, Object],
    page: Page,
    space: str,
    value: FieldValue,
) -> None:
    """A group of containers."""
    page.write(0, (space and "  ") + f"{title}:")
    for container in listed:
        status = statuses.get(container["name"])
        page.write(1, f"{space}{container['name']}:")
        _basics(container, status, page)
        _words("Command", container.get("command"), page)
        _words("Args", container.get("args"), page)
        if status:
            _state(container, status, page)
        _resources(container, page)
        _probes(container, page)
        _sources(container.get("envFrom") or [], page)
        _environment(container, page, value)
        _mounts(container, page)


def _basics(container: Object, status: Object | None, page: Page) -> None:
    if status:
        page.write(2, "Container ID:", status.get("containerID") or "")
    page.write(2, "Image:", container.get("image") or "")
    if status:
        page.write(2, "Image ID:", status.get("imageID") or "")
    ports = container.get("ports") or []
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        texts = [
            f"{one.get(field) or 0}/{one.get('protocol') or 'TCP'}"
            + (f" ({one['name']})" if one.get("name") else "")
            for one in ports
        ]
        page.write(2, f"{title}{'s' if len(texts) > 1 else ''}:", ", ".join(texts) or "<none>")


def _words(title: str, words: Sequence[str] | None, page: Page) -> None:
    if words:
        page.write(2, f"{title}:")
        for word in words:
            for line in word.split("\n"):
                page.write(3, f"{line}")


def _state(container: Object, status: Object, page: Page) -> None:
    _one_state("State", status.get("state") or {}, page)
    if (status.get("lastState") or {}).get("terminated"):
        _one_state("Last State", status["lastState"], page)
    page.write(2, "Ready:", str(bool(status.get("ready"))))
    page.write(2, "Restart Count:", str(status.get("restartCount") or 0))


def _one_state(title: str, state: Object, page: Page) -> None:
    if running := state.get("running"):
        page.write(2, f"{title}:", "Running")
        page.write(3, "Started:", moment(running.get("startedAt")))
    elif ended := state.get("terminated"):
        page.write(2, f"{title}:", "Terminated")
        for field in ("reason", "message"):
            if ended.get(field):
                page.write(3, f"{field.capitalize()}:", ended[field])
        page.write(3, "Exit Code:", str(ended.get("exitCode") or 0))
        if ended.get("signal"):
            page.write(3, "Signal:", str(ended["signal"]))
        page.write(3, "Started:", moment(ended.get("startedAt")))
        page.write(3, "Finished:", moment(ended.get("finishedAt")))
    else:
        page.write(2, f"{title}:", "Waiting")
        if reason := (state.get("waiting") or {}).get("reason"):
            page.write(3, "Reason:", reason)


def _resources(container: Object, page: Page) -> None:
    found = container.get("resources") or {}
    for side in ("limits", "requests"):
        if found.get(side):
            page.write(2, f"{side.capitalize()}:")
            for name, amount in sorted(found[side].items()):
                page.write(3, f"{name}:", str(amount))


def _probes(container: Object, page: Page) -> None:
    for kind in ("liveness", "readiness", "startup"):
        if found := container.get(f"{kind}Probe"):
            page.write(2, f"{kind.capitalize()}:", probe(found))


def probe(found: Object) -> str:
    """A probe in one line."""
    attributes = (
        f"delay={found.get('initialDelaySeconds') or 0}s timeout={found.get('timeoutSeconds') or 0}s "
        f"period={found.get('periodSeconds') or 0}s #success={found.get('successThreshold') or 0} "
        f"#failure={found.get('failureThreshold') or 0}"
    )
    if asked := found.get("exec"):
        return f"exec {go_list(asked.get('command') or [])} {attributes}"
    if asked := found.get("httpGet"):
        scheme, path = (asked.get("scheme") or "HTTP").lower(), asked.get("path") or ""
        return f"http-get {scheme}://{asked.get('host') or ''}:{asked['port']}{path} {attributes}"
    if asked := found.get("tcpSocket"):
        return f"tcp-socket {asked.get('host') or ''}:{asked['port']} {attributes}"
    if asked := found.get("grpc"):
        return f"grpc <pod>:{asked['port']} {asked.get('service') or ''} {attributes}"
    return f"unknown {attributes}"


def _sources(listed: Sequence[Object], page: Page) -> None:
    if listed:
        page.write(2, "Environment Variables from:")
    for one in listed:
        kind = "ConfigMap" if one.get("configMapRef") else "Secret"
        about = one.get("configMapRef") or one.get("secretRef") or {}
        prefix = f" with prefix '{one['prefix']}'" if one.get("prefix") else ""
        optional = str(bool(about.get("optional"))).lower()
        page.write(3, f"{about.get('name')}", f"{kind}{prefix}", f"Optional: {optional}")


def _environment(container: Object, page: Page, value: FieldValue) -> None:
    listed = container.get("env") or []
    page.write(2, "Environment:", *([] if listed else ["<none>"]))
    for one in listed:
        source = one.get("valueFrom") or {}
        name = f"{one['name']}:"
        if found := source.get("fieldRef"):
            text = f"{value(found['fieldPath'])} ({found.get('apiVersion') or 'v1'}:{found['fieldPath']})"
            page.write(3, name, text)
        elif found := source.get("resourceFieldRef"):
            page.write(3, name, f"{_amount(container, found)} ({found['resource']})")
        elif found := source.get("secretKeyRef"):
            optional = str(bool(found.get("optional"))).lower()
            text = f"<set to the key '{found['key']}' in secret '{found['name']}'>"
            page.write(3, name, text, f"Optional: {optional}")
        elif found := source.get("configMapKeyRef"):
            optional = str(bool(found.get("optional"))).lower()
            text = f"<set to the key '{found['key']}' of config map '{found['name']}'>"
            page.write(3, name, text, f"Optional: {optional}")
        else:
            first, *others = str(one.get("value") or "").split("\n")
            page.write(3, name, first)
            for line in others:
                page.write(3, "", line)


def _amount(container: Object, reference: Object) -> str:
    try:
        return pod_fields.resource_value({}, container, reference, {})
    except (LookupError, ValueError):
        return "<unknown>"


def _mounts(container: Object, page: Page) -> None:
    mounts = sorted(container.get("volumeMounts") or [], key=lambda one: str(one["mountPath"]))
    page.write(2, "Mounts:", *([] if mounts else ["<none>"]))
    for one in mounts:
        flags = ["ro" if one.get("readOnly") else "rw"]
        if one.get("subPath"):
            flags.append(f'path="{one["subPath"]}"')
        page.write(3, f"{one['mountPath']} from {one['name']} ({','.join(flags)})")
    if devices := container.get("volumeDevices"):
        page.write(2, "Devices:")
        for one in sorted(devices, key=lambda each: str(each["devicePath"])):
            page.write(3, f"{one['devicePath']} from {one['name']}")


def field_values(pod: Object) -> FieldValue:
    """What a pod's variables stand for."""
    status = pod.get("status") or {}

    def value(path: str) -> str:
        try:
            host_ips = [one["ip"] for one in status.get("hostIPs") or []]
            pod_ips = [one["ip"] for one in status.get("podIPs") or []]
            return pod_fields.field_value(pod, path, host_ips=host_ips, pod_ips=pod_ips)
        except (LookupError, ValueError):
            return ""

    return value


_SOURCES: dict[str, tuple[str, tuple[tuple[str, str, Any], ...]]] = {
    "hostPath": (
        "HostPath (bare host directory volume)",
        (("Path", "path", ""), ("HostPathType", "type", "")),
    ),
    "emptyDir": (
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (("Medium", "medium", ""), ("SizeLimit", "sizeLimit", "<unset>")),
    ),
    "secret": (
        "Secret (a volume populated by a Secret)",
        (("SecretName", "secretName", ""), ("Optional", "optional", False)),
    ),
    "configMap": (
        "ConfigMap (a volume populated by a ConfigMap)",
        (("Name", "name", ""), ("Optional", "optional", False)),
    ),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName", "claimName", ""), ("ReadOnly", "readOnly", False)),
    ),
    "nfs": (
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        (("Server", "server", ""), ("Path", "path", ""), ("ReadOnly", "readOnly", False)),
    ),
    "local": (
        "LocalVolume (a persistent volume backed by local storage on a node)",
        (("Path", "path", ""),),
    ),
    "image": (
        "Image (a container image or OCI artifact)",
        (("Reference", "reference", ""), ("PullPolicy", "pullPolicy", "")),
    ),
}


def volumes(listed: Sequence[Object], page: Page, space: str) -> None:
    """The volumes of a pod."""
    if not listed:
        page.write(0, (space and "  ") + "Volumes:", "<none>")
        return
    page.write(0, (space and "  ") + "Volumes:")
    for one in listed:
        page.write(1, f"{space}{one['name']}:")
        source(one, page)


def source(one: Object, page: Page) -> None:
    """Where a volume's content comes from."""
    for kind, (text, fields) in _SOURCES.items():
        if kind in one:
            page.write(2, "Type:", text)
            for title, field, otherwise in fields:
                found = one[kind].get(field, otherwise)
                page.write(2, f"{title}:", str(found).lower() if isinstance(found, bool) else str(found))
            return
    if "projected" in one:
        _projected(one["projected"], page)
    elif "downwardAPI" in one:
        page.write(2, "Type:", "DownwardAPI (a volume populated by information about the pod)")
        page.write(2, "Items:")
        for item in one["downwardAPI"].get("items") or []:
            about = item.get("fieldRef") or item.get("resourceFieldRef") or {}
            text = about.get("fieldPath") or f"{about.get('resource')} of {about.get('containerName')}"
            page.write(3, f"{text} -> {item['path']}")
    elif "ephemeral" in one:
        page.write(
            2,
            "Type:",
            "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
        )
    elif "csi" in one:
        _csi(one["csi"], page)
    else:
        page.write(2, "<unknown>")


def _csi(found: Object, page: Page) -> None:
    page.write(2, "Type:", "CSI (a Container Storage Interface (CSI) volume source)")
    page.write(2, "Driver:", found.get("driver") or "")
    page.write(2, "FSType:", found.get("fsType") or "")
    if "volumeHandle" in found:
        page.write(2, "VolumeHandle:", found["volumeHandle"])
    page.write(2, "ReadOnly:", str(bool(found.get("readOnly"))).lower())
    attributes = found.get("volumeAttributes") or {}
    page.pairs(2, "VolumeAttributes", attributes)


def _projected(found: Object, page: Page) -> None:
    page.write(2, "Type:", "Projected (a volume that contains injected data from multiple sources)")
    for one in found.get("sources") or []:
        if about := one.get("secret"):
            page.write(2, "SecretName:", about.get("name") or "")
            page.write(2, "Optional:", str(bool(about.get("optional"))).lower())
        elif "downwardAPI" in one:
            page.write(2, "DownwardAPI:", "true")
        elif about := one.get("configMap"):
            page.write(2, "ConfigMapName:", about.get("name") or "")
            page.write(2, "Optional:", str(bool(about.get("optional"))).lower())
        elif about := one.get("serviceAccountToken"):
            page.write(2, "TokenExpirationSeconds:", str(about.get("expirationSeconds") or ""))
