"""Who is recognised, who is refused, and in which words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from tests.integration.running import ApiServer

RBAC = "rbac.authorization.k8s.io"


def token_client(server: ApiServer, token: str) -> Client:
    return Client(ClientConfig(server.url, ca_data=server.credentials.ca.cert_pem, token=token))


async def test_refusals_speak_like_upstream(bob: Client, api_server: ApiServer) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        await bob.resource("v1", "pods").list("default")
    assert refused.value.message == (
        'pods is forbidden: User "bob" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    with pytest.raises(errors.Forbidden) as refused:
        await bob.resource("v1", "nodes").get("x")
    assert refused.value.message == (
        'nodes "x" is forbidden: User "bob" cannot get resource "nodes" in API group "" at the cluster scope'
    )
    assert refused.value.details == {"name": "x", "kind": "nodes"}
    with pytest.raises(errors.Forbidden, match='forbidden: User "bob" cannot get path "/metrics"'):
        await bob.request("GET", "/metrics")
    async with token_client(api_server, "nonsense") as nobody:
        with pytest.raises(errors.Unauthorized, match=r"^Unauthorized$"):
            await nobody.request("GET", "/version")
    async with token_client(api_server, "") as anonymous:
        assert (await anonymous.request("GET", "/version"))["minor"]
        with pytest.raises(errors.Forbidden, match='User "system:anonymous"'):
            await anonymous.resource("v1", "secrets").list("kube-system")


async def test_a_binding_takes_effect_and_nobody_gives_away_more(
    client: Client, bob: Client, namespace: str
) -> None:
    api = f"{RBAC}/v1"
    binding: dict[str, Any] = {
        "apiVersion": api, "kind": "RoleBinding", "metadata": {"name": "bob", "namespace": namespace},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "system:aggregate-to-admin"},
        "subjects": [{"kind": "User", "name": "bob", "apiGroup": RBAC}],
    }  # fmt: skip
    await client.resource(api, "rolebindings").create(binding)
    async with asyncio.timeout(60):
        while True:
            try:
                await bob.resource(api, "roles").list(namespace)
                break
            except errors.Forbidden:
                await asyncio.sleep(0.01)
    greedy = {
        "apiVersion": api, "kind": "Role", "metadata": {"name": "greedy", "namespace": namespace},
        "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}],
    }  # fmt: skip
    with pytest.raises(errors.Forbidden) as refused:
        await bob.resource(api, "roles").create(greedy)
    assert 'user "bob" (groups=["system:authenticated"]) is attempting to grant' in refused.value.message
    assert '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get"]}' in refused.value.message
    modest = {**greedy, "rules": [{"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["get"]}]}
    await bob.resource(api, "roles").create(modest)
    crown = {**binding, "metadata": {"name": "crown", "namespace": namespace},
             "roleRef": {**binding["roleRef"], "name": "cluster-admin"}}  # fmt: skip
    with pytest.raises(errors.Forbidden, match="attempting to grant"):
        await bob.resource(api, "rolebindings").create(crown)


async def test_impersonation_needs_a_right_for_each_part(api_server: ApiServer, client: Client) -> None:
    asked = {"Impersonate-User": "jane", "Impersonate-Group": "devs", "Impersonate-Extra-Team%2fA": "x"}
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    async with Client(api_server.config(), headers=asked) as jane:
        answer = await jane.resource("authentication.k8s.io/v1", "selfsubjectreviews").create(review)
    assert answer["status"]["userInfo"] == {
        "username": "jane", "groups": ["devs", "system:authenticated"], "extra": {"team/a": ["x"]},
    }  # fmt: skip
    async with Client(api_server.config("bob", ()), headers=asked) as thief:
        with pytest.raises(
            errors.Forbidden,
            match='forbidden: User "bob" cannot impersonate-on:user-info:get path "/version"',
        ):
            await thief.request("GET", "/version")


async def test_a_bound_token_lives_and_dies_with_its_pod(
    api_server: ApiServer, client: Client, default_account: str
) -> None:
    namespace = default_account
    pods, accounts = client.resource("v1", "pods"), client.resource("v1", "serviceaccounts")
    pod = await pods.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace},
         "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    )  # fmt: skip
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": pod["metadata"]["uid"]}
    request = {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"name": "default", "namespace": namespace},
        "spec": {"expirationSeconds": 600, "boundObjectRef": bound},
    }  # fmt: skip
    other = {**request, "metadata": {"name": "default", "uid": "other"}}
    with pytest.raises(
        errors.Conflict, match=r"the UID in the token request \(other\) does not match the UID of"
    ):
        await accounts.create(other, namespace, name="default", subresource="token")
    with pytest.raises(errors.Invalid, match='"else": must match the service account name if specified'):
        elsewhere = {**request, "metadata": {"name": "else"}}
        await accounts.create(elsewhere, namespace, name="default", subresource="token")
    token = (await accounts.create(request, subresource="token"))["status"]["token"]
    reviews = client.resource("authentication.k8s.io/v1", "tokenreviews")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    user = (await reviews.create(review))["status"]["user"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert user["groups"] == [
        "system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated",
    ]  # fmt: skip
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert user["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    async with token_client(api_server, token) as pod_client:
        assert "keys" in await pod_client.request("GET", "/openid/v1/jwks")
    await pods.delete("p", namespace, grace_period_seconds=0)
    assert not (await reviews.create(review))["status"].get("authenticated")


async def test_a_token_is_mounted_where_the_pod_or_else_its_account_wants_it(
    client: Client, default_account: str
) -> None:
    accounts, pods = client.resource("v1", "serviceaccounts"), client.resource("v1", "pods")
    wishes: dict[str, dict[str, bool]] = {
        "default": {},
        "mount": {"automountServiceAccountToken": True},
        "nomount": {"automountServiceAccountToken": False},
    }
    for name in ("mount", "nomount"):
        await accounts.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", **wishes[name],
             "metadata": {"name": name, "namespace": default_account}}
        )  # fmt: skip
    found = {}
    for account in wishes:
        for of_pod, wish in wishes.items():
            spec = {"serviceAccountName": account, "containers": [{"name": "c", "image": "busybox"}], **wish}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": default_account}}
            made = await pods.create({**pod, "spec": spec}, dry_run=True)
            mounts = made["spec"]["containers"][0].get("volumeMounts") or []
            assert len(mounts) == len(made["spec"].get("volumes") or [])
            found[account, of_pod] = [mount["mountPath"] for mount in mounts]
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    without = {("nomount", "default"), *((account, "nomount") for account in wishes)}
    assert found == {pair: [] if pair in without else [path] for pair in found} and len(found) == 9
