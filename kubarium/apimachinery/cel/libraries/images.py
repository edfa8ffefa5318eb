"""References of container images.

Source: https://pkg.go.dev/github.com/google/go-containerregistry/pkg/name, whose defaults Kubernetes' library has
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kubarium.apimachinery.cel.call_costs import by_length
from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class

DEFAULT_REGISTRY = "index.docker.io"
DEFAULT_TAG = "latest"
_REPOSITORY = re.compile(r"[a-z0-9_\-./]{2,255}")
_TAG = re.compile(r"[A-Za-z0-9_\-.]{1,128}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.\-]+)(?::\d+)?")


class Image(NamedTuple):
    """A reference, taken apart. It has a tag or a digest; with both, the digest counts."""

    registry: str
    repository: str
    tag: str
    digest: str


register_class("image", Image)


def parse(text: str) -> Image | None:
    """The reference that a text is, if it is one."""
    name, at, digest = text.partition("@")
    base, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        base, tag = name, ""
    registry, slash, repository = base.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, repository = DEFAULT_REGISTRY, base
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    parts = repository.split("/")
    right = (
        _REGISTRY.fullmatch(registry)
        and _REPOSITORY.fullmatch(repository)
        and all(parts)
        and (not tag or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    if not right:
        return None
    return Image(registry, repository, "" if at else tag or DEFAULT_TAG, digest)


@function("isImage | string -> bool", cost=by_length)
def _is_image(text: str) -> bool:
    return parse(text) is not None


@function("image | string -> image", cost=by_length)
def _image(text: str) -> Image:
    found = parse(text)
    if found is None:
        raise EvaluationError(f"could not parse reference: {text}")
    return found


@function("image.containsDigest | -> bool")
def _contains_digest(image: Image) -> bool:
    return bool(image.digest)


@function("image.registry | -> string")
def _registry(image: Image) -> str:
    return image.registry


@function("image.repository | -> string")
def _repository(image: Image) -> str:
    return image.repository


@function("image.tag | -> string")
def _tag(image: Image) -> str:
    return image.tag


@function("image.digest | -> string")
def _digest(image: Image) -> str:
    return image.digest


@function("image.identifier | -> string")
def _identifier(image: Image) -> str:
    return image.digest or image.tag
