"""Which Kubernetes this is."""

from __future__ import annotations

import platform

from kubarium.component_base.architecture import architecture

VERSION = "v1.36.0"


def version_document() -> dict[str, str]:
    """What `/version` says: the Kubernetes version whose API is served."""
    major, minor = VERSION.lstrip("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{architecture()}",
    }
