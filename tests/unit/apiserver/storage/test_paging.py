"""Pages of the present and the past, with and without indexes, against going through everything."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.storage import family, paging
from apiserver.storage.interface import NO_HINTS, Hints, Page, Predicate, Stored
from apiserver.storage.stored import encode, stored
from apiserver.storage.watch_cache import WatchCache

T = TypeVar("T")
PODS = "/registry/pods/"
APPS = ("web", "db", "")
NODES = ("n1", "n2")


@dataclasses.dataclass(frozen=True)
class Step:
    """Somebody sets or removes a pod."""

    key: str
    app: str
    node: str
    gone: bool


STEPS = st.lists(
    st.builds(
        Step,
        key=st.sampled_from([f"{place}/{name}" for place in ("a", "a-b", "b") for name in ("x", "y", "z")]),
        app=st.sampled_from(APPS),
        node=st.sampled_from(NODES),
        gone=st.booleans(),
    ),
    max_size=40,
)


def history_of(steps: list[Step]) -> tuple[WatchCache, list[dict[str, Stored]]]:
    """The cache after some steps, and what there was after each."""
    cache = WatchCache()
    states: list[dict[str, Stored]] = [{}]
    for revision, step in enumerate(steps, 1):
        apply(cache, states, revision, step)
    return cache, states


def apply(cache: WatchCache, states: list[dict[str, Stored]], revision: int, step: Step) -> None:
    """Let one step happen."""
    key = PODS + step.key
    now = dict(states[-1])
    now.pop(key, None)
    if not step.gone:
        metadata = {"name": step.key[-1], "labels": {"app": step.app} if step.app else {}}
        obj = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"nodeName": step.node}}
        now[key] = stored(key, revision, encode(obj))
    cache.apply(revision, key, now.get(key))
    cache.advance(revision)
    states.append(now)


def all_pages(
    cache: WatchCache, prefix: str, at: int, limit: int, predicate: Predicate | None, hints: Hints
) -> Page:
    """Page by page through the whole list; `remaining` must always be right."""
    found: list[Stored] = []
    start, left = "", None
    while True:
        work = cache.page(
            prefix, exact_revision=at, start_key=start, limit=limit, predicate=predicate, hints=hints
        )
        page = paging.at_once(work)
        assert len(page.items) <= limit
        if left is not None:
            assert left == len(page.items) + page.remaining
        found += page.items
        if not page.next_key:
            return Page(found, page.revision)
        left = page.remaining if predicate is None else None
        start = page.next_key


QUESTIONS: list[tuple[Predicate | None, Hints]] = [
    (None, NO_HINTS),
    (lambda one: one.labels.get("app") == "web", Hints(labels=(("app", "web"),))),
    (lambda one: one.node_name == "n2", Hints(node_name="n2")),
    (
        lambda one: one.node_name == "n1" and one.labels.get("app") == "db",
        Hints(node_name="n1", labels=(("app", "db"), ("app", "db"))),
    ),
    (lambda one: one.name == "y", Hints(name="y")),
]


@settings(max_examples=60)
@given(STEPS, st.sampled_from([PODS, PODS + "a/", PODS + "a-b/", "/registry/"]), st.integers(1, 4))
def test_every_page_is_what_going_through_everything_finds(
    steps: list[Step], prefix: str, limit: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "INDEX_FROM", 1)
        patch.setattr(family, "SELECTIVE", 1.0)
        cache, states = history_of(steps)
        for at, state in enumerate(states):
            for predicate, hints in QUESTIONS:
                expected = [
                    state[key]
                    for key in sorted(state)
                    if key.startswith(prefix) and (predicate is None or predicate(state[key]))
                ]
                whole = paging.at_once(
                    cache.page(prefix, exact_revision=at, predicate=predicate, hints=hints)
                )
                if at or not steps:
                    assert whole.items == expected
                    assert all_pages(cache, prefix, at, limit, predicate, hints).items == expected


def drained(work: Generator[None, None, T]) -> T:
    """What comes out, however often it pauses."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result


@pytest.mark.parametrize("steps_between", [0, 1, 3, 7])
def test_what_changes_while_an_index_grows_is_in_it(
    monkeypatch: pytest.MonkeyPatch, steps_between: int
) -> None:
    monkeypatch.setattr(family, "INDEX_FROM", 1)
    monkeypatch.setattr(family, "SELECTIVE", 1.0)
    monkeypatch.setattr(family, "GROWTH", 2)
    monkeypatch.setattr(paging, "PIECE", 2)

    def step(name: str, app: str, gone: bool = False) -> Step:
        return Step(f"a/{name}", app, "n1", gone)

    steps = [step(f"p{at}", "web" if at % 2 else "db") for at in range(10)]
    cache, states = history_of(steps)
    changes = [step("p1", "db"), step("p0", "web"), step("p3", "", gone=True), step("p9", "", gone=True)]
    changes += [step("p9", "web"), step("new", "web"), step("p5", "web"), step("p1", "web")]

    def ask() -> paging.Work:
        return cache.page(PODS, predicate=is_web, hints=Hints(labels=(("app", "web"),)))

    def is_web(one: Stored) -> bool:
        return one.labels.get("app") == "web"

    pages: list[Page] = []

    def go_on(work: paging.Work, steps: int) -> None:
        for _ in range(steps):
            try:
                next(work)
            except StopIteration as done:
                pages.extend([done.value] if done.value is not None else [])

    first, second = ask(), ask()
    go_on(first, steps_between)
    for at, change in enumerate(changes, len(steps) + 1):
        apply(cache, states, at, change)
        go_on(second, 1)
    for work in (first, second, ask()):
        go_on(work, 100)
    assert len(pages) == 3
    for page in pages:
        assert page.items == [one for key, one in sorted(states[page.revision].items()) if is_web(one)]


def test_an_index_that_others_pushed_out_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "INDEX_FROM", 1)
    monkeypatch.setattr(family, "INDEXES_KEPT", 1)
    cache, states = history_of([Step(f"a/p{at}", "web", "n1", False) for at in range(4)])

    def ask(label: str) -> paging.Work:
        return cache.page(
            PODS, predicate=lambda one: label in one.labels, hints=Hints(labels=((label, "web"),))
        )

    work = ask("app")
    next(work)
    assert paging.at_once(ask("other")).items == []
    assert paging.at_once(work).items == [*states[-1].values()]


async def test_others_have_their_turn_while_everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "TURN", 0.0)
    monkeypatch.setattr(paging, "PIECE", 1)
    cache, states = history_of([Step(f"a/p{at}", "web", "n1", False) for at in range(4)])
    turns = []

    async def other() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    page = await paging.in_turns(cache.page(PODS, predicate=lambda one: True))
    task.cancel()
    assert page.items == [*states[-1].values()] and len(turns) >= 3


def test_an_index_keeps_up_and_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "INDEX_FROM", 1)
    pods = family.Family(PODS, 0)

    def put(name: str, app: str) -> None:
        metadata = {"name": name, "labels": {"app": app}}
        obj = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata}
        pods.put(f"{PODS}a/{name}", stored(f"{PODS}a/{name}", 1, encode(obj)))

    def names(app: str, now: float = 0.0) -> list[str] | None:
        found = drained(pods.candidates(Hints(labels=(("app", app),)), now))
        return None if found is None else sorted(one.name for one in found)

    for at in range(8):
        put(f"p{at}", "many" if at < 6 else "few")
    assert names("few") == ["p6", "p7"]
    assert names("many") is None  # going through everything is as good
    assert names("nobody") == []
    put("p6", "many")
    pods.put(f"{PODS}a/p7", None)
    assert names("few", 1000.0) == []
    pods.let_go(1000.0 + family.INDEX_IDLE - 1)
    assert pods._indexes
    pods.let_go(1000.0 + family.INDEX_IDLE + 1)
    assert not pods._indexes
    for at in range(family.INDEXES_KEPT + 3):
        drained(pods.candidates(Hints(labels=((f"label-{at}", "x"),)), float(at)))
    assert len(pods._indexes) == family.INDEXES_KEPT


def test_history_is_bounded_in_bytes_and_forgotten_when_nothing_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(family, "LARGEST_HISTORY", 10_000)
    monkeypatch.setattr(family, "SHORTEST_HISTORY", 1)
    cache = WatchCache()
    for revision in range(1, 40):
        obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}, "x": "x" * 1000}
        cache.apply(revision, PODS + "a/web", stored(PODS + "a/web", revision, encode(obj)))
        cache.advance(revision)
    for at in range(40, 80, 2):
        obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": f"p{at}"}, "x": "x" * 1000}
        cache.apply(at, f"{PODS}a/p{at}", stored(f"{PODS}a/p{at}", at, encode(obj)))
    for at in range(40, 80, 2):  # what was deleted is kept by its deletion
        cache.apply(at + 100, f"{PODS}a/p{at}", None)
    pods = cache._family(PODS)
    held = {
        id(one): len(one.tail) for change in pods.history for one in (change.current, change.previous) if one
    }
    assert sum(held.values()) < 10_000
    assert 5 <= len(pods.history) <= 7 and pods.size <= 10_000
    pods.forget(pods.times[-1] + family.FRESH + 1)
    assert len(pods.history) == 1
    assert pods.forgotten == 176
