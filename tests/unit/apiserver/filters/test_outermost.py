"""The filters that are there only if flags ask for them: browsers, plain limits, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from apiserver import refused_flags
from apiserver.authentication.authenticator import Authenticators
from apiserver.authorization.authorizer import AlwaysAllow, Authorizers
from apiserver.configuration import ConfigurationError
from apiserver.filters import errors, request_log
from apiserver.filters.browsers import check_directives, check_origins
from apiserver.filters.chain import build_chain
from apiserver.filters.draining import Shutdown
from apiserver.options import Options
from apiserver.storage.interface import CannotSeal
from apiserver.storage.stored import Unreadable
from kubarium.client.loopback import LoopbackTransport
from kubarium.component_base import logging
from kubarium.component_base.clock import RealClock
from kubarium.component_base.serving import App, Receive, Scope, Send, respond

PODS = "/api/v1/pods"


class Work:
    """An application that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.release()
        await self.go_on.wait()
        await respond(send, 200, "application/json", b"{}")


def door(app: App, **settings: Any) -> LoopbackTransport:
    chain = build_chain(
        app,
        authenticator=Authenticators([]),
        authorizer=Authorizers([AlwaysAllow()]),
        clock=RealClock(),
        **settings,
    )

    return LoopbackTransport(chain)


async def ask(
    door: LoopbackTransport, method: str = "GET", target: str = PODS, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str]]:
    answer = await door.send(method, target, headers or {}, None, 60.0)
    await answer.read()
    return answer.status, dict(answer.headers)


def idle() -> Work:
    work = Work()
    work.go_on.set()
    return work


async def test_pages_of_allowed_origins_may_ask() -> None:
    one = door(idle(), origins=["//good.example(:|$)"], directives=["max-age=31536000", "preload"])
    status, headers = await ask(one, headers={"Origin": "https://good.example:8443"})
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://good.example:8443"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["strict-transport-security"] == "max-age=31536000; preload"
    status, headers = await ask(one, headers={"Origin": "https://good.example.evil"})
    assert status == 200
    assert "access-control-allow-origin" not in headers
    status, headers = await ask(one, "OPTIONS", headers={"Origin": "http://good.example"})
    assert status == 204
    assert headers["access-control-allow-methods"] == "POST, GET, OPTIONS, PUT, DELETE, PATCH"


@pytest.mark.parametrize("origin", ["good.example", "^good", "(", "^https://good.example"])
def test_an_origin_must_be_a_whole_host(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="--cors-allowed-origins has an invalid regular expression"):
        check_origins([origin])


@pytest.mark.parametrize("directives", [["max-age"], ["max-age=soon"], ["max-age=1", "all"]])
def test_only_known_directives_are_taken(directives: Sequence[str]) -> None:
    with pytest.raises(
        ConfigurationError, match="allowed values: max-age=expireTime, includeSubDomains, preload"
    ):
        check_directives(directives)


async def test_plain_limits_are_kept_for_each_sort_of_request() -> None:
    work = Work()
    one = door(work, in_flight=(2, 1))
    reading = [asyncio.ensure_future(ask(one)) for _ in range(2)]
    changing = asyncio.ensure_future(ask(one, "DELETE"))
    for _ in range(3):
        await work.begun.acquire()
    for method in ("GET", "DELETE"):
        status, _ = await ask(one, method)
        assert status == 429
    work.go_on.set()
    assert [(await task)[0] for task in (*reading, changing)] == [200, 200, 200]
    assert (await ask(one))[0] == 200


async def test_who_comes_too_late_is_sent_away() -> None:
    work, shutdown = Work(), Shutdown()
    one = door(work, shutdown=shutdown)
    await shutdown.check()
    early = asyncio.ensure_future(ask(one))
    await work.begun.acquire()
    shutdown.begun = shutdown.refusing = True
    drained = asyncio.ensure_future(shutdown.drained())
    status, headers = await ask(one)
    assert (status, headers["retry-after"], headers["connection"]) == (429, "5", "close")
    with pytest.raises(RuntimeError, match="process is shutting down"):
        await shutdown.check()
    assert not drained.done()
    work.go_on.set()
    assert (await early)[0] == 200
    await drained
    assert (await ask(one, target="/livez"))[0] == 200


@pytest.mark.parametrize(
    "error", [Unreadable("/registry/a", "no matching prefix found"), CannotSeal("no key")]
)
async def test_what_cannot_be_decrypted_is_said_without_a_traceback(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    said: list[tuple[object, ...]] = []
    monkeypatch.setattr(errors.log, "error", lambda *given: said.append(given))
    monkeypatch.setattr(errors.log, "exception", None)
    answer = await door(app).send("GET", PODS, {}, None, 60.0)
    body = orjson.loads(await answer.read())
    assert (answer.status, body["message"]) == (500, f"Internal error occurred: {error}")
    assert said == [("%s %s failed: %s", "GET", PODS, error)]


def write(path: Path, kind: str, version: str, **more: Any) -> str:
    path.write_bytes(orjson.dumps({"kind": kind, "apiVersion": version, **more}))
    return str(path)


@pytest.mark.parametrize(
    ("ranges", "address", "why"),
    [
        (("10.96.0.0/16", "10.97.0.0/16"), "", "must be of different IP family"),
        (("10.96.0.0/16", "fd00::/112", "fd01::/112"), "", "must not contain more than two entries"),
        (("10.96.0.0",), "", r"service-cluster-ip-range\[0\] is not a valid cidr"),
        (("fd00::/112", "10.96.0.0/16"), "10.89.0.1", "must match public address family"),
    ],
)
def test_ranges_of_services_must_fit_together(ranges: tuple[str, ...], address: str, why: str) -> None:
    refused_flags.check(
        Options(service_cluster_ip_range=("10.96.0.0/16", "fd00::/112"), advertise_address="10.0.0.1")
    )
    with pytest.raises(ConfigurationError, match=why):
        refused_flags.check(Options(service_cluster_ip_range=ranges, advertise_address=address))


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    refused_flags.check(Options(goaway_chance=0.02))
    with pytest.raises(
        ConfigurationError, match=r"--goaway-chance can not be less than 0 or greater than 0.02"
    ):
        refused_flags.check(Options(goaway_chance=0.5))
    direct = {"name": "cluster", "connection": {"proxyProtocol": "Direct"}}
    proxied = {
        "name": "etcd",
        "connection": {"proxyProtocol": "GRPC", "transport": {"uds": {"udsName": "/s"}}},
    }
    egress, version = tmp_path / "egress", "apiserver.k8s.io/v1beta1"
    file = write(egress, "EgressSelectorConfiguration", version, egressSelections=[direct])
    refused_flags.check(Options(egress_selector_config_file=file))
    file = write(egress, "EgressSelectorConfiguration", version, egressSelections=[direct, proxied])
    unsupported = (
        r'egressSelections\[1\].connection.proxyProtocol: Unsupported value: "GRPC": supported values'
    )
    with pytest.raises(ConfigurationError, match=unsupported):
        refused_flags.check(Options(egress_selector_config_file=file))
    file = write(
        egress, "EgressSelectorConfiguration", version, egressSelections=[{**direct, "name": "elsewhere"}]
    )
    with pytest.raises(
        ConfigurationError, match=r'egressSelections\[0\].name: Unsupported value: "elsewhere"'
    ):
        refused_flags.check(Options(egress_selector_config_file=file))


async def test_at_v_3_each_request_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.at(2)):
        await ask(door(idle()))
    with caplog.at_level(logging.at(3)):
        await ask(door(idle()), target=f"{PODS}?limit=5", headers={"user-agent": "kubectl/v1.36.4"})
    (line,) = (one.getMessage() for one in caplog.records if one.name == request_log.__name__)
    assert line.startswith(f"GET {PODS}?limit=5: 200 to system:anonymous in ")
    assert line.endswith(" ms, by kubectl/v1.36.4")
