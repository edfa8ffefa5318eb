"""The addresses of a pod: one for older readers, and all of them."""

from __future__ import annotations

from kubarium.apimachinery.object import Object


def agree(status: Object) -> None:
    """The single address is the first of all; where they differ, the single one was meant."""
    first, listed = status.get("podIP") or "", status.get("podIPs") or []
    if first and (not listed or listed[0].get("ip") != first):
        status["podIPs"] = [{"ip": first}]
    elif listed and not first:
        status["podIP"] = listed[0].get("ip") or ""
