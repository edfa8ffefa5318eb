"""The workloads of the stories."""

from __future__ import annotations

from typing import Any

NGINX = "localhost/nginx:1"
BUSYBOX = "busybox:latest"
GRACE = 2  # seconds


def pod(name: str, *command: str, **spec: Any) -> Any:
    """A pod of one busybox container."""
    container = {
        "name": "main",
        "image": BUSYBOX,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
    }
    body = {"containers": [container], "terminationGracePeriodSeconds": GRACE, **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": body,
    }


def web(name: str = "web", replicas: int = 3, **template: Any) -> Any:
    """A deployment of nginx that is ready when it answers and leaves without dropping a request."""
    labels = {"app": name}
    container = {
        "name": "nginx",
        "image": NGINX,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": 80, "name": "http"}],
        "readinessProbe": {
            "httpGet": {"path": "/name", "port": "http"},
            "periodSeconds": 1,
            "timeoutSeconds": 10,
        },
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "2"]}}},
    }
    spread = {"labelSelector": {"matchLabels": labels}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": spread}]
        }
    }
    spec = {
        "containers": [container],
        "affinity": affinity,
        "terminationGracePeriodSeconds": 30,
        **template,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service(name: str = "web", **spec: Any) -> Any:
    """A service in front of `web`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": "http"}], **spec},
    }
