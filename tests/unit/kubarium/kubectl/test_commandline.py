"""How the command line is read, and what is said of one that cannot be, in the words of kubectl 1.36.4."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubarium.kubectl import commandline
from kubarium.kubectl.cli import cli, main


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int | str | None, str, str]:
    monkeypatch.setattr("sys.argv", ["kubectl", *words])
    try:
        code: int | str | None = main()
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("get pods --foo", "error: unknown flag: --foo\nSee 'kubectl get --help' for usage."),
        ("get pods -Z", "error: unknown shorthand flag: 'Z' in -Z\nSee 'kubectl get --help' for usage."),
        ("get pods -n", "error: flag needs an argument: 'n' in -n\nSee 'kubectl get --help' for usage."),
        ("gett", 'error: unknown command "gett" for "kubectl"\n\nDid you mean this?\n\tset\n\tget'),
        ("nothinglike", 'error: unknown command "nothinglike" for "kubectl"'),
        ("rollout foo", "error: unknown command \"foo\"\nSee 'kubectl rollout -h' for help and examples"),
        (
            "create role r --dry-run=x",
            'error: Invalid dry-run value (x). Must be "none", "server", or "client".',
        ),
        ("label pods", "error: at least one label update is required"),
        ("label pod x a=b a-", "error: can not both modify and remove a label in the same command"),
        (
            "wait pod/x --for=create --timeout=x",
            'error: invalid argument "x" for "--timeout" flag: time: invalid duration "x"\n'
            "See 'kubectl wait --help' for usage.",
        ),
        (
            "delete pod x --cascade=y",
            'error: invalid cascade value (y). Must be "background", "foreground", or "orphan"',
        ),
        (
            "exec x echo",
            "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n"
            "See 'kubectl exec -h' for help and examples",
        ),
        (
            "logs x -l a=b",
            "error: only a selector (-l) or a POD name is allowed\nSee 'kubectl logs -h' for help and examples",
        ),
        (
            "completion foo",
            "error: Unsupported shell type \"foo\".\nSee 'kubectl completion -h' for help and examples",
        ),
        (
            "get pods --request-timeout=x",
            "error: Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a "
            "corresponding time unit (e.g. 1s | 2m | 3h)",
        ),
    ],
)
def test_what_is_said_of_a_wrong_command_line(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    code, _, err = run(monkeypatch, capsys, "--server=http://127.0.0.1:1", *words.split())
    assert (code, err) == (1, f"{said}\n")


def test_alone_it_tells_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys)
    assert code == 0
    assert "Basic Commands (Beginner):\n  create" in out
    code, out, _ = run(monkeypatch, capsys, "options")
    assert code == 0 and "\n    -n, --namespace='':" in out
    monkeypatch.setenv("PATH", "")
    code, _, err = run(monkeypatch, capsys, "kustomize", "d")
    assert code == 1 and err.startswith("error: this kubectl lets others build kustomizations")
    code, out, _ = run(monkeypatch, capsys, "help", "rollout", "undo")
    assert code == 0 and "Usage:\n  kubectl rollout undo" in out
    code, out, _ = run(monkeypatch, capsys, "help", "nope")
    assert code == 0 and out.startswith("Unknown help topic [`nope`]\n")
    code, out, _ = run(monkeypatch, capsys, "rollout")
    assert code == 1
    assert "Available Commands:\n" in out and "Usage:\n  kubectl rollout SUBCOMMAND [options]" in out


def test_help_tells_flags_examples_and_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, "scale", "-h")
    assert code == 0
    assert "Examples:\n  # To three replicas\n  kubectl scale deployment/web --replicas=3\n" in out
    assert "\n    --dry-run='none':\n" in out
    assert "\nUsage:\n  kubectl scale [--resource-version=version]" in out


@pytest.mark.parametrize(
    ("words", "flag", "value"),
    [
        ("pods -o=wide", "output", "wide"),
        ("pods -owide", "output", "wide"),
        ("pods --output wide", "output", "wide"),
        ("pods --template={{.x}}", "output", "go-template={{.x}}"),
        ("pods --watch=true", "watch", True),
        ("pods --watch=false", "watch", False),
        ("pods -A=true", "all_namespaces", True),
        ("pods --server-print=false", "server_print", False),
    ],
)
def test_flags_are_read_as_go_reads_them(words: str, flag: str, value: object) -> None:
    assert cli.commands["get"].make_context("get", words.split()).params[flag] == value


def test_each_usage_is_of_a_command_that_there_is() -> None:
    known = yaml.safe_load(commandline.USAGES.read_text())
    grouped = [name for names in known["groups"].values() for name in names]
    assert set(cli.commands) <= set(grouped) | {"options", "help"}


def test_a_shell_completes_commands_and_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(monkeypatch, capsys, "completion", "zsh")
    assert code == 0 and "_KUBECTL_COMPLETE=zsh_complete kubarium kubectl)" in out
    for typed, found in (
        ("kubectl roll", "rollout"),
        ("kubectl rollout un", "undo"),
        ("kubectl get --fie", "--field-"),
    ):
        monkeypatch.setenv("_KUBECTL_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", typed)
        monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
        _, out, err = run(monkeypatch, capsys)
        assert out.startswith(f"plain,{found}") and err == ""
