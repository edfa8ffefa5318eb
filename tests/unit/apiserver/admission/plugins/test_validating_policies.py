"""What policies note in the audit log."""

from __future__ import annotations

from apiserver.admission.expressions import Expressions, Metered
from apiserver.admission.plugins.validating_policies import take_note

OBJECT = {"object": {"x": " said ", "n": 1, "empty": " ", "long": "ä" * 6000}}


def noted(text: str, notes: dict[str, list[str]], *, closed: bool = True) -> str:
    return take_note(Metered(Expressions()), {"key": "k", "valueExpression": text}, OBJECT, notes, closed)


def test_what_is_said_is_noted_once_and_not_without_words() -> None:
    notes: dict[str, list[str]] = {}
    assert [noted(text, notes) for text in ("object.empty", "null")] == ["", ""]
    assert notes == {}
    assert [noted("object.x", notes) for _ in range(2)] == ["", ""]
    assert notes == {"k": ["said"]}


def test_notes_are_cut_by_their_bytes() -> None:
    notes: dict[str, list[str]] = {}
    noted("object.long", notes)
    assert notes["k"] == ["ä" * 5120]


def test_a_note_that_fails_is_told_as_the_policy_says_of_failures() -> None:
    assert noted("object.y", {}) == "expression 'object.y' resulted in error: no such key: y"
    assert noted("object.y", {}, closed=False) == ""
    said = "valueExpression 'object.n' resulted in unsupported return type: int. "
    assert noted("object.n", {}, closed=False).startswith(said)
