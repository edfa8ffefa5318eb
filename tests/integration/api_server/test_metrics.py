"""What the API server measures, in upstream's names, types and labels.

Source: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

import contextlib

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubarium.apimachinery import errors
from kubarium.client.rest import Client

PLACE = "component group resource scope subresource verb version"
EXPECTED = {
    "aggregator_unavailable_apiservice": ("gauge", "name"),
    "apiserver_admission_controller_admission_duration_seconds": (
        "histogram",
        "name operation rejected type",
    ),
    "apiserver_admission_step_admission_duration_seconds": ("histogram", "operation rejected type"),
    "apiserver_admission_webhook_admission_duration_seconds": ("histogram", ""),
    "apiserver_cache_list": ("counter", "group index resource"),
    "apiserver_client_certificate_expiration_seconds": ("histogram", ""),
    "apiserver_cel_compilation_duration_seconds": ("histogram", ""),
    "apiserver_cel_evaluation_duration_seconds": ("histogram", ""),
    "apiserver_current_inflight_requests": ("gauge", "request_kind"),
    "apiserver_flowcontrol_current_executing_requests": ("gauge", ""),
    "apiserver_flowcontrol_current_inqueue_requests": ("gauge", ""),
    "apiserver_flowcontrol_dispatched_requests": ("counter", "flow_schema priority_level"),
    "apiserver_flowcontrol_nominal_limit_seats": ("gauge", "priority_level"),
    "apiserver_flowcontrol_rejected_requests": ("counter", ""),
    "apiserver_flowcontrol_request_wait_duration_seconds": ("histogram", ""),
    "apiserver_flowcontrol_request_execution_seconds": ("histogram", "flow_schema priority_level type"),
    "apiserver_flowcontrol_upper_limit_seats": ("gauge", "priority_level"),
    "apiserver_longrunning_requests": ("gauge", PLACE),
    "apiserver_request": ("counter", f"code dry_run system_client {PLACE}"),
    "apiserver_request_duration_seconds": ("histogram", f"dry_run {PLACE}"),
    "apiserver_request_sli_duration_seconds": ("histogram", PLACE),
    "apiserver_requested_deprecated_apis": ("gauge", "group removed_release resource subresource version"),
    "apiserver_resource_objects": ("gauge", "group resource"),
    "apiserver_response_sizes": ("histogram", PLACE),
    "apiserver_storage_events_received": ("counter", "group resource"),
    "apiserver_storage_objects": ("gauge", "resource"),
    "apiserver_storage_size_bytes": ("gauge", "storage_cluster_id"),
    "apiserver_validation_declarative_validation_mismatch": ("counter", ""),
    "apiserver_validation_declarative_validation_panic": ("counter", ""),
    "apiserver_watch_events": ("counter", "group resource version"),
    "apiserver_watch_list_duration_seconds": ("histogram", "group resource scope version"),
    "authenticated_user_requests": ("counter", "username"),
    "authentication_attempts": ("counter", "result"),
    "disabled_metrics": ("counter", ""),
    "etcd_request_duration_seconds": ("histogram", "group operation resource"),
    "etcd_requests": ("counter", "group operation resource"),
    "hidden_metrics": ("counter", ""),
    "kubernetes_build_info": (
        "gauge",
        "build_date compiler git_commit git_tree_state git_version go_version major minor platform",
    ),
    "kubernetes_feature_enabled": ("gauge", "name stage"),
    "process_cpu_seconds": ("counter", ""),
    "process_resident_memory_bytes": ("gauge", ""),
    "rest_client_request_duration_seconds": ("histogram", "host verb"),
    "rest_client_requests": ("counter", "code host method"),
}
"""Type and labels; none where nothing has happened yet, or where there are none. Counters lose `_total` on parsing."""


async def test_metrics_have_upstreams_names_types_and_labels(client: Client, namespace: str) -> None:
    maps = client.resource("v1", "configmaps")
    await maps.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "measured"}}, namespace)
    with contextlib.suppress(errors.NotFound):
        await client.resource("v1", "endpoints").get("kubernetes", "default")
    await client.request("GET", "/readyz")
    everything = maps.watch(namespace, send_initial_events=True)
    async with contextlib.aclosing(everything):
        async for event in everything:
            if event.type == "BOOKMARK":
                break
    text = await client.request("GET", "/metrics")
    found = {}
    for family in text_string_to_metric_families(text):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[family.name] = (family.type, " ".join(sorted(labels)))
    wanted = {name: (sort, " ".join(sorted(labels.split()))) for name, (sort, labels) in EXPECTED.items()}
    assert {name: found.get(name) for name, (_, labels) in wanted.items() if labels} == {
        name: one for name, one in wanted.items() if one[1]
    }
    assert {name: found[name][0] for name in wanted} == {name: sort for name, (sort, _) in wanted.items()}
    assert "_created" not in text
    slis = await client.request("GET", "/metrics/slis")
    assert 'kubernetes_healthcheck{name="etcd",type="readyz"} 1.0' in slis and "apiserver_" not in slis
    assert 'apiserver_storage_objects{resource="configmaps"}' in text
    assert 'apiserver_storage_objects{resource="deployments.apps"}' in text
    assert 'resource="endpoints",scope="resource"' in text


async def test_the_server_tells_how_long_it_runs_and_with_which_flags(client: Client) -> None:
    plain = {"Accept": "text/plain"}
    assert "apiserver statusz" in await client.request("GET", "/statusz", headers=plain)
    assert "authorization-mode=[Node,RBAC]" in await client.request("GET", "/flagz", headers=plain)
    wanted = {"Accept": "application/json;v=v1beta1;g=config.k8s.io;as=Flagz"}
    assert (await client.request("GET", "/flagz", headers=wanted))["flags"]["event-ttl"] == "1h0m0s"
    with pytest.raises(errors.StatusError) as refused:
        await client.request("GET", "/flagz", headers={"Accept": "application/json"})
    assert refused.value.code == 406
