from __future__ import annotations

from pathlib import Path

import pytest

from kubelet.pods.user_namespaces import LENGTH, UserNamespaces
from kubelet.runtime.interface import ContainerRuntimeError, RuntimeHandler, RuntimeInfo
from tests.unit.kubelet.making import make_pod

ABLE = RuntimeInfo("containerd", "2.1.0", (RuntimeHandler("", user_namespaces=True), RuntimeHandler("old")))


def own_users(uid: str) -> dict[str, object]:
    return make_pod(uid=uid, hostUsers=False)


def test_every_pod_has_a_range_of_its_own_for_good(tmp_path: Path) -> None:
    users = UserNamespaces(tmp_path, 2, lambda: ABLE)
    first, second = users.ids_of(own_users("1"), ""), users.ids_of(own_users("2"), "")
    assert first == ({"host_id": LENGTH, "container_id": 0, "length": LENGTH},)
    assert second[0]["host_id"] == 2 * LENGTH
    assert UserNamespaces(tmp_path, 2, lambda: ABLE).ids_of(own_users("1"), "") == first
    with pytest.raises(ContainerRuntimeError, match="empty slot"):
        users.ids_of(own_users("3"), "")
    (tmp_path / "1/userns").unlink()
    assert users.ids_of(own_users("3"), "") == first


def test_pods_with_the_nodes_users_need_none(tmp_path: Path) -> None:
    users = UserNamespaces(tmp_path, 2, lambda: RuntimeInfo("containerd", "1.6.20"))
    assert users.ids_of(make_pod(), "") == ()
    with pytest.raises(ContainerRuntimeError, match='the handler "" is not known'):
        users.ids_of(own_users("1"), "")


def test_a_handler_that_cannot(tmp_path: Path) -> None:
    users = UserNamespaces(tmp_path, 2, lambda: ABLE)
    with pytest.raises(ContainerRuntimeError, match='"old" does not support user namespaces'):
        users.ids_of(own_users("1"), "old")
