from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubarium.component_base.clock import FakeClock
from kubelet.events import Change, PodAdded, PodRemoved
from kubelet.pods.merge import Merge, is_static
from kubelet.pods.source_files import FileSource, prepare

MANIFEST = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: a, image: 'b%s'}]}}"


def test_files_become_pods(tmp_path: Path, clock: FakeClock) -> None:
    said: list[Change] = []
    source = FileSource(str(tmp_path), "node-1", Merge(said.append), clock, 20)
    (tmp_path / "web.yaml").write_text(MANIFEST % "")
    (tmp_path / "broken.yaml").write_text("{")
    source.look()
    source.look()
    (tmp_path / "web.yaml").write_text(MANIFEST % ":2")
    source.look()
    assert [type(change) for change in said] == [PodAdded, PodRemoved, PodAdded]
    pod = said[-1].pod
    assert (
        pod["metadata"]["name"] == "web-node-1"
        and pod["metadata"]["namespace"] == "default"
        and is_static(pod)
    )


def test_a_static_pod_needs_nothing_of_the_api_server() -> None:
    pod = yaml.safe_load(MANIFEST % "")
    pod["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "c"}}]
    with pytest.raises(ValueError, match="static pods may not reference configmaps"):
        prepare(pod, "web.yaml", "node-1")
