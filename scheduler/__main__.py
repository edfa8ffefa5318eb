"""`python -m scheduler`."""

from __future__ import annotations

import sys

from kubarium.component_base import logging, process
from scheduler import app, options
from scheduler.configuration import ConfigurationError


def main() -> int:
    """Read flags and run until asked to stop."""
    try:
        flags, configuration = options.read(sys.argv[1:])
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    if flags.write_config_to:
        options.write(flags, configuration)
        return 0
    logging.setup("kube-scheduler", flags.verbosity, flags.logging_format)
    return process.run(lambda parent: app.run(parent, flags, configuration))


if __name__ == "__main__":
    sys.exit(main())
