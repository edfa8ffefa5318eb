"""What is served, told by new servers in two documents and by older ones in many."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import orjson

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.discovery import Discovered, Discovery
from kubarium.client.rest import Client

OLDER: dict[str, Object] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {
        "kind": "APIResourceList",
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list"]},
            {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
        ],
    },
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "batch",
                "versions": [{"version": "v1beta1"}, {"version": "v1"}],
                "preferredVersion": {"version": "v1"},
            },
            {"name": "metrics.k8s.io", "versions": [{"version": "v1beta1"}]},
        ],
    },
    "/apis/batch/v1": {"resources": [{"name": "jobs", "kind": "Job", "namespaced": True, "verbs": ["list"]}]},
    "/apis/batch/v1beta1": {
        "resources": [
            {"name": "jobs", "kind": "Job", "namespaced": True, "verbs": ["list"]},
            {"name": "cronjobs", "kind": "CronJob", "namespaced": True, "verbs": ["list"]},
        ]
    },
}


class Server:
    """Answers with documents; those that it lacks are not available."""

    def __init__(self, documents: dict[str, Object]) -> None:
        self.documents = documents

    async def fetch(self, method: str, path: str, **_: Any) -> Any:
        if path not in self.documents:
            raise errors.ServiceUnavailable("no server behind")
        return SimpleNamespace(status=200, headers={}, content=orjson.dumps(self.documents[path]))


async def test_an_older_server_is_asked_version_by_version() -> None:
    failures: list[str] = []
    kinds = await Discovery(cast(Client, Server(OLDER))).kinds(failures)
    assert kinds == [
        Discovered("", "v1", "pods", "Pod", True, frozenset({"get", "list"})),
        Discovered("batch", "v1", "jobs", "Job", True, frozenset({"list"})),
        Discovered("batch", "v1beta1", "cronjobs", "CronJob", True, frozenset({"list"})),
    ]
    assert failures == ["metrics.k8s.io/v1beta1: stale GroupVersion discovery"]
