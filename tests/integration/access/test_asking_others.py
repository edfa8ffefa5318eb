"""Authentication, authorization and audit by webhook: a server of this test knows tokens and rights, and is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from aiohttp import web

from kubarium.apimachinery import errors
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from tests.integration.running import ApiServer, Etcd


class Oracle:
    """Knows one token and one right, and what was done."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []

    async def deeds(self, request: web.Request) -> web.Response:
        events = orjson.loads(await request.read())
        assert (events["kind"], events["apiVersion"]) == ("EventList", "audit.k8s.io/v1")
        self.told += events["items"]
        return web.json_response({})

    async def tokens(self, request: web.Request) -> web.Response:
        review = orjson.loads(await request.read())
        known = review["spec"]["token"] == "sesame"
        status = {"authenticated": known, "user": {"username": "ali", "groups": ["baba"]}}
        return web.json_response({**review, "status": status})

    async def rights(self, request: web.Request) -> web.Response:
        review = orjson.loads(await request.read())
        self.asked.append(review["spec"])
        wanted = review["spec"].get("resourceAttributes") or {}
        answer = {"allowed": wanted.get("resource") == "configmaps", "reason": "only maps"}
        return web.json_response({**review, "status": answer})


@pytest.fixture
async def oracle(tmp_path: Path) -> AsyncIterator[tuple[Oracle, list[str]]]:
    """The server, and the flags that lead an API server to it."""
    found, app = Oracle(), web.Application()
    app.router.add_post("/tokens", found.tokens)
    app.router.add_post("/rights", found.rights)
    app.router.add_post("/deeds", found.deeds)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    rules = [{"level": "RequestResponse", "users": ["ali"], "omitStages": ["RequestReceived"]}]
    policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}
    (tmp_path / "policy").write_text(yaml.safe_dump(policy))
    flags = [
        "--authorization-mode=Webhook,RBAC", "--authorization-webhook-version=v1",
        f"--audit-policy-file={tmp_path / 'policy'}", "--audit-webhook-mode=blocking",
    ]  # fmt: skip
    for path, flag in (("tokens", "authentication-token"), ("rights", "authorization"), ("deeds", "audit")):
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/{path}"
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }  # fmt: skip
        (tmp_path / path).write_text(yaml.safe_dump(config))
        flags.append(f"--{flag}-webhook-config-file={tmp_path / path}")
    yield found, flags
    await runner.cleanup()


async def test_a_remote_oracle(etcd: Etcd, tmp_path: Path, oracle: tuple[Oracle, list[str]]) -> None:

    knows, flags = oracle
    server = ApiServer(tmp_path / "server", etcd.url, None, *flags)
    await asyncio.to_thread(server.start)
    try:
        config = ClientConfig(server.url, ca_data=server.credentials.ca.cert_pem, token="sesame")
        async with Client(config) as ali:
            await ali.resource("v1", "configmaps").list("default")
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-ali"}}
            await ali.resource("v1", "configmaps").create(body, "default")
            with pytest.raises(errors.Forbidden, match="only maps"):
                await ali.resource("v1", "secrets").list("default")
            await ali.request("GET", "/version")  # RBAC comes after the oracle
        about_ali = [asked for asked in knows.asked if asked["user"] == "ali"]
        assert about_ali[0]["groups"] == ["baba", "system:authenticated"]
        async with asyncio.timeout(60):
            while len(knows.told) < 4:  # noqa: ASYNC110  the last one is told when its answer has gone out
                await asyncio.sleep(0)
        listed, made, refused, _ = knows.told
        assert listed["annotations"] == {
            "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "only maps",
        }  # fmt: skip
        assert (made["verb"], made["objectRef"]["name"]) == ("create", "of-ali")
        assert made["requestObject"]["metadata"]["name"] == made["responseObject"]["metadata"]["name"]
        assert refused["responseObject"]["reason"] == "Forbidden"
        assert refused["annotations"]["authorization.k8s.io/decision"] == "forbid"
    finally:
        assert await asyncio.to_thread(server.stop) == 0
