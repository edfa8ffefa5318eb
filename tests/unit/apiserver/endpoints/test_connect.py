"""Where the path of a proxied request ends and the server's own begins."""

import pytest

from apiserver.endpoints.connect import split_at_proxy

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
