"""Certificates that a node asks for: the request, the answer, the renewal."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.client.kubeconfig import ConfigError
from kubarium.component_base import certificates
from kubarium.component_base.clock import FakeClock
from kubelet.node import credentials
from kubelet.node.credentials import Denied

REQUESTS = ("certificates.k8s.io/v1", "certificatesigningrequests")


class Signer:
    """Answers requests, as the controllers do."""

    def __init__(self, clock: FakeClock) -> None:
        self.api = FakeAPI(clock=clock)
        self.authority = certificates.Authority.create("ca")
        self.seen: list[Object] = []

    def answer(self, **status: Any) -> bool:
        """Answer the newest request; False when there is none."""
        known = {one["metadata"]["name"] for one in self.seen}
        for one in self.api.objects(*REQUESTS):
            if one["metadata"]["name"] not in known:
                self.seen.append(one)
                pem = self.authority.server("node-1", ["node-1"]).cert_pem
                answer = status or {"certificate": base64.b64encode(pem).decode()}
                self.api.put({**one, "status": answer})
                return True
        return False

    async def until_asked(self, clock: FakeClock, **status: Any) -> None:
        for _ in range(200):
            if self.answer(**status):
                return
            await clock.advance(1)
        raise AssertionError("nobody asked")


@pytest.fixture
async def signer(clock: FakeClock) -> AsyncIterator[Signer]:
    yield Signer(clock)


async def test_a_serving_certificate_is_waited_for(signer: Signer, clock: FakeClock, tmp_path: Path) -> None:
    async with signer.api.client() as client:
        names = ["node-1", "192.0.2.1"]
        work = asyncio.ensure_future(credentials.serving(client, tmp_path, "node-1", names, clock))
        await signer.until_asked(clock)
        for _ in range(5):
            await clock.advance(1)
        pem, key = await work
        assert pem == key == str(tmp_path / "kubelet-server-current.pem")
        spec = signer.seen[0]["spec"]
        assert spec["signerName"] == "kubernetes.io/kubelet-serving"
        assert spec["usages"] == ["digital signature", "server auth"]
        assert (tmp_path / "kubelet-server-current.pem").read_text().count("PRIVATE KEY") == 2


async def test_a_denied_request(signer: Signer, clock: FakeClock, tmp_path: Path) -> None:
    async with signer.api.client() as client:
        work = asyncio.ensure_future(credentials.request(client, tmp_path, "node-1", clock))
        await signer.until_asked(clock, conditions=[{"type": "Denied", "message": "no"}])
        for _ in range(5):
            await clock.advance(1)
        with pytest.raises(Denied, match="no"):
            await work
        assert signer.seen[0]["spec"]["signerName"] == "kubernetes.io/kube-apiserver-client-kubelet"


async def test_a_node_that_was_away_too_long_begins_anew(tmp_path: Path) -> None:
    clock = FakeClock(datetime.now(UTC))
    kubeconfig, pem = tmp_path / "kubelet.conf", tmp_path / credentials.CURRENT
    kubeconfig.touch()
    bootstrap = credentials.bootstrap("/none", str(kubeconfig), tmp_path, "node-1", clock)
    await bootstrap  # whoever has a kubeconfig of another sort needs no certificate of ours
    pair = certificates.Authority.create("ca").server("node-1", ["node-1"])
    pem.write_bytes(pair.cert_pem)
    await credentials.bootstrap("/none", str(kubeconfig), tmp_path, "node-1", clock)
    late = FakeClock(certificates.expires(pair.cert_pem))
    with pytest.raises(ConfigError, match="stat /none"):
        await credentials.bootstrap("/none", str(kubeconfig), tmp_path, "node-1", late)
