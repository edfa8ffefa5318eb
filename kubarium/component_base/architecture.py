"""What kind of processor this is, in the words of Go and of container images."""

from __future__ import annotations

import platform

_NAMES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def architecture() -> str:
    """`amd64`, `arm64` …; where both worlds agree, the machine's own word: `ppc64le`, `riscv64`, `s390x`."""
    return _NAMES.get(platform.machine(), platform.machine())
