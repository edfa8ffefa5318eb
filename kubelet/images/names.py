"""Names of images: registry, repository, tag, digest; and the patterns by which registries are meant."""

from __future__ import annotations

import fnmatch
import re

DEFAULT_REGISTRY = "docker.io"
DEFAULT_KEY = "index.docker.io"  # what configurations call it
DEFAULT_HOSTS = (DEFAULT_KEY, DEFAULT_REGISTRY, "registry-1.docker.io")

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")


class InvalidName(ValueError):
    """No image can have this name."""


def normalize(image: str) -> str:
    """Add the tag `latest` where neither tag nor digest is given. Raises InvalidName.

    Source: https://github.com/distribution/reference
    """
    name, at, digest = image.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise InvalidName("invalid reference format")
    registry, path, tag = _split(name)
    if tag is not None and not _TAG.fullmatch(tag):
        raise InvalidName("invalid reference format")
    if registry and not _HOST.fullmatch(registry):
        raise InvalidName("invalid reference format")
    if path != path.lower():
        shown = path if registry or "/" in path else f"library/{path}"
        raise InvalidName(f"invalid reference format: repository name ({shown}) must be lowercase")
    if not _PATH.fullmatch(path):
        raise InvalidName("invalid reference format")
    return image if at or tag is not None else f"{image}:latest"


def _split(name: str) -> tuple[str, str, str | None]:
    """Registry (empty if none is named), path and tag."""
    head, slash, rest = name.partition("/")
    registry = head if slash and ("." in head or ":" in head or head in ("localhost", head.upper())) else ""
    path = rest if registry else name
    last = path.rpartition("/")[2]
    tag = last.partition(":")[2] if ":" in last else None
    return registry, path.removesuffix(f":{tag}") if tag is not None else path, tag


def repository_of(image: str) -> str:
    """The full name without tag and digest: `docker.io/library/busybox`."""
    registry, path, _ = _split(image.partition("@")[0])
    if registry in ("", *DEFAULT_HOSTS):
        registry, path = DEFAULT_REGISTRY, path if "/" in path else f"library/{path}"
    return f"{registry}/{path}"


def matches(pattern: str, image: str) -> bool:
    """Is the image meant by `https://registry.io:5000/some/path` or `*.registry.io`?

    Each part of the host may be a glob; a port must be the same; a path is a prefix.
    """
    host, _, path = pattern.removeprefix("https://").removeprefix("http://").partition("/")
    for version in ("v1", "v2"):
        path = path if path not in (version, f"{version}/") else ""
    registry, _, rest = repository_of(image).partition("/")
    if host in DEFAULT_HOSTS:
        return registry == DEFAULT_REGISTRY and rest.startswith(path)
    return _host_matches(host, registry) and rest.startswith(path)


def _host_matches(pattern: str, host: str) -> bool:
    (left, _, left_port), (right, _, right_port) = pattern.partition(":"), host.partition(":")
    patterns, parts = left.split("."), right.split(".")
    return (
        left_port == right_port
        and len(patterns) == len(parts)
        and all(fnmatch.fnmatchcase(part, glob) for glob, part in zip(patterns, parts, strict=True))
    )
