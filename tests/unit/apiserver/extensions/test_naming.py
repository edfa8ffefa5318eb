from __future__ import annotations

from typing import Any

from apiserver.extensions import json_path, naming
from kubarium.component_base.clock import FakeClock


def definition(plural: str, kind: str, uid: str, **more: Any) -> dict[str, Any]:
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": kind + "List"} | more
    return {"metadata": {"name": plural, "uid": uid}, "spec": {"group": "g.io", "names": names}, "status": {}}


def test_free_names_are_accepted(clock: FakeClock) -> None:
    wanted = definition("things", "Thing", "1", shortNames=["th"])
    status = naming.judged(wanted, [wanted], clock.now())
    assert status["acceptedNames"]["shortNames"] == ["th"] and status["acceptedNames"]["kind"] == "Thing"
    assert [(entry["type"], entry["status"]) for entry in status["conditions"]] == [
        ("NamesAccepted", "True"),
        ("Established", "True"),
    ]


def test_taken_names_are_refused(clock: FakeClock) -> None:
    first = definition("things", "Thing", "1", shortNames=["th"])
    first["status"] = naming.judged(first, [], clock.now())
    second = definition("others", "Thing", "2", shortNames=["th"], singular="other")
    status = naming.judged(second, [first, second], clock.now())
    accepted, established = status["conditions"]
    assert accepted["status"] == "False" and accepted["reason"] == "ListKindConflict"
    assert accepted["message"] == '"ThingList" is already in use'
    assert established["status"] == "False" and status["acceptedNames"]["plural"] == "others"
    assert status["acceptedNames"]["kind"] == ""


def test_a_name_that_comes_later_is_not_one_of_the_others(clock: FakeClock) -> None:
    known = definition("things", "Thing", "1", shortNames=["th"])
    known["status"] = naming.judged(known, [], clock.now())
    assert naming.judged(known, [known], clock.now()) == known["status"]
    known["spec"]["names"]["shortNames"] = ["th", "thing"]  # its singular
    accepted = naming.judged(known, [known], clock.now())["conditions"][0]
    assert (accepted["status"], accepted["reason"]) == ("False", "ShortNamesConflict")


def test_paths_of_printer_columns() -> None:
    obj = {
        "spec": {"n": 3, "items": [{"name": "a"}, {"name": "b"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        "metadata": {"annotations": {"x.io/y": "z"}},
    }
    assert json_path.first(obj, ".spec.n") == 3
    assert json_path.find(obj, ".spec.items[*].name") == ["a", "b"]
    assert json_path.first(obj, ".spec.items[1].name") == "b"
    assert json_path.first(obj, '.status.conditions[?(@.type=="Ready")].status') == "True"
    assert json_path.first(obj, r".metadata.annotations.x\.io/y") == "z"
    assert json_path.first(obj, ".spec.nothing.below") is None
