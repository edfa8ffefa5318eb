"""`python -m apiserver`: start the API server."""

from __future__ import annotations

import sys

from apiserver.app import main
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.component_base import logging
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process, allow_many_files, run

log = logging.get(__name__)


async def start(process: Process) -> None:
    """Read the flags and build everything from them."""
    options = parse(Options, sys.argv[1:], program="kube-apiserver")
    logging.setup("kube-apiserver", options.verbosity, options.logging_format)
    allow_many_files()
    try:
        await main(process, options)
    except ConfigurationError as error:
        log.error("command failed: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(run(start))
