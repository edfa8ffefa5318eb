"""What else a pod needs from the API: the secrets, config maps, claims and accounts that it names."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.apimachinery.object import Object, name_of, spec_of, status_of

_SECRET_SOURCES = {
    "azureFile": "secretName",
    "secret": "secretName",
}
_SECRET_REFERENCES = ("cephfs", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos")


def service_account_of(pod: Object) -> str:
    """The name of the pod's service account."""
    spec = spec_of(pod)
    return spec.get("serviceAccountName") or spec.get("serviceAccount") or ""


def secrets_of(pod: Object) -> Iterator[str]:
    """Names of all secrets that the pod mentions; some more than once."""
    spec = spec_of(pod)
    for reference in spec.get("imagePullSecrets") or ():
        yield reference.get("name") or ""
    for container in _containers(spec):
        for source in container.get("envFrom") or ():
            yield from _name(source.get("secretRef"))
        for variable in container.get("env") or ():
            yield from _name((variable.get("valueFrom") or {}).get("secretKeyRef"))
    for volume in spec.get("volumes") or ():
        yield from _secrets_of_volume(volume)


def _secrets_of_volume(volume: Object) -> Iterator[str]:
    for source, field in _SECRET_SOURCES.items():
        if volume.get(source):
            yield volume[source].get(field) or ""
    for source in _SECRET_REFERENCES:
        if volume.get(source):
            yield from _name(volume[source].get("secretRef"))
    if volume.get("csi"):
        yield from _name(volume["csi"].get("nodePublishSecretRef"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _name(source.get("secret"))


def config_maps_of(pod: Object) -> Iterator[str]:
    """Names of all config maps that the pod mentions; some more than once."""
    spec = spec_of(pod)
    for container in _containers(spec):
        for source in container.get("envFrom") or ():
            yield from _name(source.get("configMapRef"))
        for variable in container.get("env") or ():
            yield from _name((variable.get("valueFrom") or {}).get("configMapKeyRef"))
    for volume in spec.get("volumes") or ():
        yield from _name(volume.get("configMap"))
        for projected in (volume.get("projected") or {}).get("sources") or ():
            yield from _name(projected.get("configMap"))


def claims_of(pod: Object) -> Iterator[str]:
    """Names of the volume claims that the pod uses, those made for its ephemeral volumes included."""
    for volume in spec_of(pod).get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"].get("claimName") or ""
        elif volume.get("ephemeral"):
            yield f"{name_of(pod)}-{volume.get('name')}"


def resource_claims_of(pod: Object) -> Iterator[str]:
    """Names of the device claims that the pod uses, those made from templates included."""
    made = {entry.get("name"): entry.get("resourceClaimName")
            for entry in status_of(pod).get("resourceClaimStatuses") or ()}  # fmt: skip
    for claim in spec_of(pod).get("resourceClaims") or ():
        name = claim.get("resourceClaimName") or made.get(claim.get("name"))
        if name:
            yield name


def _containers(spec: Object) -> Iterator[Object]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(field) or ()


def _name(reference: Object | None) -> Iterator[str]:
    if reference and reference.get("name"):
        yield reference["name"]
