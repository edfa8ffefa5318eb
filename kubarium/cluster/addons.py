"""What every cluster gets besides its programs: the manifests in `manifests/`, filled in and applied."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template

import yaml

from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.client.rest import Client
from kubarium.cluster import images, programs
from kubarium.cluster.state import DNS_DOMAIN, DNS_SERVICE, Cluster

MANIFESTS = Path(__file__).parent / "manifests"
IN_PODS = ("dns.yaml", "local-path.yaml", "metrics.yaml")  # without real nodes they would only seem to run
PLURALS = {
    "ServiceAccount": "serviceaccounts",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "APIService": "apiservices",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "StorageClass": "storageclasses",
    "Service": "services",
    "Deployment": "deployments",
}


async def apply(client: Client, cluster: Cluster) -> bool:
    """Make the add-ons, or bring those that are there to this version."""
    for obj in objects(cluster):
        resource = client.resource(obj["apiVersion"], PLURALS[obj["kind"]])
        name, namespace = name_of(obj), namespace_of(obj)
        try:
            await resource.get(name, namespace)
        except NotFound:
            await resource.create(obj)
        else:
            await resource.patch(name, obj, namespace, type="merge")
    return True


def objects(cluster: Cluster) -> Iterator[Object]:
    """All objects of all manifests."""
    names = values(cluster)
    for path in sorted(MANIFESTS.glob("*.yaml")):
        if path.name == "simulated-nodes.yaml" and not cluster.simulated:
            continue
        if path.name in IN_PODS and not cluster.nodes:
            continue
        for obj in yaml.safe_load_all(Template(path.read_text()).substitute(names)):
            if obj:
                yield obj


def values(cluster: Cluster) -> dict[str, str]:
    """What stands for the `$names` in the manifests."""
    folders = mounted_folders()
    mounts = [
        {"name": f"host-{i}", "mountPath": folder, "readOnly": True} for i, folder in enumerate(folders)
    ]
    volumes = [{"name": f"host-{i}", "hostPath": {"path": folder}} for i, folder in enumerate(folders)]
    return {
        "dns_service": DNS_SERVICE,
        "dns_domain": DNS_DOMAIN,
        "dns_addresses": "0.0.0.0,::" if cluster.is_dual else "0.0.0.0",
        "dns_replicas": str(min(2, max(1, len(cluster.nodes)))),
        "host_image": images.HOST_IMAGE,
        "python": sys.executable,
        "source": str(programs.source_folder()),
        "mounts": json.dumps(mounts),
        "volumes": json.dumps(volumes),
        "mounts_and_scratch": json.dumps([*mounts, {"name": "scratch", "mountPath": "/tmp"}]),
        "volumes_and_scratch": json.dumps([*volumes, {"name": "scratch", "emptyDir": {}}]),
    }


def mounted_folders() -> list[str]:
    """The folders of the node without which its Python does not run."""
    wanted = ["/usr", *(f"/{name}" for name in ("bin", "lib", "lib64")), sys.base_prefix, sys.prefix]
    folders = [path for path in [*wanted, str(programs.source_folder())] if os.path.isdir(path)]
    real = [path for path in dict.fromkeys(folders) if not os.path.islink(path)]
    return [path for path in real if not any(path.startswith(other + "/") for other in real)]
