"""aiohttp without the machine's authorities.

When it is imported, aiohttp reads every authority that the machine trusts (100 ms and some megabytes in each
process) into a context for those who bring none of their own. Everybody here brings one: take aiohttp from here.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["aiohttp"]


@contextmanager
def _no_authorities() -> Iterator[None]:
    read = ssl.SSLContext.load_default_certs
    ssl.SSLContext.load_default_certs = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        ssl.SSLContext.load_default_certs = read  # type: ignore[method-assign]


with _no_authorities():
    import aiohttp
