"""What the runtime was asked for is counted by upstream's names."""

from __future__ import annotations

import pytest

from kubelet.runtime import operations
from kubelet.runtime.interface import NotFound


def test_operations_have_upstreams_names() -> None:
    wanted = {
        "Version": "version",
        "RunPodSandbox": "run_podsandbox",
        "ListPodSandboxStats": "list_podsandbox_stats",
        "PodSandboxStatus": "podsandbox_status",
        "ImageFsInfo": "image_fs_info",
        "UpdateContainerResources": "update_container",
        "ReopenContainerLog": "reopen_container_log",
    }
    assert {method: operations.name_of(method) for method in wanted} == wanted


def test_operations_and_their_errors_are_counted() -> None:
    labels = ("a_method",)
    with operations.counted("AMethod"):
        pass
    with pytest.raises(NotFound), operations.counted("AMethod"):
        raise NotFound("gone")
    counted = (
        operations.TOTAL.value(labels),
        operations.ERRORS.value(labels),
        operations.SECONDS.count(labels),
    )
    assert counted == (2, 1, 2)
