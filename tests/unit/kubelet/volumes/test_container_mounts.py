"""A container's mounts in the runtime's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubelet.runtime.interface import StartError
from kubelet.volumes.container_mounts import ContainerMounts, expanded
from kubelet.volumes.plugin import Mounted
from tests.unit.kubelet.making import make_container, make_pod


def mounts(place: Path, mounted: Mounted, recursive: bool = False, **mount: Any) -> dict[str, Any]:
    container = make_container(volumeMounts=[{"name": "data", "mountPath": "/data", **mount}])
    made = ContainerMounts(make_pod(container), container, {"data": mounted}, place, {}, recursive)
    return made.mounts()[0]


@pytest.mark.parametrize(
    ("wanted", "can", "got"),
    [
        ("Disabled", True, None),
        ("IfPossible", False, None),
        ("IfPossible", True, True),
        ("Enabled", True, True),
    ],
)
def test_read_only_all_the_way_down(tmp_path: Path, wanted: str, can: bool, got: bool | None) -> None:
    made = mounts(tmp_path, Mounted("/v"), can, readOnly=True, recursiveReadOnly=wanted)
    assert made["readonly"] is True and made.get("recursive_read_only") is got


def test_what_a_runtime_cannot_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="not supported by the runtime"):
        mounts(tmp_path, Mounted("/v"), readOnly=True, recursiveReadOnly="Enabled")


def test_images_are_named_or_laid_out(tmp_path: Path) -> None:
    made = mounts(tmp_path, Mounted(read_only=True, image="sha256:1"), subPath="a")
    assert (
        made["image"] == {"image": "sha256:1"} and made["image_sub_path"] == "a" and "host_path" not in made
    )
    assert mounts(tmp_path, Mounted("/v", read_only=True))["host_path"] == "/v"


def test_devices(tmp_path: Path) -> None:
    container = make_container(volumeDevices=[{"name": "data", "devicePath": "/dev/x"}])
    mounted = {"data": Mounted(device="/dev/loop7", read_only=True)}
    made = ContainerMounts(make_pod(container), container, mounted, tmp_path, {})
    assert made.devices() == [{"container_path": "/dev/x", "host_path": "/dev/loop7", "permissions": "r"}]


@pytest.mark.parametrize("expression", ["$(NONE)", "/absolute", "$(UP)/x"])
def test_expressions_that_lead_nowhere(expression: str) -> None:
    with pytest.raises(StartError, match="CreateContainerConfigError"):
        expanded(expression, {"UP": ".."})
    assert expanded("a/$(UP)b", {"UP": ""}) == "a/b"
