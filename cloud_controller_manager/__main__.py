"""`python -m cloud_controller_manager`."""

from __future__ import annotations

import sys

from cloud_controller_manager.app import main
from kubarium.component_base.process import run

if __name__ == "__main__":
    sys.exit(run(lambda process: main(process, sys.argv[1:])))
