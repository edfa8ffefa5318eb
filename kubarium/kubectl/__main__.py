"""`python -m kubarium.kubectl`: the start of `cli`."""

from __future__ import annotations

import sys

from kubarium.component_base import interrupted

if __name__ == "__main__":
    sys.exit(interrupted.imported("kubarium.kubectl.cli").main())
