"""Whom the garbage collector looks at when references are not right."""

from __future__ import annotations

from controller_manager.controllers.cleanup.garbage_collector.graph import Graph, Look, place_of
from kubarium.apimachinery.object import Object


def config_map(name: str, namespace: str = "here", /, **owner: str) -> Object:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", **owner}] if owner else []
    return {"metadata": {"name": name, "uid": name, "namespace": namespace, "ownerReferences": references}}


def put(graph: Graph, obj: Object) -> Look:
    return graph.put(obj, place_of(obj, "", "ConfigMap"))


def test_a_reference_to_the_wrong_place_or_name_is_looked_at_whoever_comes_first() -> None:
    right, misled = (
        config_map(uid, uid="owner", name=name) for uid, name in (("right", "owner"), ("misled", "x"))
    )
    stray = config_map("stray", "there", uid="owner", name="owner")

    first = Graph()
    put(first, config_map("owner"))
    assert put(first, right) == Look()
    assert put(first, misled) == Look(frozenset({"misled"}))
    look = put(first, stray)
    assert look.delete == {"stray"} and [node.uid for node, _ in look.strangers] == ["stray"]
    assert put(first, stray) == Look()  # once is enough

    last = Graph()
    for child in (right, misled, stray):
        put(last, child)
    look = put(last, config_map("owner"))
    assert look.delete == {"misled", "stray"} and [node.uid for node, _ in look.strangers] == ["stray"]
