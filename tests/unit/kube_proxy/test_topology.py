"""Which endpoints a node sends traffic to.

| endpoints                                  | chosen                                   |
|--------------------------------------------|------------------------------------------|
| every ready one has hints, some are for us | those                                    |
| one has none                               | all ready ones                           |
| none is for us                             | all ready ones                           |
| none is ready                              | those that serve while they terminate    |
"""

from __future__ import annotations

import pytest

from kube_proxy.endpoints import Endpoint
from kube_proxy.topology import NodeView, choose

HERE = NodeView("n1", zone="a")


def endpoint(ip: str, *, zones: str = "", nodes: tuple[str, ...] = (), ready: bool = True) -> Endpoint:
    return Endpoint(
        ip=ip,
        port=80,
        node="",
        ready=ready,
        serving=True,
        terminating=not ready,
        zone_hints=tuple(zones),
        node_hints=nodes,
    )


@pytest.mark.parametrize(
    ("endpoints", "chosen"),
    [
        ([endpoint("1", zones="a"), endpoint("2", zones="b")], "1"),
        ([endpoint("1", zones="a"), endpoint("2")], "12"),
        ([endpoint("1", zones="b"), endpoint("2", zones="c")], "12"),
        ([endpoint("1", zones="a", nodes=("n1",)), endpoint("2", zones="a", nodes=("n2",))], "1"),
        ([endpoint("1", zones="a", nodes=("n3",)), endpoint("2", zones="b", nodes=("n2",))], "1"),
        ([endpoint("1", zones="a", ready=False), endpoint("2", zones="b", ready=False)], "12"),
        ([endpoint("1", zones="a"), endpoint("2", ready=False)], "1"),
        ([], ""),
    ],
)
def test_hints_are_followed_when_every_ready_endpoint_has_them(
    endpoints: list[Endpoint], chosen: str
) -> None:
    assert "".join(one.ip for one in choose(endpoints, HERE).cluster) == chosen
