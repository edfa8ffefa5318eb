"""The official Python client, unmodified."""

from collections.abc import Iterator

import pytest
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

from tests.integration.running import ApiServer


@pytest.fixture
def api(api_server: ApiServer) -> Iterator[client.ApiClient]:
    found = config.new_client_from_config(config_file=str(api_server.kubeconfig()))
    yield found
    found.close()


def test_it_creates_reads_changes_and_deletes(api: client.ApiClient, namespace_name: str) -> None:
    core = client.CoreV1Api(api)
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="page"), data={"index.html": "hello"})
    created = core.create_namespaced_config_map(namespace_name, body)
    assert created.metadata.uid and created.data == {"index.html": "hello"}
    patched = core.patch_namespaced_config_map("page", namespace_name, {"data": {"more": "1"}})
    assert patched.data == {"index.html": "hello", "more": "1"}
    assert [item.metadata.name for item in core.list_namespaced_config_map(namespace_name).items] == ["page"]
    core.delete_namespaced_config_map("page", namespace_name)
    with pytest.raises(ApiException) as refused:
        core.read_namespaced_config_map("page", namespace_name)
    assert refused.value.status == 404


def test_it_watches(api: client.ApiClient, namespace_name: str) -> None:
    core = client.CoreV1Api(api)
    revision = core.list_namespaced_secret(namespace_name).metadata.resource_version
    for name in ("one", "two"):
        core.create_namespaced_secret(
            namespace_name, client.V1Secret(metadata=client.V1ObjectMeta(name=name))
        )
    core.delete_namespaced_secret("one", namespace_name)
    seen = []
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_secret, namespace_name, resource_version=revision, timeout_seconds=20
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 3:
            stream.stop()
    assert seen == [("ADDED", "one"), ("ADDED", "two"), ("DELETED", "one")]


def test_it_sees_a_deployment_with_its_defaults(api: client.ApiClient, namespace_name: str) -> None:
    apps = client.AppsV1Api(api)
    labels = {"app": "web"}
    pod = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels),
        spec=client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx:1.27")]),
    )
    spec = client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels=labels), template=pod)
    created = apps.create_namespaced_deployment(
        namespace_name, client.V1Deployment(metadata=client.V1ObjectMeta(name="web"), spec=spec)
    )
    assert created.spec.replicas == 1
    assert created.spec.strategy.rolling_update.max_surge == "25%"
    assert created.spec.template.spec.containers[0].image_pull_policy == "IfNotPresent"
    scaled = apps.patch_namespaced_deployment_scale("web", namespace_name, {"spec": {"replicas": 3}})
    assert scaled.spec.replicas == 3


def test_mistakes_are_answered_as_upstream_answers_them(api: client.ApiClient, namespace_name: str) -> None:
    core = client.CoreV1Api(api)
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_pod(
            namespace_name, {"metadata": {"name": "UPPER"}, "spec": {"containers": []}}
        )
    assert refused.value.status == 422
    assert "spec.containers: Required value" in refused.value.body
    assert "a lowercase RFC 1123 subdomain" in refused.value.body
