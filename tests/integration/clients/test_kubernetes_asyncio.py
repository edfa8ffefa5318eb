"""kubernetes_asyncio, unmodified."""

from kubernetes_asyncio import client, config, watch

from tests.integration.running import ApiServer


async def test_it_creates_watches_and_deletes(api_server: ApiServer, namespace_name: str) -> None:
    async with await config.new_client_from_config(config_file=str(api_server.kubeconfig())) as api:
        core = client.CoreV1Api(api)
        revision = (await core.list_namespaced_config_map(namespace_name)).metadata.resource_version
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="page"), data={"a": "1"})
        await core.create_namespaced_config_map(namespace_name, body)
        await core.delete_namespaced_config_map("page", namespace_name)
        seen = []
        async with watch.Watch() as stream:
            async for event in stream.stream(
                core.list_namespaced_config_map, namespace_name, resource_version=revision, timeout_seconds=20
            ):
                seen.append((event["type"], event["object"].metadata.name))
                if len(seen) == 2:
                    break
        assert seen == [("ADDED", "page"), ("DELETED", "page")]
        versions = await client.VersionApi(api).get_code()
        assert versions.git_version.startswith("v1.36")
