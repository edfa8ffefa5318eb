"""Answers of webhooks that are none, in the words of upstream's client."""

from __future__ import annotations

import pytest

from apiserver.admission.webhook_answers import CallFailed, decoded

NO_TYPE = (
    "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value of type struct { APIVersion "
    'string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
)


@pytest.mark.parametrize(
    ("status", "content_type", "content", "expected"),
    [
        (404, "text/plain", b"404 page not found", "the server could not find the requested resource"),
        (403, "text/html", b"<p>no</p>", "<p>no</p>"),
        (403, "application/json", b"{}", "unknown"),
        (500, "text/plain; charset=utf-8", b"oh \"no\"\n",
         'an error on the server ("oh \\"no\\"") has prevented the request from succeeding'),
        (502, "application/json", b"{}",
         'an error on the server ("unknown") has prevented the request from succeeding'),
        (503, "", b"", "the server is currently unable to handle the request"),
        (301, "", b"", "the server responded with the status code 301 but did not return more information"),
        (200, "application/json", b"",
         "0-length response with status code: 200 and content type: application/json"),
        (200, "text/html", b"<html>", NO_TYPE % "string"),
        (200, "application/json", b"[]", NO_TYPE % "array"),
    ],
)  # fmt: skip
def test_what_is_no_answer(status: int, content_type: str, content: bytes, expected: str) -> None:
    with pytest.raises(CallFailed) as caught:
        decoded(status, content_type, content)
    assert str(caught.value) == f"failed to call webhook: {expected}"


def test_an_answer_is_an_object_whatever_its_type_is_called() -> None:
    assert decoded(201, "text/plain", b'{"a": 1}') == {"a": 1}
