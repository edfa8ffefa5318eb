"""Pods and nodes in one line, for the scheduler's tests."""

from __future__ import annotations

import itertools
from typing import Any

from kubarium.apimachinery.object import Object

_numbers = itertools.count(1)


def make_node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Object:
    """A ready node; `labels`, `taints`, `unschedulable`, `images` and extended `resources` may be given."""
    labels = {"kubernetes.io/hostname": name, **(more.get("labels") or {})}
    spec: Object = {}
    if more.get("taints"):
        spec["taints"] = more["taints"]
    if more.get("unschedulable"):
        spec["unschedulable"] = True
    allocatable = {"cpu": cpu, "memory": memory, "pods": pods, **(more.get("resources") or {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "uid": f"node-{name}", "labels": labels},
        "spec": spec,
        "status": {"allocatable": allocatable, "images": more.get("images") or []},
    }


def make_pod(
    name: str, *, namespace: str = "default", cpu: str = "", memory: str = "", **spec: Any
) -> Object:
    """A pending pod; further keywords go into its spec, `labels` and `uid` into its metadata."""
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    labels = spec.pop("labels", None) or {}
    uid = spec.pop("uid", None) or f"uid-{next(_numbers)}-{name}"
    ports = spec.pop("ports", None)
    container: Object = {"name": "main", "image": spec.pop("image", "busybox:1.36")}
    if requests:
        container["resources"] = {"requests": requests}
    if ports:
        container["ports"] = ports
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": uid, "labels": labels},
        "spec": {"containers": [container], "schedulerName": "default-scheduler", **spec},
        "status": {"phase": "Pending"},
    }
