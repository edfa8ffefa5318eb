"""What the pages of health say of etcd."""

from __future__ import annotations

import asyncio

import pytest

from apiserver.bootstrap.start_checks import etcd_check
from apiserver.storage.interface import StorageUnavailable
from kubarium.component_base.health import always_well


async def hangs() -> None:
    await asyncio.get_running_loop().create_future()


async def refuses() -> None:
    raise StorageUnavailable("connection refused")


async def test_etcd_is_not_waited_for_longer_than_the_flags_allow() -> None:
    await etcd_check(always_well, 60.0)()
    with pytest.raises(
        StorageUnavailable, match=r"^error getting data from etcd: context deadline exceeded$"
    ):
        await etcd_check(hangs, 0.0)()
    with pytest.raises(StorageUnavailable, match=r"^error getting data from etcd: connection refused$"):
        await etcd_check(refuses, 60.0)()
