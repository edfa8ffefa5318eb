"""Texts that stand for something else: keys in JSON patches, bytes in base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from kubarium.apimachinery.cel.call_costs import by_length
from kubarium.apimachinery.cel.functions import EvaluationError, function


def from_base64(value: Any) -> Any:
    """The bytes behind a text of a field whose format is `byte`."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise EvaluationError("illegal base64 data") from None


@function("jsonpatch::escapeKey | string -> string", cost=by_length)
def _escape_key(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
