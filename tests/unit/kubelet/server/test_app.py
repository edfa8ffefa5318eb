"""The kubelet's pages, asked without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kubarium.apimachinery.errors import Forbidden
from kubarium.apimachinery.object import uid_of
from kubarium.client.delegated_access import user_of
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from kubarium.component_base.health import Health
from kubarium.component_base.status_pages import StatusPages
from kubelet.options import Options
from kubelet.pods.manager import PodManager
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.stats import Stats
from kubelet.runtime import interface, sandbox
from kubelet.runtime.fake import FakeRuntime
from kubelet.server.app import LISTED, Server
from kubelet.server.authorization import Door
from kubelet.server.streaming import Streams
from tests.unit.kubelet.making import make_pod

CERTIFICATE = {"subject": ((("organizationName", "system:masters"),), (("commonName", "admin"),))}


class Pages:
    """A server and what it answers."""

    def __init__(
        self, tmp_path: Path, clock: FakeClock, anonymous: bool = True, read_only: bool = False
    ) -> None:
        self.pods, self.runtime = PodManager(), FakeRuntime(clock)
        self.pods.remember(make_pod())
        client = FakeAPI(clock=clock).client()
        stats = Stats(self.runtime, clock, node_name="n", root="/", cgroup="/", pods=self.pods.all)

        async def none() -> list[Any]:
            return []

        self.server = Server(
            door=None if read_only else Door(client, "n", clock, anonymous=anonymous, always_allow=True),
            debugging=not read_only,
            streams=Streams(self.runtime, self.pods, clock, tmp_path),
            stats=stats,
            health=Health(),
            pods=self.pods.all,
            running_pods=none,
            configuration=lambda: {"maxPods": 110},
            cgroups=Cgroups("/", tmp_path / "cgroup"),
            machine=(2, 1 << 30),
            log_files=tmp_path / "var-log",
            status_pages=StatusPages("kubelet", Options(), clock, lambda: LISTED).pages(),
        )
        (tmp_path / "var-log/deep").mkdir(parents=True)
        (tmp_path / "var-log/deep/a.log").write_text("said")
        (tmp_path / "var-log/away").symlink_to("/etc/passwd")

    async def get(self, target: str, certificate: Any = None, method: str = "GET") -> tuple[int, bytes]:
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [],
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.server({**scope, "state": {"client_cert": certificate}}, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.fixture
def pages(tmp_path: Path, clock: FakeClock) -> Pages:
    return Pages(tmp_path, clock)


async def test_pages(pages: Pages) -> None:
    assert await pages.get("/healthz") == (200, b"ok")
    assert orjson.loads((await pages.get("/pods"))[1])["items"][0]["metadata"]["name"] == "web"
    assert orjson.loads((await pages.get("/configz"))[1]) == {"kubeletconfig": {"maxPods": 110}}
    assert orjson.loads((await pages.get("/stats/summary"))[1])["node"]["nodeName"] == "n"
    assert b"node_cpu_usage_seconds_total" in (await pages.get("/metrics/resource"))[1]
    assert (await pages.get("/none"))[0] == 404
    assert orjson.loads((await pages.get("/runningpods/"))[1])["kind"] == "PodList"
    assert b"kubelet statusz" in (await pages.get("/statusz"))[1]
    assert b"\nmax-pods=110\n" in (await pages.get("/flagz"))[1]
    assert b"machine_cpu_cores 2" in (await pages.get("/metrics/cadvisor"))[1]
    assert (await pages.get("/metrics/probes"))[1].startswith(b"# HELP prober_probe_total")


async def test_the_nodes_own_logs(pages: Pages) -> None:
    assert b'<a href="deep/">deep/</a>' in (await pages.get("/logs/"))[1]
    assert await pages.get("/logs/deep/a.log") == (200, b"said")
    for target in ("/logs/none", "/logs/away", "/logs/../x"):
        assert (await pages.get(target))[0] == 404


async def test_no_runtime_makes_checkpoints(pages: Pages) -> None:
    assert (await pages.get("/checkpoint/default/web/main"))[0] == 405
    status, text = await pages.get("/checkpoint/default/web/main", method="POST")
    assert status == 404 and b"code = Unimplemented" in text
    assert await pages.get("/checkpoint/default/none/main", method="POST") == (
        404,
        b'pod "none" does not exist',
    )


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/containerLogs/default/none/main", 404, 'pod "none" does not exist'),
        ("/containerLogs/default/web/none", 404, "container none not found in pod web"),
        (
            "/containerLogs/default/web/main",
            400,
            'container "main" in pod "web" is waiting to start: ContainerCreating',
        ),
        (
            "/containerLogs/default/web/main?previous=true",
            400,
            'previous terminated container "main" in pod "web" not found',
        ),
        ("/exec/default/web/main?command=ls", 404, 'container not found ("main")'),
    ],
)
async def test_refusals(pages: Pages, target: str, status: int, text: str) -> None:
    assert await pages.get(target) == (status, text.encode())


async def test_a_log_that_somebody_took_away(pages: Pages, tmp_path: Path) -> None:
    pod, log = make_pod(), tmp_path / "main/0.log"
    box = {"metadata": {"name": "web", "namespace": "default", "uid": uid_of(pod)}}
    sandbox_id = await pages.runtime.run_sandbox(box)
    config = {
        "metadata": {"name": "main"},
        "image": {"image": "busybox:1"},
        "labels": {**sandbox.identity_labels(pod), interface.CONTAINER_NAME: "main"},
        "log_path": "main/0.log",
    }
    made = await pages.runtime.create_container(sandbox_id, config, {"log_directory": str(tmp_path)})
    await pages.runtime.start_container(made)
    text = f'failed to try resolving symlinks in path "{log}": lstat {log}: no such file or directory'
    assert await pages.get("/containerLogs/default/web/main") == (400, text.encode())


async def test_without_a_door_nothing_reaches_into_pods(tmp_path: Path, clock: FakeClock) -> None:
    pages = Pages(tmp_path, clock, anonymous=False, read_only=True)
    for target in ("/pods", "/healthz", "/stats/summary", "/metrics/cadvisor"):
        assert (await pages.get(target))[0] == 200
    for target in (
        "/exec/default/web/main?command=ls",
        "/containerLogs/default/web/main",
        "/logs/",
    ):
        assert await pages.get(target) == (405, b"Debug endpoints are disabled.\n")
    assert (await pages.get("/configz"))[0] == 404


async def test_nobody_is_let_in_unknown(tmp_path: Path, clock: FakeClock) -> None:
    pages = Pages(tmp_path, clock, anonymous=False)
    assert await pages.get("/pods") == (401, b"Unauthorized")
    assert (await pages.get("/pods", CERTIFICATE))[0] == 200


def test_a_certificate_names_a_user() -> None:
    user = user_of(CERTIFICATE)
    assert (user.name, user.groups) == ("admin", ("system:masters", "system:authenticated"))


async def test_who_may_use_the_proxy_may_see_pages_that_have_a_right_of_their_own(clock: FakeClock) -> None:
    door = Door(FakeAPI(clock=clock).client(), "n", clock, anonymous=True, always_allow=False)
    may = {"proxy"}

    async def ask(user: Any, wanted: Any) -> bool:
        return wanted["resourceAttributes"]["subresource"] in may

    door._ask = ask  # type: ignore[method-assign]

    async def enter(path: str) -> None:
        await clock.advance(300)  # what was allowed is remembered for so long
        await door.enter({"method": "GET", "path": path, "headers": []})

    for path in ("/pods", "/runningpods/", "/healthz/ping", "/configz", "/exec/default/web/main"):
        await enter(path)
    for path, part in (("/metrics/cadvisor", "metrics"), ("/stats/summary", "stats"), ("/logs/", "log")):
        with pytest.raises(Forbidden, match=rf"subresource\(s\)=\[{part}\]"):
            await enter(path)
    may = {"healthz"}
    await enter("/healthz")
    with pytest.raises(Forbidden, match=r"subresource\(s\)=\[pods proxy\]"):
        await enter("/pods")
