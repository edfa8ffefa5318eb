"""Where the data that Kubernetes publishes lie, for tests that compare with them: `$KUBARIUM_SPEC`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("KUBARIUM_SPEC") or Path(__file__).parents[2] / "shared" / "spec")
MISSING = "published data of Kubernetes v1.36 not found: set KUBARIUM_SPEC"


def file(*parts: str) -> Path:
    """One published file; the test is skipped where it is not there."""
    path = FOLDER.joinpath(*parts)
    if not path.exists():
        pytest.skip(MISSING)
    return path
