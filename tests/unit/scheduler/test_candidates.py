"""The columns of candidates say the same as the candidates themselves, and know what is out of date."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scheduler.candidates import Candidate, Outcome, Outcomes, choose
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from tests.unit.scheduler.builders import make_node, make_pod

VICTIMS = st.lists(
    st.tuples(st.integers(-2, 2), st.sampled_from(["", "2026-11-29T21:00:00Z", "2026-11-29T20:59:59Z"])), max_size=3
)  # fmt: skip


def candidate_of(place: int, victims: list[tuple[int, str]], violations: int) -> Candidate:
    pods = []
    for number, (priority, started) in enumerate(victims):
        pod = make_pod(f"p{place}-{number}", priority=priority)
        pod["status"] = {"startTime": started} if started else {}
        pods.append(PodInfo(pod))
    found = Candidate(place, pods, violations)
    found.settle()
    return found


@given(st.lists(st.tuples(VICTIMS, st.integers(0, 1)), min_size=1, max_size=8))
def test_the_best_is_where_it_hurts_least(drawn: list[tuple[list[tuple[int, str]], int]]) -> None:
    nodes = Nodes()
    for number in range(len(drawn)):
        nodes.put_node(make_node(f"n{number}"))
    places = np.flatnonzero(nodes.valid)
    outcomes = Outcomes(nodes)
    assert outcomes.unknown(places).tolist() == places.tolist()
    found: dict[int, Outcome] = {}
    for place, (victims, violations) in zip(places.tolist(), drawn, strict=True):
        candidate = candidate_of(place, victims, violations) if victims else None
        found[place] = Outcome(int(nodes.stamps[place]), candidate, () if candidate else ("no",))
    outcomes.note(found)
    assert outcomes.unknown(places).size == 0
    best, all_of_them = outcomes.best(places), outcomes.candidates(places)
    if not all_of_them:
        assert best is None
        assert [int(np.count_nonzero(entry.nodes)) for entry in outcomes.refused(places)] == [len(drawn)]
        return
    assert best is not None and best.pain == choose(all_of_them).pain
    nodes.touch(best.place)
    assert outcomes.unknown(places).tolist() == [best.place]


def test_of_equals_the_one_whose_victim_started_last_goes() -> None:
    early, late = (candidate_of(place, [(0, f"2026-11-29T2{place}:00:00Z")], 0) for place in (0, 1))
    unstarted = candidate_of(2, [(0, "")], 0)
    assert choose([early, late]) is late
    assert choose([early, late, unstarted]) is unstarted
    assert choose([early, candidate_of(3, [(0, "")], 1)]) is early
