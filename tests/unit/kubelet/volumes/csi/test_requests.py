from __future__ import annotations

from typing import Any

import pytest

from kubelet.volumes.csi import requests
from tests.unit.kubelet.making import make_pod


def persistent(*modes: str, **csi: Any) -> dict[str, Any]:
    volume = {"metadata": {"name": "pv"}, "spec": {"accessModes": list(modes)}}
    return {"name": "pv", "csi": {"driver": "d", "volumeHandle": "h", **csi}, "persistentVolume": volume}


INLINE = {"name": "data", "csi": {"driver": "d"}}


def test_names() -> None:
    assert requests.handle_of(make_pod(), persistent("ReadWriteOnce")) == "h"
    # sha256 of the pod's uid and the volume's name
    assert requests.handle_of({"metadata": {"uid": "a"}}, {**INLINE, "name": "b"}) == (
        "csi-fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"
    )
    assert requests.unique_name("d", "h") == "kubernetes.io/csi/d^h"


@pytest.mark.parametrize(
    ("mode", "plain", "exact"),
    [
        ("ReadWriteOnce", "SINGLE_NODE_WRITER", "SINGLE_NODE_MULTI_WRITER"),
        ("ReadWriteOncePod", "SINGLE_NODE_WRITER", "SINGLE_NODE_SINGLE_WRITER"),
        ("ReadOnlyMany", "MULTI_NODE_READER_ONLY", "MULTI_NODE_READER_ONLY"),
        ("ReadWriteMany", "MULTI_NODE_MULTI_WRITER", "MULTI_NODE_MULTI_WRITER"),
    ],
)
def test_access_modes(mode: str, plain: str, exact: str) -> None:
    volume = persistent(mode)
    assert requests.capability(volume, exact=False)["access_mode"] == {"mode": plain}
    assert requests.capability(volume, exact=True)["access_mode"] == {"mode": exact}


def test_capabilities() -> None:
    volume = persistent("ReadWriteOnce", fsType="xfs") | {"mountOptions": ["noatime"]}
    assert requests.capability(volume, exact=False, mount_group="5")["mount"] == {
        "fs_type": "xfs",
        "mount_flags": ["noatime"],
        "volume_mount_group": "5",
    }
    volume["persistentVolume"]["spec"]["volumeMode"] = "Block"
    assert requests.capability(volume, exact=False)["block"] == {}


@pytest.mark.parametrize(
    ("policy", "volume", "given"),
    [
        ("File", persistent("ReadWriteMany"), True),
        ("None", persistent("ReadWriteOnce", fsType="ext4"), False),
        ("ReadWriteOnceWithFSType", persistent("ReadWriteOnce", fsType="ext4"), True),
        ("ReadWriteOnceWithFSType", persistent("ReadWriteOnce"), False),
        ("ReadWriteOnceWithFSType", persistent("ReadWriteMany", fsType="ext4"), False),
        ("ReadWriteOnceWithFSType", persistent("ReadWriteOnce", fsType="ext4") | {"readOnly": True}, False),
    ],
)
def test_whose_files_they_become(policy: str, volume: Any, given: bool) -> None:
    assert requests.may_give_to_group(policy, volume) is given


def test_for_whom_a_volume_is() -> None:
    pod = make_pod()
    told = requests.pod_info(pod, INLINE)
    assert told[requests.POD_NAME] == "web" and told[requests.EPHEMERAL] == "true"
    assert requests.pod_info(pod, persistent("ReadWriteOnce"))[requests.EPHEMERAL] == "false"
