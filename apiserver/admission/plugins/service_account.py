"""Every pod has an identity, and a volume with the token that proves it."""

from __future__ import annotations

import random

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core.pod import references
from kubarium.api.core.pod.static import is_mirror
from kubarium.apimachinery import errors, names
from kubarium.apimachinery.object import Object, copy, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

DEFAULT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
TOKEN_SECONDS = 3607  # asks for a token that lives on for old clients, see authentication/token_requests.py
_DEFAULT_ATTEMPTS = 10  # the account `default` is made moments after its namespace


class ServiceAccount(AdmissionPlugin):
    """Gives pods the account `default` if they name none, its pull secrets, and a token volume."""

    name = "ServiceAccount"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._accounts = client.resource("v1", "serviceaccounts")
        self._cached = informers.informer("v1", "serviceaccounts").lister
        self._clock = clock

    async def admit(self, attributes: Attributes) -> None:
        """Fill in what the pod leaves to its account."""
        if attributes.operation != CREATE or attributes.subresource:
            return
        pod = attributes.new
        if is_mirror(pod):
            return
        spec = pod.setdefault("spec", {})
        name = references.service_account_of(pod) or DEFAULT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await self._account(attributes, name)
        if _automounts(account, pod):
            mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = copy({"all": account["imagePullSecrets"]})["all"]

    async def validate(self, attributes: Attributes) -> None:
        """Mirror pods have no identity; all others exist by now."""
        if attributes.operation != CREATE or attributes.subresource:
            return
        pod = attributes.new
        if not is_mirror(pod):
            await self._account(attributes, references.service_account_of(pod))
        elif references.service_account_of(pod):
            raise attributes.forbidden("a mirror pod may not reference service accounts")
        elif any(references.secrets_of(pod)):
            raise attributes.forbidden("a mirror pod may not reference secrets")

    async def _account(self, attributes: Attributes, name: str) -> Object:
        found = self._cached.get(attributes.namespace, name)
        attempts = _DEFAULT_ATTEMPTS if name == DEFAULT else 1
        while found is None:
            try:
                found = await self._accounts.get(name, attributes.namespace)
            except errors.NotFound:
                attempts -= 1
                if not attempts:
                    where = f"{attributes.namespace}/{name}"
                    raise attributes.forbidden(
                        f'error looking up service account {where}: serviceaccount "{name}" not found'
                    ) from None
                await self._clock.sleep(random.uniform(0.1, 0.2))
        return found


def _automounts(account: Object, pod: Object) -> bool:
    for value in (
        spec_of(pod).get("automountServiceAccountToken"),
        account.get("automountServiceAccountToken"),
    ):
        if value is not None:
            return bool(value)
    return True


def mount_token(spec: Object) -> None:
    """Add the token volume, and mounts of it to every container that has nothing at its place."""
    volumes: list[Object] = spec.get("volumes") or []
    name = next((v["name"] for v in volumes if v.get("name", "").startswith(VOLUME_PREFIX)), "")
    fresh = not name
    name = name or VOLUME_PREFIX + names.random_suffix()
    needed = False
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            mounts = container.get("volumeMounts") or []
            if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
                mount = {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}
                container["volumeMounts"] = [*mounts, mount]
                needed = True
    if needed and fresh:
        spec["volumes"] = [*volumes, token_volume(name)]


def token_volume(name: str) -> Object:
    """Token, the cluster's CA and the namespace, side by side."""
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    ca = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": ca},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}
