"""`python -m kubelet`."""

import sys

from kubarium.component_base.process import run
from kubelet.app import main

if __name__ == "__main__":
    sys.exit(run(main))
