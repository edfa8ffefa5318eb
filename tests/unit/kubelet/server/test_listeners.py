"""The ports of a kubelet, and the certificate that is asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kubarium.client.fake import FakeAPI
from kubarium.component_base import serving
from kubarium.component_base.cipher_suites import CipherSuite
from kubarium.component_base.clock import FakeClock
from kubarium.component_base.health import Health
from kubelet.node import facts
from kubelet.options import Options
from kubelet.server.authorization import Door
from kubelet.server.listeners import Listeners


class Tasks:
    """Stands for the process: starts the tasks and ends them."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Task[Any]] = {}

    def start(self, name: str, work: Any) -> None:
        self.running[name] = asyncio.create_task(work)

    def stop(self) -> None: ...

    async def end(self) -> None:
        for task in self.running.values():
            task.cancel()
        await asyncio.gather(*self.running.values(), return_exceptions=True)


async def started(options: Options, clock: FakeClock, api: FakeAPI) -> tuple[Tasks, list[tuple[bool, bool]]]:
    made: list[tuple[bool, bool]] = []

    def pages(door: Door | None, debugging: bool) -> Any:
        made.append((door is not None, debugging))
        return None

    tasks = Tasks()
    listeners = Listeners(
        options, api.client(), facts.gather(options, ""), clock, pages=pages, checks=Health()
    )
    listeners.start(tasks)  # type: ignore[arg-type]
    return tasks, made


async def test_only_what_is_wanted_is_served(clock: FakeClock) -> None:
    options = Options(
        hostname_override="n",
        address="127.0.0.1",
        healthz_port=0,
        read_only_port=10255,
        enable_server=False,
        server_tls_bootstrap=True,
    )
    tasks, made = await started(options, clock, FakeAPI(clock=clock))
    assert set(tasks.running) == {"read-only"} and made == [(False, False)]
    await tasks.end()


async def test_one_serving_certificate_is_asked_for(clock: FakeClock, tmp_path: Path) -> None:
    api = FakeAPI(clock=clock)
    options = Options(
        hostname_override="n", healthz_port=0, server_tls_bootstrap=True, cert_dir=str(tmp_path)
    )
    tasks, _ = await started(options, clock, api)
    assert set(tasks.running) == {"server", "serving certificate"}
    for _ in range(5):
        await clock.advance(1)
    assert len(api.objects("certificates.k8s.io/v1", "certificatesigningrequests")) == 1
    await tasks.end()


async def test_tls_is_spoken_as_configured(
    clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: asyncio.Future[serving.TLS] = asyncio.get_running_loop().create_future()

    async def serve(pages: Any, address: str, port: int, tls: serving.TLS, **settings: Any) -> None:
        served.set_result(tls)

    monkeypatch.setattr(serving, "serve", serve)
    suites = (CipherSuite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),)
    options = Options(
        hostname_override="n",
        healthz_port=0,
        cert_dir=str(tmp_path),
        tls_min_version="VersionTLS13",
        tls_cipher_suites=suites,
    )
    tasks, _ = await started(options, clock, FakeAPI(clock=clock))
    tls = await served
    assert (tls.min_version, tls.cipher_suites) == ("VersionTLS13", suites)
    await tasks.end()
