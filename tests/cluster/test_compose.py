"""`docker-compose up` brings the same cluster up in containers, `down -v` leaves nothing.

The base images are made from Debian packages on this machine: there is no registry.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubarium.cluster import programs
from tests.cluster import base_image
from tests.cluster.conftest import until
from tests.cluster.docker_engine import Engine
from tests.cluster.objects import pod, service

pytestmark = pytest.mark.cluster

SOURCE = programs.source_folder()
DOCKER = "/usr/bin/docker"


@pytest.fixture(scope="module")
def base(machine: None) -> Path:
    """A Debian with Python, and the packages that both images would install."""
    for tool in (DOCKER, "/usr/sbin/dockerd", "docker-compose", "debootstrap"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    try:
        return base_image.archive()
    except base_image.Impossible as error:
        pytest.skip(f"the base image cannot be made: {error}")


@pytest.fixture(scope="module")
def engine(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Docker Engine that has what the images are made from."""
    found = Engine(tmp_path_factory.mktemp("engine"))
    try:
        found.start()
        until(lambda: found.run(DOCKER, "version", "--format", "{{.Server.Version}}"), what="the engine")
        found.load(DOCKER, "import", "-", base_image.PYTHON_IMAGE, archive=base)
        found.run(DOCKER, "tag", base_image.PYTHON_IMAGE, base_image.ETCD_IMAGE)
        yield found
    finally:
        found.stop()
        shutil.rmtree(found.cluster.home, ignore_errors=True)  # gigabytes that pytest would keep


def folder_of(engine: Engine) -> Path:
    """Where the kubeconfig goes: not to the user's place, who may have this cluster up."""
    folder = engine.cluster.home / "project"
    folder.mkdir(exist_ok=True)
    return folder


def compose(engine: Engine, *words: str) -> str:
    command = ("docker-compose", "--project-name", "story", *words)
    # Debian's client has no BuildKit.
    variables = {"DOCKER_BUILDKIT": "0", "COMPOSE_HTTP_TIMEOUT": "600"}
    variables["KUBARIUM_COMPOSE_DIR"] = str(folder_of(engine))
    return engine.run(*command, cwd=str(SOURCE), **variables)


def kubectl(engine: Engine, *words: str, check: bool = True) -> str:
    config = str(folder_of(engine) / "admin.conf")
    return engine.run(
        sys.executable, "-m", "kubarium.kubectl", *words, cwd=str(SOURCE), check=check, KUBECONFIG=config
    )


def apply(engine: Engine, *objects: Any) -> None:
    """`kubectl apply`, of a file that is seen inside as well."""
    path = folder_of(engine) / "objects.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kubectl(engine, "apply", "-f", str(path))
    path.unlink()


def all_healthy(engine: Engine) -> bool:
    """Does every container that is asked say that all is well? Eight are: etcd, four programs, three nodes."""
    answers = engine.run(DOCKER, "ps", "--format", "{{.Status}}")
    return answers.count("(healthy)") == 8


def test_compose_brings_the_cluster_up(engine: Engine) -> None:
    compose(engine, "up", "-d")
    try:
        until(lambda: kubectl(engine, "get", "nodes", check=False).count(" Ready ") == 3, what="three nodes")
        talker = pod("talker", "sh", "-c", "echo started; httpd -f -p 80 -h /etc")
        talker["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "name": "http"}]
        until(lambda: kubectl(engine, "get", "serviceaccount", "default"), what="default service account")
        apply(engine, talker, service("talker"), pod("caller", "sleep", "1000"))
        kubectl(engine, "wait", "pod/talker", "pod/caller", "--for=condition=Ready", "--timeout=300s")
        until(lambda: kubectl(engine, "logs", "talker") == "started\n", what="what it said")
        call = ("exec", "caller", "--", "sh", "-c", "wget -O - http://talker/passwd 2>/dev/null")
        until(lambda: "root:" in kubectl(engine, *call, check=False), what="the service by its name")
        until(lambda: all_healthy(engine), what="healthy containers")
        compose(engine, "kill", "node-3")
        compose(engine, "start", "node-3")
        apply(engine, pod("later", "sleep", "1000", nodeName="node-3"))
        kubectl(engine, "wait", "pod/later", "--for=condition=Ready", "--timeout=300s")
    finally:
        compose(engine, "down", "-v")
    assert engine.run(DOCKER, "ps", "-aq") == ""
    assert engine.run(DOCKER, "volume", "ls", "-q") == ""
    assert os.listdir(folder_of(engine)) == []
