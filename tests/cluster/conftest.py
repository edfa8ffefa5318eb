"""One real cluster of three nodes for all stories, in a home of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from kubarium.apimachinery.errors import StatusError
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.cluster import images, processes, state

NGINX = "localhost/nginx:1"
NAME = "stories"
# Seconds within which a fact must come true. A loaded machine may be many times slower than this one; whoever waits
# for a fact loses nothing by waiting for it long.
PATIENCE = 300.0
# Lost nodes are noticed sooner than upstream's 50 seconds, or the stories would be mostly waiting.
SETTINGS = (
    "kube-controller-manager:node-monitor-grace-period=8s",
    "kube-controller-manager:node-monitor-period=1s",
    "kubelet:node-status-update-frequency=2s",
    "kubelet:sync-frequency=10s",
    "kubelet:file-check-frequency=1s",
)


class Shell:
    """A cluster as a user has it: the command `kubarium` and what it prints."""

    def __init__(self, home: Path, name: str = NAME) -> None:
        self.home = home
        self.name = name

    def kubarium(self, *words: str, check: bool = True, timeout: float = 600) -> str:
        """Run `kubarium`; returns its output."""
        argv = [sys.executable, "-m", "kubarium.cluster", words[0], *words[1:]]
        environment = {
            **os.environ,
            "KUBARIUM_HOME": str(self.home),
            "KUBARIUM_NAME": self.name,
            "COLUMNS": "200",
        }
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"kubarium {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def kubectl(self, *words: str, stdin: str | None = None, check: bool = True, timeout: float = 600) -> str:
        """Run the bundled client; returns its output."""
        argv = [sys.executable, "-m", "kubarium.kubectl", *words]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        done = subprocess.run(
            argv, env=environment, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode:
            raise AssertionError(
                f"kubectl {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout if check else done.stdout + done.stderr

    @property
    def kubeconfig(self) -> Path:
        return self.home / "clusters" / self.name / "admin.conf"

    def get(self, *words: str) -> Any:
        """`kubectl get … -o json`."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def apply(self, *objects: Any, namespace: str = "default") -> None:
        """`kubectl apply -f -`."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)

    def ask(self, work: Callable[[Client], Awaitable[Any]]) -> Any:
        """Let something ask the API server itself: what the bundled client has no word for, or what is asked often.

        A refusal fails the story, or is waited out, as one of the bundled client is.
        """

        async def within() -> Any:
            async with Client(kubeconfig.load(str(self.kubeconfig))) as client:
                return await work(client)

        try:
            return anyio.run(within)
        except (StatusError, OSError) as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error

    def on_node(self, node: str, *command: str, check: bool = True, timeout: float = 300) -> str:
        """Run something inside a node, as `kubarium node exec` does, which takes half a second to start."""
        cluster = state.load(self.home, self.name)
        assert cluster is not None
        pid = processes.node_pid(cluster, next(each for each in cluster.nodes if each.name == node))
        assert pid is not None, f"{node} is off"
        argv = ["nsenter", "--target", str(pid), "--all", *command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise AssertionError(f"{node}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def curl(self, node: str, url: str, times: int = 1) -> list[str]:
        """Fetch a page from a node, several times in a row; returns what was said."""
        script = 'for i in $(seq $1); do curl -sS -m 20 "$0" || exit; echo; done'
        return self.on_node(node, "sh", "-c", script, url, str(times)).split()

    def kill(self, component: str) -> None:
        """SIGKILL a program. One that has died before is waited for: its keeper starts it again after a moment."""
        until(lambda: "sent SIGKILL" in self.kubarium("kill", component), what=f"{component} runs")


def until(fact: Callable[[], Any], seconds: float = PATIENCE, what: str = "") -> Any:
    """Ask until the answer is true; returns the answer. Whatever cannot be read yet is not true yet."""
    deadline = time.monotonic() + seconds
    why = ""
    while True:
        asked = time.monotonic()
        try:
            answer = fact()
        except (AssertionError, LookupError, ValueError, StopIteration) as error:
            answer, why = None, f": {error}"
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or fact}{why}"
        # Whoever asks takes time from those who are asked.
        time.sleep(max(0.2, (time.monotonic() - asked) / 2))


def all_nodes_take_pods(stories: Shell) -> None:
    """Wait until pods can be spread over all three nodes again, whatever happened to these before."""

    def usable(node: Any) -> bool:
        ready = next(each["status"] for each in node["status"]["conditions"] if each["type"] == "Ready")
        return bool(ready == "True" and not node["spec"].get("taints"))

    until(lambda: sum(usable(node) for node in stories.get("nodes")["items"]) == 3, what="three usable nodes")


@pytest.fixture(scope="session")
def machine() -> None:
    """A machine on which clusters can live."""
    if os.geteuid() != 0 or shutil.which("containerd") is None:
        pytest.skip("needs root and containerd")


@pytest.fixture(scope="session")
def nginx_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with the nginx and the curl of this machine."""
    if not Path("/usr/sbin/nginx").exists():
        pytest.skip("needs nginx-light")
    layer = images.base_layer()
    busybox = images.busybox_path()
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    images.busybox_layer(busybox, applets, layer)
    images.programs_layer("/usr/sbin/nginx", "/usr/bin/curl", layer=layer)
    layer.file("etc/nginx/mime.types", Path("/etc/nginx/mime.types").read_bytes())
    layer.file("etc/nginx/nginx.conf", NGINX_CONF)
    for folder in ("var/lib/nginx", "var/cache/nginx", "usr/share/nginx/html"):
        layer.folder(folder)
    layer.file("usr/share/nginx/html/index.html", "hello\n")
    # The entrypoint leaves a trace in whatever is run by it.
    entrypoint = ["/bin/env", "ENTRY=point"]
    config = images.Config(entrypoint, ["/usr/sbin/nginx"], exposed_ports=["80/tcp"], stop_signal="SIGQUIT")
    return images.pack([layer.data()], config, [NGINX], tmp_path_factory.mktemp("images") / "nginx.tar")


NGINX_CONF = """daemon off;
pid /tmp/nginx.pid;
error_log /dev/stderr;
worker_processes 1;
events {}
http {
    include mime.types;
    access_log /dev/stdout;
    client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
    server {
        listen 80;
        location / { root /usr/share/nginx/html; }
        location /name { return 200 "$hostname\\n"; }
    }
}
"""


@pytest.fixture(scope="session")
def stories(machine: None, nginx_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The cluster."""
    shell = Shell(tmp_path_factory.mktemp("kubarium"))
    settings = [word for text in SETTINGS for word in ("--set", text)]
    try:
        shell.kubarium("up", "--nodes", "3", *settings)
        shell.kubarium("load", str(nginx_archive))
        yield shell
    finally:
        keep_logs(shell)
        shell.kubarium("down", "--wipe", check=False)


def keep_logs(shell: Shell) -> None:
    """Where `KUBARIUM_TEST_LOGS` says so, the logs of the cluster outlive it."""
    target = os.environ.get("KUBARIUM_TEST_LOGS")
    if target:
        for folder in (shell.home / "clusters" / shell.name).rglob("logs"):
            place = Path(target) / folder.parent.name
            shutil.copytree(folder, place, dirs_exist_ok=True)


@pytest.fixture
def namespace(stories: Shell, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one story."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[:50].strip("-")
    stories.kubectl("create", "namespace", name)
    until(lambda: stories.get("serviceaccount", "default", "-n", name), what="default service account")
    yield name
    stories.kubectl("delete", "namespace", name, "--no-wait", check=False)
