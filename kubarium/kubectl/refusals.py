"""A server's refusal in kubectl's words."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.apimachinery.errors import StatusError
from kubarium.kubectl.session import warn


def refusal(error: StatusError) -> str:
    """A server's refusal in kubectl's words; what is wrong with an object stands in a line a field."""
    details = error.details or {}
    if error.reason == "Invalid" and details.get("kind"):
        causes = [f"{cause.get('field', '')}: {cause.get('message', '')}" for cause in error.causes()]
        lines = [f"* {cause}" for cause in dict.fromkeys(causes)]
        text = "\n".join(["", *lines]) if len(lines) > 1 else "".join(causes[:1])
        return f'The {details["kind"]} "{details.get("name", "")}" is invalid: {text}'
    reason = f" ({error.reason})" if error.reason else ""
    return f"Error from server{reason}: {error.message}"


def tell_failures(failures: Sequence[StatusError]) -> None:
    """Say what was refused, each by itself; the command has failed then."""
    for failure in failures:
        warn(refusal(failure))
    if failures:
        raise SystemExit(1)
