"""aiohttp, imported when it is first used, and without the machine's authorities.

It takes a quarter of a second and 10 MiB to import, and most programs never need it. While it is imported it reads
every authority that the machine trusts, for those who bring none of their own: everybody here brings one.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

__all__ = ["aiohttp"]


class _WhenUsed:
    """Stands for the module: whoever asks for a name of it gets that name."""

    def __getattr__(self, name: str) -> Any:
        with _no_authorities():
            import aiohttp as module
        found = getattr(module, name)
        setattr(self, name, found)
        return found


@contextmanager
def _no_authorities() -> Iterator[None]:
    read = ssl.SSLContext.load_default_certs
    ssl.SSLContext.load_default_certs = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        ssl.SSLContext.load_default_certs = read  # type: ignore[method-assign]


if TYPE_CHECKING:
    import aiohttp
else:
    aiohttp = _WhenUsed()
