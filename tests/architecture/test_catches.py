"""Whatever may go wrong is caught at one place: at the edge of a loop, which tells where it came from and goes on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = (
    "apiserver", "scheduler", "controller_manager", "cloud_controller_manager", "kubelet", "kube_proxy", "addons",
    "kubarium",
)  # fmt: skip
BROAD = {"Exception", "BaseException"}
EDGES_OF_OTHER_LOOPS = {
    "apiserver/filters/errors.py": "the server's loop over requests",
    "apiserver/storage/audience.py": "the cache's loop over watchers",
    "kubelet/devices/plugins.py": "a task for each device plugin",
    "scheduler/schedule_one.py": "a task for each binding",
}


def names_in(node: ast.AST | None) -> set[str]:
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name)} if node else set(BROAD)


def broad_handlers(function: ast.AST, in_loop: bool = False) -> Iterator[tuple[ast.ExceptHandler, bool]]:
    """Those of one function, and whether they stand in a loop of it."""
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.ExceptHandler) and BROAD & names_in(node.type):
            yield node, in_loop
        inside = isinstance(node, ast.For | ast.AsyncFor | ast.While) or (
            in_loop and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        yield from broad_handlers(node, inside)


def passes_on(handler: ast.ExceptHandler) -> bool:
    """It only cleans up."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def tells_where(handler: ast.ExceptHandler) -> bool:
    text = ast.unparse(handler)
    return "log.exception(" in text or "exc_info=" in text


@pytest.mark.parametrize("package", CODE)
def test_broad_catches_stand_at_edges_and_keep_the_traceback(package: str) -> None:
    odd = []
    for path in sorted((ROOT / package).rglob("*.py")):
        place = str(path.relative_to(ROOT))
        for handler, in_loop in broad_handlers(ast.parse(path.read_text())):
            at_edge = in_loop or place in EDGES_OF_OTHER_LOOPS
            if not passes_on(handler) and not (at_edge and tells_where(handler)):
                odd.append(f"{place}:{handler.lineno}")
    assert odd == []


@pytest.mark.parametrize("package", CODE)
def test_nothing_is_passed_over_in_silence(package: str) -> None:
    odd = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress")
        if BROAD & {name for argument in node.args for name in names_in(argument)}
    ]
    assert odd == []
