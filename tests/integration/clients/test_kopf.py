"""A kopf operator on a custom resource, unmodified: it adds its finalizer, reacts, and lets the object go."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes import client, config
from kubernetes.client.rest import ApiException

from tests.integration.running import ApiServer

OPERATOR = """
import kopf

@kopf.on.create("greetings.example.com")
def greet(spec, name, namespace, patch, **_):
    patch.status["text"] = f"hello {spec['who']}"

@kopf.on.delete("greetings.example.com")
def forget(name, **_):
    pass
"""

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "greetings.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "greetings", "kind": "Greeting"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"who": {"type": "string"}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def eventually(read: Callable[[], object], seconds: float = 60.0) -> object:
    """The first answer that is neither an error nor empty."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = read()
            if found:
                return found
        except ApiException as error:
            if time.monotonic() > deadline:
                raise error
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.1)


@pytest.mark.filterwarnings("ignore")
def test_an_operator_reacts_to_a_custom_resource(
    api_server: ApiServer, namespace_name: str, tmp_path: Path
) -> None:
    kubeconfig = api_server.kubeconfig()
    with config.new_client_from_config(config_file=str(kubeconfig)) as api:
        extensions, objects = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
        extensions.create_custom_resource_definition(DEFINITION)
        place = ("example.com", "v1", namespace_name, "greetings")
        eventually(lambda: objects.list_namespaced_custom_object(*place))
        script = tmp_path / "operator.py"
        script.write_text(OPERATOR)
        log = (tmp_path / "operator.log").open("wb")
        operator = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "--standalone", "-n", namespace_name, str(script)],
            env={"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin"}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            greeting = {"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": "one"}}
            objects.create_namespaced_custom_object(*place, {**greeting, "spec": {"who": "world"}})
            read = lambda: objects.get_namespaced_custom_object(*place, "one")  # noqa: E731
            assert eventually(lambda: read().get("status", {}).get("text")) == "hello world"
            assert eventually(lambda: read()["metadata"].get("finalizers"))
            objects.delete_namespaced_custom_object(*place, "one")

            def is_gone() -> bool:
                return not objects.list_namespaced_custom_object(*place)["items"]

            assert eventually(is_gone)
        finally:
            operator.terminate()
            operator.wait(60)
            log.close()
            extensions.delete_custom_resource_definition("greetings.example.com")
