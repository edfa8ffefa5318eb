"""Names of users and groups that mean something by themselves."""

from __future__ import annotations

from kubarium.apimachinery import names

ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
MASTERS = "system:masters"
NODES = "system:nodes"
SERVICE_ACCOUNTS = "system:serviceaccounts"

_NODE_PREFIX = "system:node:"
_ACCOUNT_PREFIX = "system:serviceaccount:"

# Keys of a user's extra fields that authenticators fill.
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
NODE_NAME = "authentication.kubernetes.io/node-name"
NODE_UID = "authentication.kubernetes.io/node-uid"


def service_account_name(namespace: str, name: str) -> str:
    """`system:serviceaccount:default:builder`."""
    return f"{_ACCOUNT_PREFIX}{namespace}:{name}"


def service_account_groups(namespace: str) -> tuple[str, str]:
    """The groups of every service account of a namespace."""
    return (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}")


def service_account_of(user_name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that a user name stands for."""
    if not user_name.startswith(_ACCOUNT_PREFIX):
        return None
    namespace, _, name = user_name.removeprefix(_ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if namespace and name and ":" not in name else None


def node_named(user_name: str) -> str | None:
    """The node that a user name stands for, whatever the groups are."""
    name = user_name.removeprefix(_NODE_PREFIX)
    return None if name == user_name or names.dns_subdomain_errors(name) else name


def node_of(user_name: str, groups: tuple[str, ...] | list[str]) -> str:
    """The node that a user is the kubelet of; nothing if it is no kubelet."""
    if user_name.startswith(_NODE_PREFIX) and NODES in groups:
        return user_name.removeprefix(_NODE_PREFIX)
    return ""
