"""Where in an object something is wrong, and what: `spec.containers[0].name: Required value`.

The texts are those of `k8s.io/apimachinery/pkg/util/validation/field`: tests and people compare them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


class FieldPath:
    """A place in an object. `root / "spec" / "containers" % 0 / "name"`; map keys with `key()`.

    A path is a chain of steps that becomes text only if it is shown: of the paths of a valid object none is.
    """

    __slots__ = ("_parent", "_step")

    def __init__(self, step: str = "", parent: FieldPath | None = None) -> None:
        self._step, self._parent = step, parent

    def __truediv__(self, name: str) -> FieldPath:
        return FieldPath(name, self)

    def __mod__(self, index: int) -> FieldPath:
        return FieldPath(f"[{index}]", self)

    def key(self, key: str) -> FieldPath:
        """An entry of a map: `metadata.labels[app]`."""
        return FieldPath(f"[{key}]", self)

    @property
    def text(self) -> str:
        """The path as one text, empty for the object itself."""
        if self._parent is None:
            return self._step
        before = self._parent.text
        return before + self._step if self._step.startswith("[") or not before else f"{before}.{self._step}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldPath) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"FieldPath({self.text!r})"

    def __str__(self) -> str:
        return self.text or "<nil>"


ROOT = FieldPath()
SPEC = FieldPath("spec")
METADATA = FieldPath("metadata")
STATUS = FieldPath("status")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule at one place. `type` is the cause's reason in a `Status`, `body` its message."""

    type: str
    path: FieldPath
    body: str
    tolerated: bool = False
    """The object had it before: whoever writes is told so, and may write."""

    def __str__(self) -> str:
        return f"{self.path}: {self.body}"


class InOrder(dict[str, Any]):
    """A value that errors show with its keys in the order that they have: of a type with fields, not of a map."""


def required(path: FieldPath, detail: str = "") -> FieldError:
    """The field must be given."""
    return FieldError("FieldValueRequired", path, _with("Required value", detail))


def invalid(path: FieldPath, value: Any, detail: str) -> FieldError:
    """The value breaks a rule."""
    return FieldError("FieldValueInvalid", path, _with(f"Invalid value: {_show(value)}", detail))


def not_supported(path: FieldPath, value: Any, allowed: Iterable[str]) -> FieldError:
    """The value is none of the allowed ones."""
    choices = ", ".join(json.dumps(choice) for choice in allowed)
    detail = f"supported values: {choices}" if choices else ""
    return FieldError("FieldValueNotSupported", path, _with(f"Unsupported value: {_show(value)}", detail))


def duplicate(path: FieldPath, value: Any) -> FieldError:
    """The value stands twice where it may stand once."""
    return FieldError("FieldValueDuplicate", path, f"Duplicate value: {_show(value)}")


def forbidden(path: FieldPath, detail: str) -> FieldError:
    """The field may not be given here, or may not change."""
    return FieldError("FieldValueForbidden", path, _with("Forbidden", detail))


def not_found(path: FieldPath, value: Any) -> FieldError:
    """The value refers to something that is not there."""
    return FieldError("FieldValueNotFound", path, f"Not found: {_show(value)}")


def too_long(path: FieldPath, maximum: int) -> FieldError:
    """The text has too many bytes."""
    unit = "byte" if maximum == 1 else "bytes"
    return FieldError("FieldValueTooLong", path, f"Too long: may not be more than {maximum} {unit}")


def too_many(path: FieldPath, actual: int, maximum: int) -> FieldError:
    """The list has too many items."""
    unit = "item" if maximum == 1 else "items"
    return FieldError("FieldValueTooMany", path, f"Too many: {actual}: must have at most {maximum} {unit}")


def type_invalid(path: FieldPath, value: Any, detail: str) -> FieldError:
    """The value is of the wrong type."""
    return FieldError("FieldValueTypeInvalid", path, _with(f"Invalid value: {_show(value)}", detail))


def internal(path: FieldPath, error: BaseException | str) -> FieldError:
    """A rule could not be checked."""
    return FieldError("InternalError", path, f"Internal error: {error}")


IMMUTABLE = "field is immutable"


def immutable(path: FieldPath, new: Any, old: Any, detail: str = IMMUTABLE) -> list[FieldError]:
    """An error if the value has changed."""
    return [] if new == old else [invalid(path, new, detail)]


def _with(head: str, detail: str) -> str:
    return f"{head}: {detail}" if detail else head


_IN_GO = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""What Go's encoder writes otherwise than Python's, inside of texts only."""


def _show(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        in_order = isinstance(value, dict) and not isinstance(value, InOrder)
        shown = json.dumps(value, separators=(",", ":"), sort_keys=in_order, ensure_ascii=False)
        return shown.translate(_IN_GO)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return go_number(value) if isinstance(value, int | float) else str(value)


def go_number(value: float) -> str:
    """A number as Go prints it: 0.5, 3, 1e+06."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    if not isinstance(value, float) or not math.isfinite(value):
        return str(value)
    sign, digits, power = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(power, int)
    exponent = len(digits) + power - 1
    if -4 <= exponent < 6:
        return repr(value).removesuffix(".0")
    first, *rest = map(str, digits)
    fraction = f".{''.join(rest)}" if rest else ""
    return f"{'-' * sign}{first}{fraction}e{'-' if exponent < 0 else '+'}{abs(exponent):02}"


def below(path: FieldPath, relative: FieldPath) -> FieldPath:
    """A path that begins where another ends; an index is parted by a dot, as upstream's errors have it."""
    if not relative.text:
        return path
    return FieldPath(f"{path.text}.{relative.text}") if path.text else relative
