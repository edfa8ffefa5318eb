"""`python -m kube_proxy`."""

from __future__ import annotations

import sys

from kubarium.component_base.process import run
from kube_proxy.app import main

if __name__ == "__main__":
    sys.exit(run(lambda process: main(process, sys.argv[1:])))
