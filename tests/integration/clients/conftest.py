"""A namespace for clients that are not asynchronous."""

from collections.abc import Iterator

import pytest
from kubernetes import client, config

from kubarium.apimachinery import names
from tests.integration.running import ApiServer


@pytest.fixture
def namespace_name(api_server: ApiServer) -> Iterator[str]:
    """A namespace of the test's own."""
    with config.new_client_from_config(config_file=str(api_server.kubeconfig())) as api:
        core = client.CoreV1Api(api)
        name = names.generate_name("client-")
        core.create_namespace({"metadata": {"name": name}})
        core.create_namespaced_service_account(
            name, {"metadata": {"name": "default"}}
        )  # no controller makes it here
        yield name
        core.delete_namespace(name)
