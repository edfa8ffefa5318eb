"""Groups, versions, kinds and resources: parse and format."""

from __future__ import annotations

import re
from typing import NamedTuple


class GroupVersionKind(NamedTuple):
    """The type of an object. The core group is the empty text."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return join(self.group, self.version)

    def __str__(self) -> str:
        return f"{self.group}/{self.version}, Kind={self.kind}"


class GroupVersionResource(NamedTuple):
    """The place where objects of a type are kept."""

    group: str
    version: str
    resource: str

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`."""
        return join(self.group, self.version)

    @property
    def group_resource(self) -> str:
        """`pods` or `deployments.apps`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


def join(group: str, version: str) -> str:
    """`("apps", "v1")` -> `apps/v1`; `("", "v1")` -> `v1`."""
    return f"{group}/{version}" if group else version


def split(api_version: str) -> tuple[str, str]:
    """`apps/v1` -> `("apps", "v1")`; `v1` -> `("", "v1")`."""
    group, slash, version = api_version.rpartition("/")
    return (group, version) if slash else ("", api_version)


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?$")


def version_priority(version: str) -> tuple[int, int, int, str]:
    """A key that sorts versions from the most to the least preferred: v2, v1, v1beta2, v1alpha1, then other names.

    Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/
    """
    match = _VERSION.match(version)
    if match is None:
        return (3, 0, 0, version)
    major, stage, minor = int(match[1]), match[2], int(match[3] or 0)
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -major, -minor, version)
