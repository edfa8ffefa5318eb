"""Static pods: manifests in a directory of this node, run without asking the API server.

Each gets the node's name as a suffix and a uid made from its content, so that an edited file is another pod.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson
import yaml

from kubarium.api.core.pod import references
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.pods.merge import HASH_ANNOTATION, SOURCE_ANNOTATION, Merge

log = logging.get(__name__)

SOURCE = "file"


class FileSource:
    """Reads the directory again and again."""

    def __init__(self, directory: str, node_name: str, merge: Merge, clock: Clock, period: float) -> None:
        self._directory = Path(directory)
        self._node_name = node_name
        self._merge = merge
        self._clock = clock
        self._period = period
        self._seen: object = None

    async def run(self) -> None:
        """Look every `period` seconds (upstream's fileCheckFrequency)."""
        while True:
            try:
                self.look()
            except OSError as error:
                log.warning("static pods in %s not read: %s", self._directory, error)
            except Exception:
                log.exception("static pods in %s not read", self._directory)
            await self._clock.sleep(self._period)

    def look(self) -> None:
        """Read the directory if anything in it has changed."""
        files = [self._directory] if self._directory.is_file() else sorted(self._directory.glob("*"))
        files = [file for file in files if file.is_file() and not file.name.startswith(".")]
        seen = [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
        if seen == self._seen:
            return
        self._seen = seen
        pods = [pod for file in files if (pod := self._read(file)) is not None]
        self._merge.replace(SOURCE, pods)

    def _read(self, file: Path) -> Object | None:
        try:
            pod = yaml.safe_load(file.read_text())
            return prepare(pod, str(file), self._node_name)
        except (yaml.YAMLError, ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
            log.error("file %s holds no pod: %s", file, error)
            return None


def prepare(pod: Object, file: str, node_name: str) -> Object:
    """Fill in what the API server would have filled in. Raises ValueError when it is no pod."""
    if not isinstance(pod, dict) or pod.get("kind") != "Pod" or pod.get("apiVersion") != "v1":
        raise ValueError("not a v1 Pod")
    if api_objects := _api_objects_of(pod):
        raise ValueError(f"static pods may not reference {api_objects}")
    metadata = pod["metadata"]
    content = orjson.dumps([pod, file, node_name], option=orjson.OPT_SORT_KEYS)
    uid = metadata.get("uid") or hashlib.md5(content, usedforsecurity=False).hexdigest()
    metadata |= {
        "uid": uid,
        "name": f"{metadata['name']}-{node_name.lower()}",
        "namespace": metadata.get("namespace") or "default",
    }
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        HASH_ANNOTATION: uid,
        SOURCE_ANNOTATION: SOURCE,
    }
    spec = pod["spec"]
    spec["nodeName"] = node_name
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("securityContext", {})
    # A static pod stays when the node is in trouble.
    spec.setdefault("tolerations", []).append({"operator": "Exists", "effect": "NoExecute"})
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        tag = container["image"].rpartition("/")[2]
        latest = "@" not in tag and (":" not in tag or tag.endswith(":latest"))
        container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    pod.setdefault("status", {})["phase"] = "Pending"
    return pod


def _api_objects_of(pod: Object) -> str:
    """What a static pod would need of the API server, which it may have to start; nothing if it needs nothing."""
    found = {
        "serviceaccounts": references.service_account_of(pod),
        "secrets": [*references.secrets_of(pod)],
        "configmaps": [*references.config_maps_of(pod)],
        "persistentvolumeclaims": [*references.claims_of(pod)],
        "resourceclaims": (pod.get("spec") or {}).get("resourceClaims"),
    }
    return next((plural for plural, names in found.items() if names), "")
