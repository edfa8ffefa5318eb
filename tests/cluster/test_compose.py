"""`docker-compose up` brings the same cluster up in containers, `down -v` leaves nothing.

The base images are made from Debian packages on this machine: there is no registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubarium.cluster import programs
from tests.cluster.conftest import until
from tests.cluster.docker_engine import Engine
from tests.cluster.objects import pod, service

pytestmark = pytest.mark.cluster

SOURCE = programs.source_folder()
DOCKER = "/usr/bin/docker"
PACKAGES = (
    "python3 python3-pip ca-certificates containerd runc containernetworking-plugins iptables nftables conntrack "
    "iproute2 util-linux mount procps busybox-static etcd-server etcd-client"
)
BASE = "python:3.11-slim-bookworm"
ETCD = "quay.io/coreos/etcd:v3.5.9"


@pytest.fixture(scope="module")
def base(machine: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian with Python, and the packages that both images would install."""
    for tool in (DOCKER, "/usr/sbin/dockerd", "docker-compose", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    folder = tmp_path_factory.mktemp("base")
    root, archive = folder / "root", folder / "root.tar"
    include = ",".join(PACKAGES.split())
    argv = ["debootstrap", "--variant=minbase", f"--include={include}", "bookworm", str(root)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("needs a Debian mirror")
    (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    (root / "usr/bin/python").symlink_to("python3")
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
    target = str(root / "usr/local/lib/python3.11/dist-packages")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "-c",
        str(SOURCE / "constraints.txt"),
        "--target",
        target,
    ]
    subprocess.run([*pip, *project["dependencies"]], check=True, capture_output=True)
    skipped = [f"--exclude=./{path}" for path in ("proc/*", "sys/*", "var/cache/apt/*", "usr/share/doc/*")]
    subprocess.run(["tar", "-C", str(root), *skipped, "-cf", str(archive), "."], check=True)
    shutil.rmtree(root)
    return archive


@pytest.fixture(scope="module")
def engine(base: Path) -> Iterator[Engine]:
    """A Docker Engine that has both images."""
    found = Engine(base.parent)
    try:
        found.start()
        until(lambda: found.run(DOCKER, "version", "--format", "{{.Server.Version}}"), 30, "the engine")
        found.run(DOCKER, "import", str(base), BASE)
        found.run(DOCKER, "tag", BASE, ETCD)
        for target in ("control-plane", "node"):
            build = (DOCKER, "build", "--network=host", f"--target={target}", "-t", f"kubarium/{target}", ".")
            found.run(*build, cwd=str(SOURCE), DOCKER_BUILDKIT="0")
        yield found
    finally:
        found.stop()
        base.unlink()  # gigabytes that pytest would keep
        shutil.rmtree(found.cluster.dir, ignore_errors=True)


def compose(engine: Engine, *words: str) -> str:
    return engine.run("docker-compose", *words, cwd=str(SOURCE))


def kubectl(engine: Engine, *words: str, check: bool = True) -> str:
    config = str(SOURCE / ".kubarium/compose/admin.conf")
    return engine.run(
        sys.executable, "-m", "kubarium.kubectl", *words, cwd=str(SOURCE), check=check, KUBECONFIG=config
    )


def test_compose_brings_the_cluster_up(engine: Engine) -> None:
    compose(engine, "up", "-d", "--no-build")
    try:
        until(lambda: kubectl(engine, "get", "nodes", check=False).count(" Ready ") == 3, 90, "three nodes")
        talker = pod("talker", "sh", "-c", "echo started; httpd -f -p 80 -h /etc")
        talker["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "name": "http"}]
        folder = SOURCE / ".kubarium/compose"
        for number, obj in enumerate((talker, service("talker"), pod("caller", "sleep", "1000"))):
            path = folder / f"{number}.json"
            path.write_text(json.dumps(obj))
            kubectl(engine, "apply", "-f", str(path))
            path.unlink()
        kubectl(engine, "wait", "pod/talker", "pod/caller", "--for=condition=Ready", "--timeout=60s")
        assert kubectl(engine, "logs", "talker") == "started\n"
        call = ("exec", "caller", "--", "sh", "-c", "wget -O - http://talker/passwd 2>/dev/null")
        until(lambda: "root:" in kubectl(engine, *call, check=False), 30, "the service by its name")
        compose(engine, "kill", "node-3")
        compose(engine, "start", "node-3")
        until(lambda: kubectl(engine, "get", "nodes", check=False).count(" Ready ") == 3, 90, "node-3 again")
    finally:
        compose(engine, "down", "-v")
    assert engine.run(DOCKER, "ps", "-aq") == ""
    assert engine.run(DOCKER, "volume", "ls", "-q") == ""
    assert not (SOURCE / ".kubarium/compose/admin.conf").exists()
    assert os.listdir(SOURCE / ".kubarium/compose") == []
