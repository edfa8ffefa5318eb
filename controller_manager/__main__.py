"""`python -m controller_manager`."""

from __future__ import annotations

import sys

from controller_manager import app, catalog
from controller_manager.options import Options
from kubarium.component_base import logging, process
from kubarium.component_base.options import parse


def main() -> int:
    """Read flags and run until asked to stop."""
    options = parse(Options, sys.argv[1:], program=app.NAME)
    try:
        catalog.chosen(options.controllers)
    except catalog.UnknownController as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    logging.setup(app.NAME, options.verbosity, options.logging_format)
    return process.run(lambda parent: app.run(parent, options))


if __name__ == "__main__":
    sys.exit(main())
