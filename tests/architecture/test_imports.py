"""The import contracts in pyproject.toml hold, and no program loads at its start what it may never need."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]


def test_contracts_are_kept(monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    # It would silence all loggers that are there, and with them what later tests look for.
    monkeypatch.setattr("logging.config.dictConfig", lambda settings: None)
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


@pytest.mark.parametrize(
    ("program", "large"),
    [
        ("kube_proxy", ["cryptography", "numpy"]),  # 8 MiB on each node
        ("apiserver", ["grpc", "google.protobuf", "hpack"]),
    ],
)
def test_large_libraries_are_loaded_when_they_are_needed(program: str, large: list[str]) -> None:
    question = f"import sys, {program}.app; print(*sys.modules, sep='\\n')"
    answer = subprocess.run(
        [sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {*large} & {*answer.stdout.splitlines()}
