"""Kinds that hold something for others: configuration, volumes, classes, bounds, namespaces, accounts."""

from __future__ import annotations

import base64

from kubarium.api.core.pod import claims
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.describers import containers
from kubarium.kubectl.describers.page import Page, go_list, map_text
from kubarium.kubectl.session import Session

MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
SCOPES = {
    "Terminating": "Matches all pods that have an active deadline. These pods have a limited lifespan on a node before "
    "being actively terminated by the system.",
    "NotTerminating": "Matches all pods that do not have an active deadline. These pods usually include long running "
    "pods whose container command is not expected to terminate.",
    "BestEffort": "Matches all pods that do not have resource requirements set. These pods have a best effort quality "
    "of service.",
    "NotBestEffort": "Matches all pods that have at least one resource requirement set. These pods have a burstable or "
    "guaranteed quality of service.",
}
LIMIT_HEADS = [
    "Type",
    "Resource",
    "Min",
    "Max",
    "Default Request",
    "Default Limit",
    "Max Limit/Request Ratio",
]


def head(obj: Object, page: Page) -> None:
    """Name, namespace, labels and annotations."""
    metadata = obj["metadata"]
    page.write(0, "Name:", metadata["name"])
    if metadata.get("namespace"):
        page.write(0, "Namespace:", metadata["namespace"])
    page.pairs(0, "Labels", metadata.get("labels"))
    page.annotations(0, metadata.get("annotations"))


async def config_map(session: Session, obj: Object, page: Page) -> None:
    """Every key with its text; of bytes only how many."""
    head(obj, page)
    page.write(0, "")
    page.write(0, "Data")
    page.write(0, "====")
    for key, text in sorted((obj.get("data") or {}).items()):
        page.write(0, f"{key}:")
        page.write(0, "----")
        for line in text.split("\n"):
            page.write(0, line)
        page.write(0, "")
    page.write(0, "")
    page.write(0, "BinaryData")
    page.write(0, "====")
    for key, text in sorted((obj.get("binaryData") or {}).items()):
        page.write(0, f"{key}: {len(base64.b64decode(text))} bytes")
    page.write(0, "")


async def secret(session: Session, obj: Object, page: Page) -> None:
    """How many bytes there are under each key, not which."""
    head(obj, page)
    page.write(0, "")
    page.write(0, "Type:", obj.get("type") or "")
    page.write(0, "")
    page.write(0, "Data")
    page.write(0, "====")
    for key, text in sorted((obj.get("data") or {}).items()):
        content = base64.b64decode(text)
        shown = content.decode() if key == "token" else f"{len(content)} bytes"
        page.write(0, f"{key}:", shown)


def _modes(obj: Object, field: str = "spec") -> str:
    return ",".join(MODES.get(mode, mode) for mode in (obj.get(field) or {}).get("accessModes") or [])


async def claim(session: Session, obj: Object, page: Page) -> None:
    """A claim, and which pods use it."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    page.write(0, "Name:", metadata["name"])
    page.write(0, "Namespace:", metadata["namespace"])
    page.write(0, "StorageClass:", spec.get("storageClassName") or "")
    leaving = metadata.get("deletionTimestamp")
    page.write(0, "Status:", "Terminating" if leaving else status.get("phase") or "")
    page.write(0, "Volume:", spec.get("volumeName") or "")
    page.pairs(0, "Labels", metadata.get("labels"))
    page.annotations(0, metadata.get("annotations"))
    page.write(0, "Finalizers:", go_list(metadata.get("finalizers") or []))
    bound = bool(spec.get("volumeName"))
    page.write(0, "Capacity:", str((status.get("capacity") or {}).get("storage") or "") if bound else "")
    page.write(0, "Access Modes:", _modes(obj, "status") if bound else "")
    if spec.get("volumeMode"):
        page.write(0, "VolumeMode:", spec["volumeMode"])
    if source := spec.get("dataSource"):
        page.write(0, "DataSource:")
        for title, field in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")):
            if source.get(field):
                page.write(1, f"{title}:", source[field])
    pods = (await session.client.resource("v1", "pods").list(namespace_of(obj)))["items"]
    page.listed(0, "Used By", [name_of(one) for one in pods if name_of(obj) in claims.names_in(one)])


async def volume(session: Session, obj: Object, page: Page) -> None:
    """A volume, where it may be used and where it comes from."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    page.write(0, "Name:", metadata["name"])
    page.pairs(0, "Labels", metadata.get("labels"))
    page.annotations(0, metadata.get("annotations"))
    page.write(0, "Finalizers:", go_list(metadata.get("finalizers") or []))
    page.write(0, "StorageClass:", spec.get("storageClassName") or "")
    leaving = metadata.get("deletionTimestamp")
    page.write(0, "Status:", "Terminating" if leaving else status.get("phase") or "")
    bound = spec.get("claimRef") or {}
    page.write(0, "Claim:", f"{bound['namespace']}/{bound['name']}" if bound else "")
    page.write(0, "Reclaim Policy:", spec.get("persistentVolumeReclaimPolicy") or "")
    page.write(0, "Access Modes:", _modes(obj))
    if spec.get("volumeMode"):
        page.write(0, "VolumeMode:", spec["volumeMode"])
    page.write(0, "Capacity:", str((spec.get("capacity") or {}).get("storage") or ""))
    _node_affinity(spec, page)
    page.write(0, "Message:", status.get("message") or "")
    page.write(0, "Source:")
    containers.source(spec, page)


def _node_affinity(spec: Object, page: Page) -> None:
    required = (spec.get("nodeAffinity") or {}).get("required")
    if not required:
        page.write(0, "Node Affinity:", "<none>")
        return
    page.write(0, "Node Affinity:", "")
    terms = required.get("nodeSelectorTerms") or []
    page.write(1, "Required Terms:", "" if terms else "<none>")
    for at, term in enumerate(terms):
        texts = []
        for one in term.get("matchExpressions") or []:
            values = f" [{', '.join(one['values'])}]" if one.get("values") else ""
            texts.append(f"{one['key']} {one['operator'].lower()}{values}")
        page.listed(2, f"Term {at}", texts)


async def storage_class(session: Session, obj: Object, page: Page) -> None:
    """How volumes of this class are made."""
    annotations = obj["metadata"].get("annotations") or {}
    page.write(0, "Name:", obj["metadata"]["name"])
    is_default = annotations.get("storageclass.kubernetes.io/is-default-class") == "true"
    page.write(0, "IsDefaultClass:", "Yes" if is_default else "No")
    _raw_annotations(obj, page)
    page.write(0, "Provisioner:", obj["provisioner"])
    page.write(0, "Parameters:", map_text(obj.get("parameters")))
    grows = obj.get("allowVolumeExpansion")
    page.write(0, "AllowVolumeExpansion:", "<unset>" if grows is None else str(grows))
    options = obj.get("mountOptions") or []
    if not options:
        page.write(0, "MountOptions:", "<none>")
    else:
        page.write(0, "MountOptions:")
        for one in options:
            page.write(1, one)
    for title, field in (("ReclaimPolicy", "reclaimPolicy"), ("VolumeBindingMode", "volumeBindingMode")):
        if obj.get(field):
            page.write(0, f"{title}:", obj[field])
    if obj.get("allowedTopologies"):
        page.write(0, "AllowedTopologies:", "")
        for at, term in enumerate(obj["allowedTopologies"]):
            texts = [
                f"{one['key']} in [{', '.join(one.get('values') or [])}]"
                for one in term.get("matchLabelExpressions") or []
            ]
            page.listed(1, f"Term {at}", texts)


async def attributes_class(session: Session, obj: Object, page: Page) -> None:
    """What volumes of this class can do."""
    page.write(0, "Name:", obj["metadata"]["name"])
    _raw_annotations(obj, page)
    page.write(0, "DriverName:", obj["driverName"])
    page.write(0, "Parameters:", map_text(obj.get("parameters")))


def _raw_annotations(obj: Object, page: Page) -> None:
    """Classes show all annotations in one cell, what kubectl keeps for itself included, as upstream."""
    first, *others = map_text(obj["metadata"].get("annotations")).split("\n")
    page.write(0, "Annotations:", first)
    for line in others:
        page.write(0, line)


async def priority_class(session: Session, obj: Object, page: Page) -> None:
    """What a name is worth."""
    page.write(0, "Name:", obj["metadata"]["name"])
    page.write(0, "Value:", str(obj.get("value") or 0))
    page.write(0, "GlobalDefault:", str(bool(obj.get("globalDefault"))).lower())
    page.write(0, "PreemptionPolicy:", obj.get("preemptionPolicy") or "")
    page.write(0, "Description:", obj.get("description") or "")
    _raw_annotations(obj, page)


def _quota_scopes(spec: Object, page: Page, indent: str, title: str) -> None:
    scopes = sorted(spec.get("scopes") or [])
    if scopes:
        page.write(0, title, ", ".join(scopes))
        for scope in scopes:
            if scope in SCOPES:
                page.write(0, f"{indent}* {SCOPES[scope]}")


async def quota(session: Session, obj: Object, page: Page) -> None:
    """What is allowed in a namespace, and used."""
    page.write(0, "Name:", obj["metadata"]["name"])
    page.write(0, "Namespace:", obj["metadata"]["namespace"])
    _quota_scopes(obj["spec"], page, " ", "Scopes:")
    status = obj.get("status") or {}
    page.table(0, ["Resource", "Used", "Hard"], _quota_rows(status))


def _quota_rows(status: Object) -> list[list[str]]:
    used = status.get("used") or {}
    return [
        [key, str(used.get(key, "0")), str(hard)] for key, hard in sorted((status.get("hard") or {}).items())
    ]


async def limit_range(session: Session, obj: Object, page: Page) -> None:
    """Bounds and defaults."""
    page.write(0, "Name:", obj["metadata"]["name"])
    page.write(0, "Namespace:", obj["metadata"]["namespace"])
    page.table(0, LIMIT_HEADS, _limit_rows(obj))


def _limit_rows(obj: Object, prefix: str = "") -> list[list[str]]:
    fields = ("min", "max", "defaultRequest", "default", "maxLimitRequestRatio")
    rows = []
    for item in obj["spec"].get("limits") or []:
        names = sorted({name for field in fields for name in item.get(field) or {}})
        for name in names:
            amounts = [str((item.get(field) or {}).get(name, "-")) for field in fields]
            rows.append([prefix + str(item["type"]), name, *amounts])
    return rows


async def namespace(session: Session, obj: Object, page: Page) -> None:
    """A namespace, with what is allowed in it."""
    name = obj["metadata"]["name"]
    page.write(0, "Name:", name)
    page.pairs(0, "Labels", obj["metadata"].get("labels"))
    page.annotations(0, obj["metadata"].get("annotations"))
    page.write(0, "Status:", (obj.get("status") or {}).get("phase") or "")
    if conditions := (obj.get("status") or {}).get("conditions"):
        page.write(0, "Conditions:")
        rows = [
            [
                one["type"],
                one["status"],
                one.get("lastTransitionTime") or "",
                one.get("reason") or "",
                one.get("message") or "",
            ]
            for one in conditions
        ]
        page.table(1, ["Type", "Status", "LastTransitionTime", "Reason", "Message"], rows)
    quotas = (await session.client.resource("v1", "resourcequotas").list(name))["items"]
    ranges = (await session.client.resource("v1", "limitranges").list(name))["items"]
    page.write(0, "")
    if not quotas:
        page.write(0, "No resource quota.")
    else:
        page.write(0, "Resource Quotas")
        for one in sorted(quotas, key=name_of):
            page.write(0, "  Name:", name_of(one))
            _quota_scopes(one["spec"], page, "  ", "  Scopes:")
            page.write(0, "  Resource", "Used", "Hard")
            page.write(0, "  --------", "---", "---")
            for row in _quota_rows(one.get("status") or {}):
                page.write(0, "  " + row[0], *row[1:])
    page.write(0, "")
    if not ranges:
        page.write(0, "No LimitRange resource.")
    else:
        page.write(0, "Resource Limits")
        page.write(0, " " + LIMIT_HEADS[0], *LIMIT_HEADS[1:])
        page.write(0, " ----", *("-" * len(each) for each in LIMIT_HEADS[1:]))
        for one in ranges:
            for row in _limit_rows(one, " "):
                page.write(0, *row)


async def service_account(session: Session, obj: Object, page: Page) -> None:
    """An account, and the secrets that go with it."""
    head(obj, page)
    page.listed(0, "Image pull secrets", [one["name"] for one in obj.get("imagePullSecrets") or []])
