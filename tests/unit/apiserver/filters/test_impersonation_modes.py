"""Whom one may act as, under which rights, and what is said to those who may not."""

from __future__ import annotations

import pytest

from apiserver.authorization.authorizer import ALLOWED, NO_OPINION, Authorizers, Verdict
from apiserver.filters.impersonation_modes import impersonate
from apiserver.request import RequestInfo, User
from kubarium.api.authentication import users
from kubarium.apimachinery import errors

LIST_PODS = RequestInfo("/api/v1/namespaces/a/pods", "list", True, "api", "", "v1", "a", "pods")
BOB = User("bob")
AGENT = User(
    "system:serviceaccount:kube-system:agent", extra={users.NODE_NAME: ("n1",), users.POD_NAME: ("agent-x",)}
)
JANE, NODE, BUILDER = User("jane"), User("system:node:n1"), User("system:serviceaccount:a:builder")


class Rights:
    """Allows what is written as "verb group/resource name"."""

    def __init__(self, *rights: str) -> None:
        self._rights = rights
        self.extras: list[object] = []

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        self.extras.append(user.extra)
        resource = "/".join(part for part in (info.group, info.resource, info.subresource) if part)
        return ALLOWED if f"{info.verb} {resource} {info.name}".strip() in self._rights else NO_OPINION


@pytest.mark.parametrize(
    ("requestor", "wanted", "rights", "groups", "constraint"),
    [
        (BOB, JANE, ["impersonate users jane"], [users.AUTHENTICATED], ""),
        (
            BOB,
            JANE,
            ["impersonate-on:user-info:list pods", "impersonate:user-info authentication.k8s.io/users jane"],
            [users.AUTHENTICATED],
            "impersonate:user-info",
        ),
        (
            BOB,
            NODE,
            [
                "impersonate-on:arbitrary-node:list pods",
                "impersonate:arbitrary-node authentication.k8s.io/nodes n1",
            ],
            [users.NODES, users.AUTHENTICATED],
            "impersonate:arbitrary-node",
        ),
        (BOB, NODE, ["impersonate users system:node:n1"], [users.AUTHENTICATED], ""),
        (
            AGENT,
            NODE,
            [
                "impersonate-on:associated-node:list pods",
                "impersonate:associated-node authentication.k8s.io/nodes *",
            ],
            [users.NODES, users.AUTHENTICATED],
            "impersonate:associated-node",
        ),
        (
            BOB,
            BUILDER,
            [
                "impersonate-on:serviceaccount:list pods",
                "impersonate:serviceaccount authentication.k8s.io/serviceaccounts builder",
            ],
            ["system:serviceaccounts", "system:serviceaccounts:a", users.AUTHENTICATED],
            "impersonate:serviceaccount",
        ),
        (
            BOB,
            User("jane", "7", ("devs",), {"acme.io/team": ("x",)}),
            [
                "impersonate-on:user-info:list pods",
                "impersonate:user-info authentication.k8s.io/users jane",
                "impersonate:user-info authentication.k8s.io/uids 7",
                "impersonate:user-info authentication.k8s.io/groups devs",
                "impersonate:user-info authentication.k8s.io/userextras/acme.io/team x",
            ],
            ["devs", users.AUTHENTICATED],
            "impersonate:user-info",
        ),
        (BOB, User(users.ANONYMOUS), [f"impersonate users {users.ANONYMOUS}"], [users.UNAUTHENTICATED], ""),
    ],
)
async def test_the_first_mode_that_is_allowed_counts(
    requestor: User, wanted: User, rights: list[str], groups: list[str], constraint: str
) -> None:
    found = await impersonate(Authorizers([Rights(*rights)]), requestor, LIST_PODS, wanted)
    assert (found.user.name, [*found.user.groups]) == (wanted.name, groups)
    assert (found.user.uid, found.user.extra) == (wanted.uid, wanted.extra)
    assert found.constraint == constraint


ON_PODS = "impersonate-on:user-info:list pods"
AS_JANE = "impersonate:user-info authentication.k8s.io/users jane"


@pytest.mark.parametrize(
    ("wanted", "rights", "words"),
    [
        (
            JANE,
            [],
            'pods is forbidden: User "bob" cannot impersonate-on:user-info:list resource "pods" in API group "" in '
            'the namespace "a"',
        ),
        (
            JANE,
            [ON_PODS],
            'users.authentication.k8s.io "jane" is forbidden: User "bob" cannot impersonate:user-info resource '
            '"users" in API group "authentication.k8s.io" at the cluster scope',
        ),
        (
            User("jane", groups=("system:masters",)),
            [ON_PODS, AS_JANE, "impersonate:user-info authentication.k8s.io/groups system:masters"],
            "impersonating the system:masters group is not allowed",
        ),
        (
            User("jane", extra={"team": ("x",)}),
            [ON_PODS, AS_JANE, "impersonate:user-info authentication.k8s.io/userextras/team x"],
            'impersonating an invalid key in extra is not allowed: extra.key: Invalid value: "team": must be a '
            "domain-prefixed path",
        ),
    ],
)
async def test_the_first_refusal_is_told(wanted: User, rights: list[str], words: str) -> None:
    with pytest.raises(errors.Forbidden) as refusal:
        await impersonate(Authorizers([Rights(*rights)]), BOB, LIST_PODS, wanted)
    assert words in str(refusal.value)


async def test_a_pod_acts_only_as_its_own_node_and_is_judged_alike_on_all() -> None:
    rights = Rights(
        "impersonate-on:associated-node:list pods",
        "impersonate:associated-node authentication.k8s.io/nodes *",
    )
    with pytest.raises(errors.Forbidden, match="cannot impersonate-on:arbitrary-node:list"):
        await impersonate(Authorizers([rights]), AGENT, LIST_PODS, User("system:node:n2"))
    rights.extras.clear()
    await impersonate(Authorizers([rights]), AGENT, LIST_PODS, NODE)
    keys = (users.NODE_NAME, users.POD_NAME)
    assert rights.extras == [{"authentication.kubernetes.io/associated-node-keys": keys}] * 2
