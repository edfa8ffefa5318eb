"""A Ctrl-C while a command line still reads its modules ends it at once, and without a traceback."""

from __future__ import annotations

import importlib
import signal
from types import ModuleType


def imported(name: str) -> ModuleType:
    """Import a module; until that is done SIGINT ends the process as it ends any program (exit code 130 in a shell)."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    module = importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return module
