"""`python -m kubelet.simulated`."""

import sys

from kubarium.component_base.process import run
from kubelet.simulated.app import main

if __name__ == "__main__":
    sys.exit(run(main))
