"""Static pods: manifests in a directory of this node, run without asking the API server.

Each gets the node's name as a suffix and a uid made from its content, so that an edited file is another pod. The
kernel tells when a file has changed, and the directory is looked at now and then besides.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

import orjson
import yaml

from kubarium.api.core.pod import references, static
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import METADATA, invalid
from kubarium.apimachinery.metadata import validate_annotations, validate_labels
from kubarium.apimachinery.object import Object, ObjectKey, key_of, name_of, namespace_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, sleep_unless
from kubarium.component_base.inotify import FolderWatch
from kubelet.pods.merge import Merge
from kubelet.runtime.inputs import Recorder

log = logging.get(__name__)

SOURCE = "file"


class FileSource:
    """Reads the directory again and again."""

    def __init__(
        self, directory: str, node_name: str, merge: Merge, recorder: Recorder, clock: Clock, period: float
    ) -> None:
        self._directory = Path(directory)
        self._node_name = node_name
        self._merge = merge
        self._recorder = recorder
        self._clock = clock
        self._period = period
        self._seen: object = None
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Look when something has changed, and every `period` seconds (upstream's fileCheckFrequency)."""
        with contextlib.closing(FolderWatch()) as watch:
            while True:
                self._changed.clear()
                try:
                    self._follow(watch)
                    self.look()
                except OSError as error:
                    log.warning("static pods in %s not read: %s", self._directory, error)
                except Exception:
                    log.exception("static pods in %s not read", self._directory)
                await sleep_unless(self._clock, self._period, self._changed)

    def _follow(self, watch: FolderWatch) -> None:
        folder = self._directory.parent if self._directory.is_file() else self._directory
        watch.follow(folder, lambda name: self._changed.set())

    def look(self) -> None:
        """Read the directory if anything in it has changed."""
        files = [self._directory] if self._directory.is_file() else sorted(self._directory.glob("*"))
        files = [file for file in files if file.is_file() and not file.name.startswith(".")]
        seen = [(file, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
        if seen == self._seen:
            return
        self._seen = seen
        pods: dict[ObjectKey, Object] = {}
        for file in files:
            pod = self._read(file)
            if pod is not None and pods.setdefault(key_of(pod), pod) is not pod:
                self._tell_of_namesake(pod)
        self._merge.replace(SOURCE, list(pods.values()))

    def _read(self, file: Path) -> Object | None:
        try:
            pod = yaml.safe_load(file.read_text())
            return prepare(pod, str(file), self._node_name)
        except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, FileNotFoundError) as error:
            log.error("Can't process manifest file %s: %s", file, error)
            return None

    def _tell_of_namesake(self, pod: Object) -> None:
        name = name_of(pod)
        text = (
            f"Error validating pod {name}_{namespace_of(pod)}({uid_of(pod)}) from {SOURCE} due to duplicate pod name "
            f'"{name}", ignoring'
        )
        log.warning(text)
        self._recorder.event(pod, "Warning", "FailedValidation", text)


def prepare(pod: Object, file: str, node_name: str) -> Object:
    """Fill in what the API server would have filled in. Raises ValueError, or what broken structure leads to."""
    # Only now: many nodes have no static pods, and need to know nothing of what makes a pod valid.
    from kubarium.api.core.pod import defaults, validation

    if not isinstance(pod, dict) or pod.get("kind") != "Pod" or pod.get("apiVersion") != "v1":
        raise ValueError("not a v1 Pod")
    if api_objects := _api_objects_of(pod):
        raise ValueError(f"static pods may not reference {api_objects}")
    metadata = pod["metadata"]
    content = orjson.dumps([pod, file, node_name], option=orjson.OPT_SORT_KEYS)
    uid = metadata.get("uid") or hashlib.md5(content, usedforsecurity=False).hexdigest()
    metadata |= {
        "uid": uid,
        "name": f"{metadata.get('name') or ''}-{node_name.lower()}",
        "namespace": metadata.get("namespace") or "default",
    }
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        static.HASH: uid,
        static.SOURCE: SOURCE,
    }
    defaults.fill(pod)
    spec = pod["spec"]
    spec["nodeName"] = node_name
    # A static pod stays when the node is in trouble.
    stays = {"operator": "Exists", "effect": "NoExecute"}
    spec["tolerations"] = [*(spec.get("tolerations") or []), stays]
    pod.setdefault("status", {})["phase"] = "Pending"
    problems = [
        *(
            invalid(METADATA / "name", metadata["name"], text)
            for text in names.dns_subdomain_errors(metadata["name"])
        ),
        *validate_labels(metadata.get("labels"), METADATA / "labels"),
        *validate_annotations(metadata["annotations"], METADATA / "annotations"),
        *validation.validate(pod),
    ]
    if problems:
        raise ValueError(f"invalid pod: [{', '.join(str(one) for one in problems)}]")
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
