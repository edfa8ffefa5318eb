"""Ports of containers: by number or by name."""

from __future__ import annotations

from kubarium.apimachinery.object import Object


def resolve(container: Object, port: int | str | None) -> int:
    """The number of a port that may be given by the name it has in the container. Raises ValueError."""
    if isinstance(port, int):
        return port
    text = str(port or "")
    if text.isdigit():
        return int(text)
    for declared in container.get("ports") or []:
        if declared.get("name") == text:
            return int(declared["containerPort"])
    raise ValueError(f"couldn't find port: {text} in {container.get('name')}")
