"""What every runtime promises the kubelet, asked of each: in memory, containerd over the CRI, a Docker Engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from kubarium.cluster import cgroups, images
from kubelet.runtime import interface
from kubelet.runtime.cni import CNI
from kubelet.runtime.cri import CRIRuntime
from kubelet.runtime.docker import DockerRuntime
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.interface import ContainerRuntimeError, NotFound, Runtime

INIT = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/cni
mkdir -p /etc/cni/net.d
mount -t tmpfs tmpfs /etc/cni/net.d
cp %(folder)s/cni/* /etc/cni/net.d
ip link set lo up
exec %(command)s
"""
NETWORK = """
{"cniVersion": "0.4.0", "name": "test", "plugins": [{"type": "bridge", "bridge": "cni0", "isDefaultGateway": true,
 "ipam": {"type": "host-local", "dataDir": "%(folder)s/ipam", "ranges": [[{"subnet": "10.244.98.0/24"}]]}}]}
"""
UNSHARE = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
DOCKERD = "dockerd --host=unix://%s/d.sock --data-root=%s/docker --bridge=none --iptables=false"

PATIENCE = 120.0  # seconds
CGROUP = f"/cri-contract-{os.getpid()}"

needs_containerd = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("containerd") is None, reason="needs root and containerd"
)
needs_docker = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("dockerd") is None, reason="needs root and dockerd (Debian: docker.io)"
)


@contextlib.contextmanager
def daemon(command: str, prepare: Callable[[Path], Awaitable[None]]) -> Iterator[tuple[Path, int]]:
    """A runtime in namespaces of its own; one SIGKILL of the outer process takes everything with it.

    Yields its folder, and the process that is pid 1 in there.
    """
    folder = Path(tempfile.mkdtemp(prefix="cri-", dir="/tmp"))
    asyncio.run(prepare(folder))
    (folder / "cni").mkdir()
    (folder / "cni/10.conflist").write_text(NETWORK % {"folder": folder})
    script = INIT % {"folder": folder, "command": command.replace("%s", str(folder))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*UNSHARE, "sh", "-c", script], stdout=log, stderr=log)
    try:
        yield folder, process.pid
    finally:
        # The kernel takes everything away with pid 1 of the inside; until that is done somebody may still write.
        inside = children_of(process.pid)
        process.kill()
        process.wait()
        deadline = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{pid}").exists() for pid in inside) or not cgroups.remove(CGROUP):
            assert time.monotonic() < deadline, f"{command} does not end"
            time.sleep(0.05)
        shutil.rmtree(folder)


def children_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []  # it has ended


@pytest.fixture(scope="module")
def containerd() -> Iterator[Callable[[], Awaitable[Runtime]]]:
    """A containerd that has the basic images."""

    async def prepare(folder: Path) -> None:
        await images.copy_root(await images.prepared_root(folder / "cache"), folder / "root")
        config = images.containerd_config(f"{folder}/root", f"{folder}/state", f"{folder}/c.sock")
        (folder / "config.toml").write_text(config)

    with daemon("containerd --config %s/config.toml", prepare) as (folder, _):

        async def make() -> Runtime:
            return CRIRuntime(f"unix://{folder}/c.sock")

        yield make


@pytest.fixture(scope="module")
def docker() -> Iterator[Callable[[], Awaitable[Runtime]]]:
    """A Docker Engine without a network of its own; CNI plugins run where it lives."""

    async def prepare(folder: Path) -> None:
        await images.pack_busybox(folder)
        images.pack_pause(folder)

    with daemon(DOCKERD, prepare) as (folder, pid):

        async def make() -> Runtime:
            inner = (await eventually(async_(lambda: children_of(pid))))[0]
            enter = ("nsenter", "--target", inner, "--mount", "--net", "--uts", "--pid")
            made = DockerRuntime(
                f"unix://{folder}/d.sock", CNI(folder / "cni", cache_dir=folder / "results", enter=enter)
            )
            await eventually(made.version)
            if not await made.list_images():
                for name in ("busybox", "pause"):
                    await load(f"unix://{folder}/d.sock", folder / f"{name}.tar")
            return made

        yield make


async def load(endpoint: str, archive: Path) -> None:
    """Give the engine an image."""
    process = await asyncio.create_subprocess_exec(
        "docker", "--host", endpoint, "load", "--quiet", "--input", str(archive), stdout=subprocess.DEVNULL
    )
    assert await process.wait() == 0


def async_(ask: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    """A question that is answered at once, for those who wait."""

    async def answer() -> Any:
        return ask()

    return answer


@pytest.fixture(scope="module")
def memory() -> Callable[[], Awaitable[Runtime]]:
    """A runtime in which two commands are known."""

    async def make() -> Runtime:
        made = FakeRuntime()
        made.add_image(images.BUSYBOX_IMAGE)
        made.run_seconds = lambda config: 0.05 if "true" in config["command"] else None
        made.commands = lambda name, command: interface.ExecResult(0, b"hello\n", b"")
        return made

    return make


@pytest.fixture(
    scope="module",
    params=[
        "memory",
        pytest.param("containerd", marks=[needs_containerd, pytest.mark.cluster]),
        pytest.param("docker", marks=[needs_docker, pytest.mark.cluster]),
    ],
)
def factory(request: pytest.FixtureRequest) -> Callable[[], Awaitable[Runtime]]:
    made: Callable[[], Awaitable[Runtime]] = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def runtime(factory: Callable[[], Awaitable[Runtime]]) -> AsyncIterator[Runtime]:
    made = await factory()
    await eventually(made.version)
    yield made
    for sandbox in await made.list_sandboxes():
        await made.stop_sandbox(sandbox.id)
        await made.remove_sandbox(sandbox.id)
    await made.close()


async def eventually(ask: Callable[[], Awaitable[Any]], is_so: Callable[[Any], bool] = bool) -> Any:
    """Ask a real runtime until the answer is right; a loaded machine may take long."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(ContainerRuntimeError):
                answer = await ask()
                if is_so(answer):
                    return answer
            await asyncio.sleep(0.05)


def sandbox_config(uid: str = "uid-1", attempt: int = 0) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": uid, "attempt": attempt},
        "hostname": "web",
        "log_directory": tempfile.gettempdir(),
        "labels": {interface.POD_UID: uid},
        "linux": {
            "cgroup_parent": f"{CGROUP}/pod{uid}",
            "security_context": {"namespace_options": {"pid": "CONTAINER"}},
        },
    }


def container_config(*command: str, attempt: int = 0, uid: str = "uid-1") -> dict[str, Any]:
    return {
        "metadata": {"name": "main", "attempt": attempt},
        "image": {"image": images.BUSYBOX_IMAGE},
        "command": list(command),
        "labels": {interface.POD_UID: uid},
        "annotations": {interface.RESTART_COUNT: str(attempt), interface.CONTAINER_HASH: "abc"},
    }


async def run(runtime: Runtime, *command: str) -> tuple[str, str]:
    sandbox = sandbox_config()
    sandbox_id = await runtime.run_sandbox(sandbox)
    container_id = await runtime.create_container(sandbox_id, container_config(*command), sandbox)
    await runtime.start_container(container_id)
    return sandbox_id, container_id


async def test_it_is_ready(runtime: Runtime) -> None:
    conditions = await eventually(runtime.conditions, lambda found: all(one.status for one in found))
    assert {one.type for one in conditions} == {"RuntimeReady", "NetworkReady"}
    assert (await runtime.version()).version


async def test_a_sandbox_has_an_address_until_it_is_stopped(runtime: Runtime) -> None:
    sandbox_id = await runtime.run_sandbox(sandbox_config())
    assert (await runtime.sandbox_status(sandbox_id)).ips
    assert [one.id for one in await runtime.list_sandboxes("uid-1")] == [sandbox_id]
    assert await runtime.list_sandboxes("other") == []
    await runtime.stop_sandbox(sandbox_id)
    assert (await runtime.list_sandboxes())[0].state == interface.NOT_READY


async def test_a_sandbox_name_is_taken_once(runtime: Runtime) -> None:
    await runtime.run_sandbox(sandbox_config())
    with pytest.raises(ContainerRuntimeError, match="reserve"):
        await runtime.run_sandbox(sandbox_config())
    await runtime.run_sandbox(sandbox_config(attempt=1))


async def test_a_container_runs_and_is_stopped(runtime: Runtime) -> None:
    _, container_id = await run(runtime, "sleep", "1000")
    status = await runtime.container_status(container_id)
    assert status.state == interface.RUNNING and status.hash == "abc" and status.restart_count == 0
    await runtime.stop_container(container_id, 0)
    status = await runtime.container_status(container_id)
    assert (
        status.state == interface.EXITED
        and status.exit_code == 137
        and status.finished_at > status.started_at
    )


async def test_a_container_ends_by_itself(runtime: Runtime) -> None:
    _, container_id = await run(runtime, "true")
    status = await eventually(
        lambda: runtime.container_status(container_id), lambda one: one.state == interface.EXITED
    )
    assert (status.exit_code, status.reason) == (0, "Completed")


async def test_what_was_made_and_not_started_can_be_made_again(runtime: Runtime) -> None:
    sandbox, config = sandbox_config(), container_config("sleep", "60")
    sandbox_id = await runtime.run_sandbox(sandbox)
    first = await runtime.create_container(sandbox_id, config, sandbox)
    status = await runtime.container_status(first)
    assert status.state == interface.CREATED and not status.was_started
    await runtime.remove_container(first)
    second = await runtime.create_container(sandbox_id, config, sandbox)
    assert [one.id for one in await runtime.list_containers("uid-1")] == [second]


async def test_what_cannot_be_started_has_ended(runtime: Runtime) -> None:
    if isinstance(runtime, FakeRuntime):
        pytest.skip("everything can be started in memory")
    with pytest.raises(ContainerRuntimeError, match="no such file"):
        await run(runtime, "/no/such/program")
    (container,) = await runtime.list_containers()
    status = await runtime.container_status(container.id)
    assert container.state == status.state == interface.EXITED
    assert status.exit_code in (127, 128) and "no such file" in status.message


async def test_a_command_in_a_container(runtime: Runtime) -> None:
    _, container_id = await run(runtime, "sleep", "1000")
    result = await runtime.exec_sync(container_id, ["echo", "hello"], 60)
    assert (result.exit_code, result.stdout) == (0, b"hello\n")


async def test_what_is_gone_is_not_found_but_may_be_removed(runtime: Runtime) -> None:
    sandbox_id, container_id = await run(runtime, "sleep", "1000")
    await runtime.stop_sandbox(sandbox_id)
    for _ in range(2):
        await runtime.remove_container(container_id)
        await runtime.remove_sandbox(sandbox_id)
    with pytest.raises(NotFound):
        await runtime.container_status(container_id)
    assert await runtime.list_containers() == [] and await runtime.list_sandboxes() == []


async def test_changes_are_told(runtime: Runtime) -> None:
    told: list[str] = []

    async def listen() -> None:
        async for id in runtime.changes():
            told.append(id)

    listener = asyncio.ensure_future(listen())
    sandbox = sandbox_config()
    sandbox_id = await runtime.run_sandbox(sandbox)
    mine: list[str] = []

    async def one_is_told() -> bool:
        """Nobody says when the subscription is there: containers are run until the end of one was told."""
        if any(id in told for id in mine):
            return True
        config = container_config("true", attempt=len(mine))
        mine.append(await runtime.create_container(sandbox_id, config, sandbox))
        await runtime.start_container(mine[-1])
        return False

    await eventually(one_is_told)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


async def test_images(runtime: Runtime) -> None:
    found = await runtime.image_status(images.BUSYBOX_IMAGE)
    assert found is not None and images.BUSYBOX_IMAGE in found.tags
    assert await runtime.image_status("localhost/none:1") is None
    with pytest.raises(ContainerRuntimeError):
        await runtime.pull_image("localhost:1/none:1", None, None)


async def test_the_files_of_an_image_are_shown_until_they_are_given_back(runtime: Runtime) -> None:
    image = await runtime.image_status(images.BUSYBOX_IMAGE)
    assert image is not None
    view = await runtime.view_image(image.id, "a key")
    if view is None:
        return  # this runtime takes an image as a mount
    assert view == await runtime.view_image(image.id, "a key")
    layers = [view.source]
    if view.kind == "overlay":
        layers = next(one for one in view.options if one.startswith("lowerdir=")).partition("=")[2].split(":")
    assert any((Path(layer) / "bin/busybox").exists() for layer in layers)
    for _ in range(2):
        await runtime.give_back_view("a key")
    assert not await runtime.list_containers()
    with pytest.raises(NotFound):
        await runtime.view_image("localhost/none:1", "another key")


async def test_usage(runtime: Runtime) -> None:
    _, container_id = await run(runtime, "sleep", "1000")
    usage = await eventually(runtime.container_usage)
    assert usage[0].id == container_id and usage[0].labels[interface.POD_UID] == "uid-1"


@needs_docker
@pytest.mark.cluster
async def test_a_stream_to_a_command(docker: Callable[[], Awaitable[Runtime]]) -> None:
    """For containerd, whose streams begin on a loopback out of reach, the stories on clusters tell it."""
    runtime = await docker()
    _, container_id = await run(runtime, "sleep", "1000")
    url = await runtime.exec_url(
        container_id, ["sh", "-c", "cat; exit 3"], tty=False, stdin=True, stdout=True, stderr=True
    )
    said = b""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket,
    ):
        await socket.send_bytes(b"\x00hello")
        await socket.send_bytes(b"\xff\x00")
        async for message in socket:
            said += message.data[1:]
    assert said.startswith(b"hello") and b'"message": "3"' in said
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 404  # a ticket is good for one stream
    for sandbox in await runtime.list_sandboxes():
        await runtime.remove_sandbox(sandbox.id)
    await runtime.close()
