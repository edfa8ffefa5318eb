"""Where the path of a proxied request ends and the server's own begins."""

import socket

import aiohttp
import pytest

from apiserver.endpoints.connect import split_at_proxy
from apiserver.endpoints.proxying import why_not_reached

POD = "/api/v1/namespaces/proxy-1/pods/proxy-2:80/proxy"


@pytest.mark.parametrize(
    ("path", "length", "expected"),
    [
        (POD, 8, (POD, "")),
        (f"{POD}/", 8, (POD, "/")),
        (f"{POD}/proxy/a%2Fb", 8, (POD, "/proxy/a%2Fb")),
        ("/api/v1/nodes/proxy/proxy/pods", 6, ("/api/v1/nodes/proxy/proxy", "/pods")),
    ],
)
def test_names_may_begin_with_the_word(path: str, length: int, expected: tuple[str, str]) -> None:
    assert split_at_proxy(path, length) == expected


async def test_who_does_not_listen_is_named_as_upstream_names_it() -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorError) as refused:
                await session.get(f"http://127.0.0.1:{port}/")
    assert why_not_reached(refused.value) == f"dial tcp 127.0.0.1:{port}: connect: connection refused"
