from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubelet.pods.environment import (
    Surroundings,
    environment,
    hosts_file,
    kernel_hostname,
    parse_env_file,
    service_variables,
)
from kubelet.runtime.interface import StartError
from tests.unit.kubelet.making import make_container, make_pod

SERVICE = {
    "metadata": {"name": "foo-service", "namespace": "default"},
    "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 8765, "name": "http"}]},
}
KUBERNETES = {
    "metadata": {"name": "kubernetes", "namespace": "default"},
    "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]},
}
OBJECTS: dict[tuple[str, str], Object] = {
    ("ConfigMap", "cm"): {"kind": "ConfigMap", "data": {"a": "1", "bad=key": "x"}},
    ("Secret", "sec"): {"kind": "Secret", "data": {"pw": "czNjcmV0"}},
}


async def fetch(kind: str, namespace: str, name: str) -> Object | None:
    return OBJECTS.get((kind, name))


async def variables(container: Object, **spec: Any) -> dict[str, str]:
    around = Surroundings(["192.0.2.1"], ["10.0.0.2"], {"cpu": "2", "memory": "4Gi"}, [KUBERNETES])
    return dict(await environment(make_pod(container, **spec), container, around, fetch))


async def test_expansion_sees_earlier_variables_and_service_links() -> None:
    env = [
        {"name": "A", "value": "x"},
        {"name": "B", "value": "$(A)-$(LATER)-$$(A)-$(KUBERNETES_SERVICE_HOST)"},
        {"name": "LATER", "value": "y"},
    ]
    assert (await variables(make_container(env=env)))["B"] == "x-$(LATER)-$(A)-10.96.0.1"


async def test_sources() -> None:
    env = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "pw"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "zz", "optional": True}}},
    ]
    found = await variables(
        make_container(env=env, envFrom=[{"prefix": "P_", "configMapRef": {"name": "cm"}}])
    )
    assert {key: found.get(key) for key in ("NAME", "IP", "CPU", "MEM", "PW", "NONE", "P_a")} == {
        "NAME": "web",
        "IP": "10.0.0.2",
        "CPU": "2",
        "MEM": "4096",
        "PW": "s3cret",
        "NONE": None,
        "P_a": "1",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "a"}}, 'configmap "no" not found'),
        ({"configMapKeyRef": {"name": "cm", "key": "zz"}}, "couldn't find key zz in ConfigMap default/cm"),
        ({"secretKeyRef": {"name": "no", "key": "a"}}, 'secret "no" not found'),
    ],
)
async def test_what_is_missing_keeps_the_container_from_starting(source: Object, message: str) -> None:
    with pytest.raises(StartError) as caught:
        await variables(make_container(env=[{"name": "X", "valueFrom": source}]))
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)


def test_service_variables() -> None:
    assert service_variables([SERVICE], "default", True) == {
        "FOO_SERVICE_SERVICE_HOST": "10.96.0.7",
        "FOO_SERVICE_SERVICE_PORT": "8765",
        "FOO_SERVICE_SERVICE_PORT_HTTP": "8765",
        "FOO_SERVICE_PORT": "tcp://10.96.0.7:8765",
        "FOO_SERVICE_PORT_8765_TCP": "tcp://10.96.0.7:8765",
        "FOO_SERVICE_PORT_8765_TCP_PROTO": "tcp",
        "FOO_SERVICE_PORT_8765_TCP_PORT": "8765",
        "FOO_SERVICE_PORT_8765_TCP_ADDR": "10.96.0.7",
    }


def test_without_links_only_the_api_server_is_named() -> None:
    assert {
        name.partition("_")[0] for name in service_variables([SERVICE, KUBERNETES], "default", False)
    } == {"KUBERNETES"}


def test_hosts_file() -> None:
    pod = make_pod(
        hostAliases=[{"ip": "1.2.3.4", "hostnames": ["foo", "bar"]}], hostname="h", subdomain="sub"
    )
    text = hosts_file(pod, ["10.0.0.2"], "cluster.local", "")
    assert text.startswith("# Kubernetes-managed hosts file.\n")
    assert "10.0.0.2\th.sub.default.svc.cluster.local\th\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\tfoo\tbar\n")


def test_hostname() -> None:
    assert kernel_hostname(make_pod(name="a" * 70), "cluster.local") == "a" * 63
    fqdn = make_pod(subdomain="sub", setHostnameAsFQDN=True)
    assert kernel_hostname(fqdn, "cluster.local") == "web.sub.default.svc.cluster.local"


FILE = """# comment
A='one
two'
B = no
"""


def test_files_of_variables() -> None:
    assert parse_env_file("A='x y'\n\n# no\nB=plain \nC=''\n") == {"A": "x y", "B": "plain", "C": ""}
    assert parse_env_file("A='one\ntwo'\nB=1") == {"A": "one\ntwo", "B": "1"}
    with pytest.raises(ValueError, match="invalid environment variable format"):
        parse_env_file(FILE)


async def test_a_variable_from_a_file() -> None:
    def read(volume: str, path: str) -> str:
        if (volume, path) != ("config", "app.env"):
            raise FileNotFoundError(path)
        return "A=1\n"

    async def value(**reference: Any) -> str | None:
        source = {"volumeName": "config", "path": "app.env", "key": "A", **reference}
        container = make_container(env=[{"name": "V", "valueFrom": {"fileKeyRef": source}}])
        around = Surroundings([], [], {}, [], read)
        return dict(await environment(make_pod(container), container, around, fetch)).get("V")

    assert await value() == "1"
    assert await value(key="B", optional=True) is None
    assert await value(path="none", optional=True) is None
    with pytest.raises(StartError, match=r'environment variable key "B" not found in file "app\.env"'):
        await value(key="B")
