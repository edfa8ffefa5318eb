"""What comes back from a webhook: JSON of an object, or a failure in the words of client-go.

Source: staging/src/k8s.io/client-go/rest/request.go (transformResponse),
staging/src/k8s.io/apimachinery/pkg/api/errors/errors.go (NewGenericServerResponse)
"""

from __future__ import annotations

from typing import Any

import orjson

from kubarium.apimachinery.codec import TYPE_META, json_type
from kubarium.apimachinery.object import Object


class CallFailed(Exception):
    """The webhook could not be asked, or what it said makes no sense; `code` is what its server said, if it did."""

    def __init__(self, text: str, code: int = 503) -> None:
        super().__init__(text)
        self.code = code


_FAILED = "failed to call webhook: "
_WORDS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    409: "the server reported a conflict",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}
_OWN_WORDS = (403, 406, 415)


def decoded(status: int, content_type: str, content: bytes) -> Object:
    """The object of an answer. Raises CallFailed."""
    if not 200 <= status <= 206:
        raise CallFailed(_FAILED + _refusal(status, content_type, content), status)
    if not content:
        shown = f"{status} and content type: {content_type}"
        raise CallFailed(f"{_FAILED}0-length response with status code: {shown}")
    try:
        answer: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        answer = ""  # upstream reads it as YAML then: a page of a web server is a text
    if isinstance(answer, dict):
        return answer
    wrong = f"json parse error: json: cannot unmarshal {json_type(answer)} into Go value of type {TYPE_META}"
    raise CallFailed(f"{_FAILED}couldn't get version/kind; {wrong}")


def _refusal(status: int, content_type: str, content: bytes) -> str:
    is_text = content_type.startswith("text/")
    said = content[:2048].decode("utf-8", "replace").strip() if is_text else "unknown"
    if status in _OWN_WORDS:
        return said
    if status in _WORDS:
        return _WORDS[status]
    if status >= 500:
        return f"an error on the server ({orjson.dumps(said).decode()}) has prevented the request from succeeding"
    return f"the server responded with the status code {status} but did not return more information"
