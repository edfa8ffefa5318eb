"""lightkube, unmodified."""

from collections.abc import Iterator

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.models.core_v1 import ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Service
from lightkube.types import PatchType

from tests.integration.running import ApiServer

pytestmark = pytest.mark.filterwarnings("ignore")  # lightkube leaves sockets to the garbage collector


@pytest.fixture
def api(api_server: ApiServer, namespace_name: str) -> Iterator[Client]:
    config = KubeConfig.from_file(api_server.kubeconfig())
    yield Client(config=config, namespace=namespace_name, field_manager="lightkube")


def test_it_creates_applies_lists_and_deletes(api: Client) -> None:
    page = ConfigMap(metadata=ObjectMeta(name="page", labels={"app": "web"}), data={"a": "1"})
    api.create(page)
    api.patch(ConfigMap, "page", {"data": {"b": "2"}}, patch_type=PatchType.MERGE)
    applied = api.apply(
        ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="applied"), data={"c": "3"})
    )
    assert applied.data == {"c": "3"}
    assert [found.data for found in api.list(ConfigMap, labels={"app": "web"})] == [{"a": "1", "b": "2"}]
    api.delete(ConfigMap, "page")
    with pytest.raises(ApiError) as refused:
        api.get(ConfigMap, "page")
    assert refused.value.status.reason == "NotFound"


def test_it_reads_what_the_server_fills_in(api: Client) -> None:
    spec = ServiceSpec(selector={"app": "web"}, ports=[ServicePort(port=80)])
    service = api.create(Service(metadata=ObjectMeta(name="web"), spec=spec))
    assert service.spec is not None and service.spec.clusterIP and service.spec.type == "ClusterIP"
    api.delete(Service, "web")
    assert list(api.list(Deployment)) == []


def test_it_watches(api: Client) -> None:
    api.create(ConfigMap(metadata=ObjectMeta(name="seen")))
    for kind, found in api.watch(ConfigMap, fields={"metadata.name": "seen"}):
        assert (kind, found.metadata is not None and found.metadata.name) == ("ADDED", "seen")
        break
