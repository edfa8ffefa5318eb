"""Pure: sets of completion indexes and their text, `1,3-5,7`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def parse(text: str, completions: int | None = None) -> set[int]:
    """The numbers in a text; those at or beyond `completions` are left out (the job has shrunk)."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            continue
        stop = int(last if dash else first) + 1
        found.update(range(int(first), stop if completions is None else min(stop, completions)))
    return found


def format(indexes: Iterable[int]) -> str:
    """The shortest text: three and more in a row become a range."""
    parts: list[str] = []
    run: list[int] = []
    for number in [*sorted(set(indexes)), None]:
        if run and (number is None or number != run[-1] + 1):
            parts.append(_show(run))
            run = []
        if number is not None:
            run.append(number)
    return ",".join(parts)


def _show(run: list[int]) -> str:
    if len(run) == 1:
        return str(run[0])
    if len(run) == 2:
        return f"{run[0]},{run[1]}"
    return f"{run[0]}-{run[-1]}"


def free(completions: int, taken: set[int]) -> Iterator[int]:
    """The indexes that are not taken, lowest first."""
    return (number for number in range(completions) if number not in taken)
