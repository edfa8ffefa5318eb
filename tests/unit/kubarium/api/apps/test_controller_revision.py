"""What a stored template looks like."""

import orjson

from kubarium.api.apps import controller_revision


def test_data_lies_in_the_order_in_which_go_writes_it() -> None:
    owner = {"metadata": {"name": "ds", "namespace": "n"}}
    template = {"spec": {"containers": [{"name": "c", "image": "i"}]}, "metadata": {}, "$patch": "replace"}
    made = controller_revision.new(owner, {}, {"spec": {"template": template}}, 1, {}, 0)
    assert orjson.dumps(made["data"]) == (
        b'{"spec":{"template":{"$patch":"replace","metadata":{},'
        b'"spec":{"containers":[{"image":"i","name":"c"}]}}}}'
    )
