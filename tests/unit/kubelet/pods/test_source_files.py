from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.events import Change, PodAdded, PodRemoved
from kubelet.pods.merge import Merge
from kubelet.pods.source_files import FileSource, prepare

MANIFEST = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: a, image: 'b%s'}]}}"

BROKEN = (
    "{",
    "",
    "[]",
    "{apiVersion: v1, kind: Pod, metadata: {name: x}, spec: {containers: busybox}}",
    "{apiVersion: v1, kind: Pod, metadata: x, spec: {}}",
)


class Told:
    """What users are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.lines.append(f"{reason} {message}")


def test_files_become_pods(tmp_path: Path, clock: FakeClock) -> None:
    said: list[Change] = []
    source = FileSource(str(tmp_path), "node-1", Merge(said.append), Told(), clock, 20)
    (tmp_path / "web.yaml").write_text(MANIFEST % "")
    for number, text in enumerate(BROKEN):
        (tmp_path / f"broken{number}.yaml").write_text(text)
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


def test_of_two_files_with_one_name_the_first_counts(tmp_path: Path, clock: FakeClock) -> None:
    said: list[Change] = []
    told = Told()
    source = FileSource(str(tmp_path), "node-1", Merge(said.append), told, clock, 20)
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(MANIFEST % f":{name[0]}")
    source.look()
    assert [change.pod["spec"]["containers"][0]["image"] for change in said] == ["b:a"]
    assert [line for line in told.lines if "from file due to duplicate pod name" in line]
    assert told.lines[0].startswith("FailedValidation Error validating pod web-node-1_default(")


async def test_the_kernel_tells_of_a_new_file(tmp_path: Path, clock: FakeClock) -> None:
    added: asyncio.Future[Change] = asyncio.get_running_loop().create_future()
    source = FileSource(str(tmp_path), "node-1", Merge(added.set_result), Told(), clock, 20)
    running = asyncio.create_task(source.run())
    await clock.advance(0)
    (tmp_path / "draft").write_text(MANIFEST % "")
    assert isinstance(await added, PodAdded), "although no time has passed"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "W"}, 'metadata.name: Invalid value: "W-node-1"'),
        ({"labels": {"a b": "c"}}, "metadata.labels: Invalid value"),
        ({}, "spec.containers[0].image: Required value"),
    ],
)
def test_a_static_pod_must_be_valid(change: dict, words: str) -> None:
    pod = yaml.safe_load(MANIFEST % "")
    pod["metadata"] |= change
    if not change:
        del pod["spec"]["containers"][0]["image"]
    with pytest.raises(ValueError) as refused:
        prepare(pod, "web.yaml", "node-1")
    assert words in str(refused.value)


def test_a_static_pod_has_the_defaults_of_every_pod() -> None:
    pod = yaml.safe_load(MANIFEST % "")
    pod["spec"]["containers"][0] |= {
        "readinessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": "1"}},
    }
    made = prepare(pod, "web.yaml", "node-1")["spec"]
    assert made["containers"][0]["readinessProbe"]["periodSeconds"] == 10
    assert made["containers"][0]["resources"]["requests"] == {"cpu": "1"}


def test_a_static_pod_needs_nothing_of_the_api_server() -> None:
    pod = yaml.safe_load(MANIFEST % "")
    pod["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "c"}}]
    with pytest.raises(ValueError, match="static pods may not reference configmaps"):
        prepare(pod, "web.yaml", "node-1")
