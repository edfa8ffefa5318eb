"""kubectl, unmodified: every one that is installed here."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.running import ApiServer, kubectls

PATIENCE = 120.0  # seconds

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "web:1"}, {"name": "side", "image": "side:1"}]},
        },
    },
}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"a": "1"}}


class Kubectl:
    """One kubectl in one namespace; a call answers with what it printed, or fails."""

    def __init__(self, program: str, server: ApiServer, namespace: str, home: Path) -> None:
        self.command = [program, f"--kubeconfig={server.kubeconfig()}", f"--namespace={namespace}"]
        self.home = home
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def run(self, *words: str, status: int = 0, **environment: str) -> str:
        """What was printed, errors too."""
        done = subprocess.run(
            [*self.command, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=self.environment | environment,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    def file(self, obj: object) -> str:
        """An object as a file's name."""
        path = self.home / "object.yaml"
        path.write_text(yaml.safe_dump(obj))
        return str(path)

    def field(self, what: str, path: str) -> str:
        """One field of an object."""
        return self.run("get", what, f"--output=jsonpath={{{path}}}")


@pytest.fixture(params=kubectls(), ids=lambda program: Path(program).name)
def kubectl(
    request: pytest.FixtureRequest, api_server: ApiServer, namespace_name: str, tmp_path: Path
) -> Kubectl:
    return Kubectl(request.param, api_server, namespace_name, tmp_path)


@pytest.fixture
def watched(kubectl: Kubectl) -> Iterator[Callable[[], str]]:
    """The lines of `get -w` on the config map."""
    kubectl.run("create", "--filename", kubectl.file(MAP))
    command = ["get", "configmap/page", "--watch", "--output=custom-columns=A:.data.a", "--no-headers"]
    with subprocess.Popen(
        [*kubectl.command, *command], stdout=subprocess.PIPE, env=kubectl.environment, text=True
    ) as process:
        assert process.stdout is not None
        late = threading.Timer(PATIENCE, process.kill)  # who waits for a line reads none then
        late.start()
        yield process.stdout.readline
        late.cancel()
        process.kill()


def test_apply_says_what_it_did(kubectl: Kubectl) -> None:
    file = kubectl.file(DEPLOYMENT)
    assert kubectl.run("apply", "-f", file) == "deployment.apps/web created\n"
    assert kubectl.run("apply", "-f", file) == "deployment.apps/web unchanged\n"
    assert kubectl.run("diff", "-f", file) == ""
    spec = DEPLOYMENT["spec"]
    assert isinstance(spec, dict)
    file = kubectl.file(DEPLOYMENT | {"spec": spec | {"replicas": 3}})
    different = kubectl.run("diff", "-f", file, status=1)
    assert "-  replicas: 1\n+  replicas: 3\n" in different
    assert kubectl.run("apply", "-f", file) == "deployment.apps/web configured\n"
    assert kubectl.field("deployment/web", ".spec.replicas") == "3"
    kubectl.run("apply", "--server-side", "-f", file)
    kept = r".metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration"
    assert '"replicas":3' in kubectl.field("deployment/web", kept)
    taken = kubectl.run(
        "apply", "--server-side", "--field-manager=other", "-f", kubectl.file(DEPLOYMENT), status=1
    )
    assert ".spec.replicas" in taken and "conflict" in taken
    forced = kubectl.run(
        "apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", kubectl.file(DEPLOYMENT)
    )
    assert forced == "deployment.apps/web serverside-applied\n"
    assert kubectl.field("deployment/web", ".spec.replicas") == "1"


def test_patches_of_every_sort(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", kubectl.file(DEPLOYMENT))
    strategic = '{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"side:2"}]}}}}'
    assert kubectl.run("patch", "deployment", "web", "-p", strategic) == "deployment.apps/web patched\n"
    images = "{.spec.template.spec.containers[*].image}"
    assert kubectl.field("deployment/web", images[1:-1]) == "web:1 side:2"
    assert (
        kubectl.run("patch", "deployment", "web", "-p", strategic)
        == "deployment.apps/web patched (no change)\n"
    )
    kubectl.run("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    steps = (
        '[{"op":"test","path":"/spec/replicas","value":2},{"op":"replace","path":"/spec/replicas","value":5}]'
    )
    kubectl.run("patch", "deployment", "web", "--type=json", "-p", steps)
    assert kubectl.field("deployment/web", ".spec.replicas") == "5"
    refused = kubectl.run("patch", "deployment", "web", "-p", '{"spec":{"replicas":-1}}', status=1)
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in refused


def test_it_watches_edits_and_labels(kubectl: Kubectl, watched: Callable[[], str]) -> None:
    assert watched() == "1\n"
    kubectl.run("patch", "configmap", "page", "-p", '{"data":{"a":"2"}}')
    assert watched() == "2\n"
    edited = kubectl.run("edit", "configmap", "page", EDITOR="sed -i 's/a: \"2\"/a: three/'")
    assert edited == "configmap/page edited\n"
    assert watched() == "three\n"
    assert kubectl.run("label", "configmap", "page", "tier=front").startswith("configmap/page labeled")
    assert watched() == "three\n"
    refused = kubectl.run("label", "configmap", "page", "tier=back", status=1)
    assert "already has a value (front), and --overwrite is false" in refused
    kubectl.run("replace", "-f", kubectl.file(MAP))
    assert watched() == "1\n"
    gone = kubectl.run("delete", "configmap", "page")
    assert gone.startswith('configmap "page" deleted')


def test_it_explains_what_there_is(kubectl: Kubectl) -> None:
    told = kubectl.run("explain", "deployment.spec.replicas")
    assert "Number of desired pods" in told and "integer" in told
    assert "networkpolicies" in kubectl.run("api-resources", "--verbs=list", "-o", "name")
    assert kubectl.run("auth", "can-i", "create", "pods") == "yes\n"
    assert "namespaces" in kubectl.run("get", "--raw", "/api/v1")
