"""A server's certificate that was renewed in its place is shown to whoever comes next, without a new start.

Source: k8s.io/apiserver/pkg/server/dynamiccertificates (once a minute, and when the system tells of a change)
"""

from __future__ import annotations

import asyncio
import os
import ssl

from kubarium.component_base import logging

log = logging.get(__name__)

LOOK_SECONDS = 10.0


async def follow(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Load the pair again whenever one of its files has changed, for ever; a pair that does not fit is left alone."""
    known = _state(cert_file, key_file)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        found = _state(cert_file, key_file)
        if found == known or not all(found):
            continue
        try:
            # Half of a new pair would already have taken the place of the old one when it is found not to fit.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert_file, key_file)
            context.load_cert_chain(cert_file, key_file)
        except (OSError, ssl.SSLError) as error:
            log.warning(
                "cannot load the renewed certificate %s, going on with the old one: %s", cert_file, error
            )
            continue
        log.info("loaded the renewed certificate %s", cert_file)
        known = found


def _state(*files: str) -> list[tuple[int, int, int] | None]:
    return [_state_of(file) for file in files]


def _state_of(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:  # it is being replaced
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
