"""A Docker Engine in namespaces of its own: a node of a cluster that has no kubelet.

Its runtime is wrapped where the machine lacks a capability that `privileged: true` asks for; the compose file stays
what it is for everyone.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from kubarium.cluster import cgroups, host_network, keeper, node, processes, programs, state
from kubarium.cluster.state import Cluster, Node
from tests.cluster.conftest import until

WRAPPER = """#!{python}
# Ask for no more than this machine can give, then be runc.
import json, os, sys

def after(*names):
    return next((sys.argv[i + 1] for i, word in enumerate(sys.argv) if word in names), None)

def ease(process):
    for names in (process.get("capabilities") or {{}}).values():
        while "CAP_SYS_RESOURCE" in names:
            names.remove("CAP_SYS_RESOURCE")
    process["oomScoreAdj"] = max(0, process.get("oomScoreAdj") or 0)
    process["rlimits"] = []

if "create" in sys.argv or "run" in sys.argv:
    path = os.path.join(after("--bundle", "-b") or ".", "config.json")
    document = json.load(open(path))
    ease(document["process"])
    json.dump(document, open(path, "w"))
elif "exec" in sys.argv and (path := after("--process", "-p")):
    document = json.load(open(path))
    ease(document)
    json.dump(document, open(path, "w"))
os.execv("{runc}", ["runc", *sys.argv[1:]])
"""


class Engine:
    """Starts and stops the engine; `run` speaks to it."""

    def __init__(self, home: Path) -> None:
        member = Node("docker", 1)
        # From the far end: clusters are counted from the other one.
        taken = asyncio.run(host_network.networks_in_use())
        network = max(set(range(state.NETWORKS)) - taken)
        self.cluster = Cluster(home, "docker", state.new_uid(), network=network, nodes=(member,))
        self.member = member
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        state.save(self.cluster)
        disk = self.cluster.node_dir(self.member)
        wrapper = disk / "runc-wrapper"
        wrapper.parent.mkdir(parents=True)
        wrapper.write_text(WRAPPER.format(python=sys.executable, runc="/usr/sbin/runc"))
        wrapper.chmod(0o755)
        argv = ["/usr/sbin/dockerd", f"--cgroup-parent={self.cluster.cgroup}/docker/containers"]
        argv += ["--add-runtime", f"wrapped={wrapper}", "--default-runtime", "wrapped"]
        log = str(disk / "logs/dockerd.log")
        environment = {programs.CLUSTER_MARK: self.cluster.uid}
        orders = keeper.Program("dockerd", tuple(argv), log, environment)
        keeper.write_programs(disk / "programs.json", [orders], disk / "run")
        shared = (str(self.cluster.home), str(programs.source_folder()), sys.prefix, sys.base_prefix)
        plan = node.Plan(
            "docker", str(disk / "programs.json"), f"{self.cluster.cgroup}/docker", True, str(disk), shared
        )
        node.write(plan, disk / "plan.json")
        asyncio.run(self._connect())
        argv = list(programs.node_outside(self.cluster, self.member).argv)
        self.process = subprocess.Popen(argv, env={**os.environ, **environment}, start_new_session=True)

    async def _connect(self) -> None:
        before = await host_network.connect_host(self.cluster)
        self.cluster = replace(self.cluster, ip_forward=before)
        await host_network.connect_node(self.cluster, self.member)

    def run(
        self, *words: str, check: bool = True, timeout: float = 1800, cwd: str = "/", **variables: str
    ) -> str:
        """Run a program inside, where the engine's socket is."""
        return self._run(words, check, timeout, cwd, variables)

    def load(self, *words: str, archive: Path) -> str:
        """Run a program inside that reads a file of the host, which need not be visible there."""
        with archive.open("rb") as source:
            return self._run(words, True, 1800, "/", {}, source)

    def _run(
        self,
        words: Sequence[str],
        check: bool,
        timeout: float,
        cwd: str,
        variables: Mapping[str, str],
        source: IO[bytes] | None = None,
    ) -> str:
        assert self.process is not None
        inner = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        assert inner, "the engine's machine is not up yet"
        argv = ["nsenter", "--target", inner[0], "--all", "env", "-C", cwd, *words]
        done = subprocess.run(
            argv,
            stdin=source,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **variables},
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            )
        return done.stdout

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        processes.kill_marked(self.cluster)
        asyncio.run(self._disconnect())
        until(lambda: cgroups.remove(self.cluster.cgroup), what="its last process has ended")

    async def _disconnect(self) -> None:
        await host_network.disconnect_node(self.cluster, self.member)
        await host_network.disconnect_host(self.cluster)
