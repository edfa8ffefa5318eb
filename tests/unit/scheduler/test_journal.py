"""The journal refers to what decisions made; what it tells must be as it was then, whatever happened since."""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery.object import Object, ObjectKey
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from scheduler import journal as journals
from scheduler.app import SchedulerApp
from scheduler.configuration import Configuration
from scheduler.framework.interface import CycleState
from scheduler.framework.pod_info import PodInfo
from tests.unit.scheduler.builders import make_node, make_pod


class Desk:
    """A scheduler without its loop: pods are decided on one by one."""

    def __init__(self, *nodes: Object) -> None:
        self.clock = FakeClock()
        self.app = SchedulerApp(FakeAPI().client(), Configuration(), self.clock)
        for node in nodes:
            self.app.cache.put_node(node)

    async def decide(self, name: str, **asks: Any) -> str:
        """Decide and write it down; the node, or nothing."""
        app, pod = self.app, PodInfo(make_pod(name, **asks))
        assert app.journal is not None
        choice = await app.scheduler.choose(app.profiles["default-scheduler"], CycleState(), pod)
        node = choice.node
        if node:
            app.cache.assume(pod, node)
        app.journal.write(pod, self.clock.monotonic(), choice, "" if node else choice.verdict.message())
        return node

    def told(self, name: str) -> list[Object]:
        """What the journal has to say."""
        assert self.app.journal is not None
        return [journals.show(one) for one in self.app.journal.attempts(ObjectKey("default", name))]


@pytest.mark.parametrize("number", [3, journals.ALL_PARTS_UP_TO + 1])
async def test_scores_are_those_of_the_moment(number: int) -> None:
    desk = Desk(*(make_node(f"n{one}") for one in range(number)), make_node("small", cpu="100m"))
    winner = await desk.decide("web", cpu="1")
    then = desk.told("web")
    for one in range(number * 2):  # all nodes are fuller now
        assert await desk.decide(f"later-{one}", cpu="1")
    assert desk.told("web") == then
    by_name = {entry["node"]: entry for entry in then[0]["nodes"]}
    assert len(by_name) == number + 1 and then[0]["node"] == winner
    assert by_name[winner]["score"] == sum(by_name[winner]["scores"].values()) > 0
    assert by_name["small"]["refusedBy"][0]["reason"] == "Insufficient cpu"
    loser = by_name["n0" if winner != "n0" else "n1"]
    assert loser["score"] == by_name[winner]["score"]  # they were all alike
    assert bool(loser["scores"]) == (number <= journals.ALL_PARTS_UP_TO)


async def test_names_stay_when_nodes_come_and_go() -> None:
    desk = Desk(make_node("a"), make_node("b"))
    await desk.decide("web", cpu="1")
    desk.app.cache.remove_node("a")
    desk.app.cache.remove_node("b")
    desk.app.cache.put_node(make_node("c"))
    assert await desk.decide("other", cpu="1") == "c"
    assert {entry["node"] for entry in desk.told("web")[0]["nodes"]} == {"a", "b"}
    assert [entry["node"] for entry in desk.told("other")[0]["nodes"]] == ["c"]


async def test_of_old_decisions_the_winner_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "RING_ROWS", (3, 3))
    nodes = [make_node(f"n{one}") for one in range(journals.ALL_PARTS_UP_TO + 1)]
    desk = Desk(*nodes)
    winner = await desk.decide("web", cpu="1")
    before = next(entry for entry in desk.told("web")[0]["nodes"] if entry["node"] == winner)
    assert not await desk.decide("huge", cpu="64")
    await desk.clock.advance(90)
    for one in range(3):
        await desk.decide(f"later-{one}", cpu="1")
    (web,), (huge,) = desk.told("web"), desk.told("huge")
    assert web["nodes"] == [{"node": winner, "feasible": True, "scores": before["scores"]}]
    assert huge["nodes"] == [] and huge["message"].startswith(
        "0/257 nodes are available: 257 Insufficient cpu"
    )
    assert web["time"] == "2026-01-01T00:00:00.000000Z"
    assert desk.told("later-2")[0]["time"] == "2026-01-01T00:01:30.000000Z"
    assert len(desk.told("later-0")[0]["nodes"]) == len(nodes)


async def test_the_last_attempts_of_a_pod_are_shown() -> None:
    desk = Desk(make_node("a", cpu="1"))
    for _ in range(journals.ATTEMPTS + 2):
        await desk.decide("huge", cpu="64")
    assert [one["result"] for one in desk.told("huge")] == ["unschedulable"] * journals.ATTEMPTS
    assert desk.app.journal is not None and desk.app.journal.pods() == [ObjectKey("default", "huge")]
