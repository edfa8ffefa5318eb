"""Tokens of an issuer that this test serves over HTTPS: discovery, keys that change, users made of claims."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from kubarium.apimachinery import errors
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from kubarium.component_base.certificates import Authority
from tests.integration.running import ApiServer, Etcd


class Issuer:
    """Signs tokens, and shows its keys."""

    def __init__(self) -> None:
        self.url = ""
        self.key_name = "first"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claim_token = ""

    def rotate(self) -> None:
        self.key_name = "second"
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def token(self, **claims: Any) -> str:
        given = {"iss": self.url, "aud": "us", "sub": "ann", "exp": time.time() + 600, **claims}
        return jwt.encode(given, self.key, algorithm="RS256", headers={"kid": self.key_name})

    async def configuration(self, request: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": self.url + "/keys"})

    async def keys(self, request: web.Request) -> web.Response:
        algorithm = jwt.get_algorithm_by_name("RS256")
        key = algorithm.to_jwk(self.key.public_key(), as_dict=True)  # type: ignore[call-overload]
        return web.json_response({"keys": [{**key, "kid": self.key_name, "alg": "RS256", "use": "sig"}]})

    async def groups(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer access"
        return web.Response(text=self.token(groups=["far"]))


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[tuple[Issuer, str]]:
    """The issuer, and its authority as PEM."""
    authority = Authority.create("far-away")
    pair = authority.server("issuer", ["127.0.0.1"])
    pair.write(str(tmp_path / "issuer.crt"), str(tmp_path / "issuer.key"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "issuer.crt", tmp_path / "issuer.key")
    found, app = Issuer(), web.Application()
    app.router.add_get("/.well-known/openid-configuration", found.configuration)
    app.router.add_get("/keys", found.keys)
    app.router.add_get("/groups", found.groups)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    found.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    yield found, authority.cert_pem.decode()
    await runner.cleanup()


async def who(server: ApiServer, token: str) -> dict[str, Any]:
    """The user that the server sees behind a token."""
    async with Client(
        ClientConfig(server.url, ca_data=server.credentials.ca.cert_pem, token=token)
    ) as client:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        reviews = client.resource("authentication.k8s.io/v1", "selfsubjectreviews")
        found: dict[str, Any] = (await reviews.create(review))["status"]["userInfo"]
        return found


async def known(server: ApiServer, token: str) -> dict[str, Any]:
    """The same, once the server has found the issuer."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await who(server, token)
            except errors.Unauthorized:
                await asyncio.sleep(0.05)


async def test_the_flags_of_one_issuer(etcd: Etcd, tmp_path: Path, issuer: tuple[Issuer, str]) -> None:
    signs, authority = issuer
    (tmp_path / "issuer-ca.crt").write_text(authority)
    flags = [
        f"--oidc-issuer-url={signs.url}", "--oidc-client-id=us", f"--oidc-ca-file={tmp_path / 'issuer-ca.crt'}",
        "--oidc-groups-claim=groups", "--oidc-groups-prefix=far:", "--oidc-required-claim=hd=acme",
    ]  # fmt: skip
    server = ApiServer(tmp_path / "server", etcd.url, None, *flags)
    await asyncio.to_thread(server.start)
    try:
        found = await known(server, signs.token(hd="acme", groups="one"))
        assert found["username"] == f"{signs.url}#ann"
        assert found["groups"] == ["far:one", "system:authenticated"]
        for wrong in (
            {"hd": "else"}, {"hd": "acme", "aud": "them"}, {"hd": "acme", "exp": 1.0}, {"hd": "acme", "iss": "https://x"},
        ):  # fmt: skip
            with pytest.raises(errors.Unauthorized):
                await who(server, signs.token(**wrong))
        forged = jwt.encode(
            {"iss": signs.url, "aud": "us", "sub": "a", "exp": 9e9, "hd": "acme"}, "k" * 64, "HS256"
        )
        with pytest.raises(errors.Unauthorized):
            await who(server, forged)
        signs.rotate()
        assert (await who(server, signs.token(hd="acme")))["username"] == f"{signs.url}#ann"
        elsewhere = {
            "_claim_names": {"groups": "there"},
            "_claim_sources": {"there": {"endpoint": f"{signs.url}/groups", "access_token": "access"}},
        }
        assert (await who(server, signs.token(hd="acme", **elsewhere)))["groups"][0] == "far:far"
        async with server.client() as admin:
            review = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": signs.token(hd="acme")},
            }
            answer = await admin.resource("authentication.k8s.io/v1", "tokenreviews").create(review)
            assert answer["status"]["user"]["username"] == f"{signs.url}#ann"
    finally:
        assert await asyncio.to_thread(server.stop) == 0


async def test_a_configuration_file(etcd: Etcd, tmp_path: Path, issuer: tuple[Issuer, str]) -> None:
    signs, authority = issuer
    path = tmp_path / "authentication.yaml"
    jwt_issuer = {
        "issuer": {"url": signs.url, "audiences": ["us", "we"], "audienceMatchPolicy": "MatchAny",
                   "certificateAuthority": authority},
        "claimMappings": {"username": {"expression": "claims.sub + '@far'"}},
        "userValidationRules": [{"expression": "!user.username.startsWith('system:')"}],
    }  # fmt: skip
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [jwt_issuer],
        "anonymous": {"enabled": True, "conditions": [{"path": "/readyz"}]},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(document))
    server = ApiServer(tmp_path / "server", etcd.url, None, f"--authentication-config={path}")
    await asyncio.to_thread(server.start)
    try:
        assert (await known(server, signs.token(aud=["we", "others"])))["username"] == "ann@far"
        with pytest.raises(errors.Unauthorized):
            await who(server, signs.token(sub="system:admin"))
        async with Client(ClientConfig(server.url, ca_data=server.credentials.ca.cert_pem)) as nobody:
            assert await nobody.request("GET", "/readyz") == "ok"
            with pytest.raises(errors.Unauthorized):
                await nobody.request("GET", "/version")
        jwt_issuer["claimMappings"] = {"username": {"claim": "sub", "prefix": "new:"}}
        path.write_text(yaml.safe_dump(document))
        async with asyncio.timeout(60):
            while True:
                user = await known(server, signs.token())
                if user["username"] == "new:ann":
                    break
                await asyncio.sleep(0.2)
    finally:
        assert await asyncio.to_thread(server.stop) == 0
