"""Stories about accounts, certificates and roles."""

from __future__ import annotations

import base64

from cryptography import x509

from kubarium.apimachinery.object import Object
from kubarium.component_base.certificates import certificate_request
from tests.integration.controller_manager.world import World


async def test_every_namespace_has_an_account_and_the_authority(world: World) -> None:
    async def there() -> bool:
        await world.get("v1", "serviceaccounts", "default")
        data = (await world.get("v1", "configmaps", "kube-root-ca.crt"))["data"]
        return "BEGIN CERTIFICATE" in data["ca.crt"]

    await world.until(there)
    await world.resource("v1", "serviceaccounts").delete("default", world.namespace)
    await world.patch("v1", "configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "broken"}})
    await world.until(there)
    await world.resource("v1", "configmaps").delete("kube-root-ca.crt", world.namespace)
    await world.until(there)


async def test_a_token_secret_is_filled_and_goes_with_its_account(world: World) -> None:
    await world.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "robot-token", "annotations": {"kubernetes.io/service-account.name": "robot"}},
    }
    await world.create(secret)

    async def filled() -> bool:
        data = (await world.get("v1", "secrets", "robot-token")).get("data") or {}
        return {"token", "ca.crt", "namespace"} <= data.keys()

    await world.until(filled)
    stored = await world.get("v1", "secrets", "robot-token")
    token = base64.b64decode(stored["data"]["token"]).decode()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = await world.resource("authentication.k8s.io/v1", "tokenreviews").create(review)
    assert answer["status"]["user"]["username"] == f"system:serviceaccount:{world.namespace}:robot"
    await world.resource("v1", "serviceaccounts").delete("robot", world.namespace)

    async def gone() -> bool:
        return not await world.list("v1", "secrets")

    await world.until(gone)


async def test_a_kubelet_gets_its_certificate(world: World) -> None:
    pair = certificate_request(f"system:node:{world.namespace}", ["system:nodes"])
    requests = world.resource("certificates.k8s.io/v1", "certificatesigningrequests")
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": world.namespace},
        "spec": {
            "request": base64.b64encode(pair.cert_pem).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
            "expirationSeconds": 3600,
        },
    }
    await requests.create(request)

    async def signed() -> bool:
        return bool(((await requests.get(world.namespace)).get("status") or {}).get("certificate"))

    await world.until(signed)
    status = (await requests.get(world.namespace))["status"]
    assert status["conditions"][0]["reason"] == "AutoApproved"
    certificate = x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))
    assert f"system:node:{world.namespace}" in certificate.subject.rfc4514_string()
    await requests.delete(world.namespace)


async def test_roles_are_made_of_roles(world: World) -> None:
    roles = world.resource("rbac.authorization.k8s.io/v1", "clusterroles")
    label = {f"{world.namespace}/aggregate": "true"}
    whole = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{world.namespace}-whole"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]},
    }
    rule = {"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]}
    part = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{world.namespace}-part", "labels": label},
        "rules": [rule],
    }
    await roles.create(whole)
    await roles.create(part)

    async def rules(*wanted: Object) -> bool:
        return ((await roles.get(f"{world.namespace}-whole")).get("rules") or []) == list(wanted)

    await world.until(lambda: rules(rule))
    await roles.delete(f"{world.namespace}-part")
    await world.until(lambda: rules())
    await roles.delete(f"{world.namespace}-whole")


async def test_a_request_is_signed_once_somebody_approves(world: World) -> None:
    pair = certificate_request(world.namespace, [])
    requests = world.resource("certificates.k8s.io/v1", "certificatesigningrequests")
    spec = {
        "request": base64.b64encode(pair.cert_pem).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["digital signature", "client auth"],
    }
    kind = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
    made = await requests.create({**kind, "metadata": {"name": world.namespace}, "spec": spec})
    yes = {"type": "Approved", "status": "True", "reason": "ApprovedByTest", "message": "why not"}
    ignored = await requests.patch(world.namespace, {"status": {"conditions": [yes]}})
    assert not ignored["status"].get("conditions")  # only /approval is for that
    made["status"] = {"conditions": [yes]}
    approved = await requests.update(made, subresource="approval")
    assert approved["status"]["conditions"][0]["reason"] == "ApprovedByTest"

    async def signed() -> bool:
        return bool((await requests.get(world.namespace))["status"].get("certificate"))

    await world.until(signed)
    await requests.delete(world.namespace)
