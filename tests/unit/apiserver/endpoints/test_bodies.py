"""What a body says of its kind and its name, and what the URL says."""

from __future__ import annotations

import pytest

from apiserver.endpoints.body import check_type
from apiserver.endpoints.list_options import list_options
from apiserver.endpoints.update import check_name
from apiserver.request import LOOPBACK, RequestContext, RequestInfo
from kubarium.apimachinery import errors
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock

CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")


@pytest.mark.parametrize("given", [{}, {"kind": "ConfigMap"}, {"apiVersion": "v1"}])
def test_what_a_body_leaves_out_is_taken_from_the_url(given: Object) -> None:
    check_type(given, CONFIG_MAP)
    assert given == {"kind": "ConfigMap", "apiVersion": "v1"}


def test_a_put_says_its_name() -> None:
    context = RequestContext(RequestInfo("/", "update", name="a"), LOOPBACK, FakeClock(), {})
    with pytest.raises(errors.BadRequest) as refused:
        check_name(context, {"metadata": {}})
    text = "the name of the object (a based on URL) was undeterminable: name must be provided"
    assert str(refused.value) == text


def test_nonsense_is_refused_where_nobody_needs_it() -> None:
    with pytest.raises(errors.BadRequest, match='parsing "x": invalid syntax'):
        list_options({"timeoutSeconds": ["x"]})
