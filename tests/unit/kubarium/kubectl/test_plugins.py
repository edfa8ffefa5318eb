"""Programs of PATH that add commands to kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kubarium.kubectl import plugins
from kubarium.kubectl.cli import cli


def plugin(folder: Path, name: str, mode: int = 0o755) -> str:
    path = folder / name
    path.touch(mode)
    path.chmod(mode)
    return str(path)


def test_the_longest_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    foo, foo_bar = plugin(tmp_path, "kubectl-foo"), plugin(tmp_path, "kubectl-foo-b_r")
    plugin(tmp_path, "kubectl-get")
    assert plugins.found(["foo", "b-r", "c", "--d"], {"get"}) == [foo_bar, "c", "--d"]
    assert plugins.found(["foo", "--d", "b-r"], {"get"}) == [foo, "--d", "b-r"]
    assert (
        plugins.found(["get", "foo"], {"get"})
        == plugins.found(["--x"], {})
        == plugins.found(["bar"], {})
        == []
    )


def test_what_is_there_is_listed_with_what_is_wrong_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    listed = CliRunner().invoke(cli, ["plugin", "list"], standalone_mode=False)
    assert str(listed.exception) == "unable to find any kubectl plugins in your PATH"
    foo = plugin(tmp_path, "kubectl-foo")
    listed = CliRunner().invoke(cli, ["plugin", "list"], standalone_mode=False)
    assert listed.output == f"The following compatible plugins are available:\n\n{foo}\n"
    plugin(tmp_path, "kubectl-get", 0o644)
    listed = CliRunner().invoke(cli, ["plugin", "list"], standalone_mode=False)
    assert str(listed.exception) == "2 plugin warnings were found"
