"""Which devices do claims get on a node?

counts and selectors      exact, all, all with some taken, too many
prioritized lists         the first that can be met, and its rank
constraints               the same attribute, distinct attributes, only for some requests
what is taken             by others, by another request, for admins, tainted
partitions                counters that several devices are cut of
shared devices            capacity, its policy, several claims
pools                     incomplete, of an older generation, invalid
reach                     a node's own, by selector, per device
"""

from __future__ import annotations

from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from scheduler.framework.devices import allocation, asks, search
from scheduler.framework.devices.inventory import Inventory
from scheduler.framework.devices.ledger import Ledger
from scheduler.framework.nodes import Nodes
from tests.unit.scheduler.builders import make_node
from tests.unit.scheduler.device_builders import (
    DRIVER,
    allocated,
    make_claim,
    make_class,
    make_device,
    make_slice,
    request,
)


class World:
    """Slices on some nodes, and claims that hold devices already."""

    def __init__(
        self, *slices: Object, held: tuple[Object, ...] = (), classes: tuple[Object, ...] = ()
    ) -> None:
        self.nodes = Nodes()
        for name, zone in (("a", "x"), ("b", "x"), ("c", "y")):
            self.nodes.put_node(make_node(name, labels={"zone": zone}))
        self.inventory = Inventory(self.nodes, lambda node: None)
        self.ledger = Ledger(lambda key: None)
        for one in slices:
            self.inventory.put_slice(one)
        for one in held:
            self.ledger.put(one)
        self.classes = {one["metadata"]["name"]: one for one in (make_class(), *classes)}

    def solve(self, *claims: Object, node: str = "a") -> list[list[str]] | None:
        """The names of the devices that each claim gets, with the request where it is not `r`."""
        read = [asks.read(claim, self.classes.get) for claim in claims]
        found = search.solve(read, self.inventory.at(self.nodes.index[node]), self.ledger)
        if found is None:
            return None
        self.read, self.solution = read, found
        return [[pick.device.key.device for pick in picks] for picks in found.picks]

    def write(self, number: int = 0, node: str = "a") -> Object:
        """The allocation of the last solution."""
        return allocation.write(self.read[number], self.solution.picks[number], node)


def gpus(count: int, **more: Any) -> list[Object]:
    return [make_device(f"gpu-{number}", **more) for number in range(count)]


def test_a_count_of_devices_in_the_order_of_the_pool() -> None:
    world = World(make_slice("s", *gpus(3), node="a"))
    assert world.solve(make_claim("c", request(count=2))) == [["gpu-0", "gpu-1"]]
    assert world.solve(make_claim("c", request(count=4))) is None
    assert world.solve(make_claim("c"), node="b") is None
    results = world.write()["devices"]["results"]
    assert results[0] == {"request": "r", "driver": DRIVER, "pool": "a", "device": "gpu-0"}


def test_selectors_of_class_and_request_must_both_hold() -> None:
    devices = [make_device(f"gpu-{n}", attributes={"model": m}) for n, m in enumerate(("old", "new", "new"))]
    world = World(
        make_slice("s", *devices, node="a"),
        classes=(make_class("new", f'device.attributes["{DRIVER}"].model == "new"'),),
    )
    assert world.solve(make_claim("c", request("r", "new"))) == [["gpu-1"]]
    old = f'device.attributes["{DRIVER}"].model == "old"'
    assert world.solve(make_claim("c", request("r", "new", old))) is None


def test_capacities_and_versions_can_be_compared() -> None:
    version = {"driver": {"version": "1.10.0"}}
    devices = [
        make_device("small", capacity={"memory": "10Gi"}),
        make_device("large", capacity={"memory": "40Gi"}) | {"attributes": version},
    ]
    world = World(make_slice("s", *devices, node="a"))
    large = f'device.capacity["{DRIVER}"].memory.compareTo(quantity("20Gi")) >= 0'
    assert world.solve(make_claim("c", request("r", "gpu", large))) == [["large"]]
    newer = (
        f'has(device.attributes["{DRIVER}"].driver) && '
        f'device.attributes["{DRIVER}"].driver.isGreaterThan(semver("1.9.0"))'
    )
    assert world.solve(make_claim("c", request("r", "gpu", newer))) == [["large"]]
    assert (
        world.solve(make_claim("c", request("r", "gpu", '"x" in device.attributes["unknown.domain"]')))
        is None
    )


def test_an_unknown_attribute_is_an_error_and_says_whose() -> None:
    world = World(make_slice("s", *gpus(1), node="a"))
    wrong = make_claim("c", request("r", "gpu", f'device.attributes["{DRIVER}"].nothing == 1'))
    with pytest.raises(
        asks.AskError, match=r"claim default/c: selector #0: CEL runtime error: no such key: nothing"
    ):
        world.solve(wrong)
    with pytest.raises(asks.AskError, match=r"selector #0: CEL compile error"):
        world.solve(make_claim("c", request("r", "gpu", "device.driver ==")))
    with pytest.raises(asks.UnknownClass, match="request r: device class none does not exist"):
        world.solve(make_claim("c", request("r", "none")))
    with pytest.raises(asks.AskError, match="number of requested devices 33 exceeds the claim limit of 32"):
        world.solve(make_claim("c", request(count=33)))


def test_all_devices_or_none() -> None:
    everything = make_claim("c", request(allocationMode="All"))
    world = World(make_slice("s", *gpus(3), node="a"))
    assert world.solve(everything) == [["gpu-0", "gpu-1", "gpu-2"]]
    assert world.solve(everything, node="b") is None
    world.ledger.put(allocated(make_claim("other"), "gpu-1"))
    assert world.solve(everything) is None


def test_the_first_alternative_that_can_be_met() -> None:
    def claim(first: int) -> Object:
        wishes = [
            {"name": "many", "deviceClassName": "gpu", "count": first},
            {"name": "one", "deviceClassName": "gpu"},
        ]
        return make_claim("c", {"name": "r", "firstAvailable": wishes})

    world = World(make_slice("s", *gpus(2), node="a"))
    assert world.solve(claim(2)) == [["gpu-0", "gpu-1"]]
    assert world.solution.score == 8
    assert world.solve(claim(3)) == [["gpu-0"]]
    assert world.solution.score == 7
    assert world.write()["devices"]["results"][0]["request"] == "r/one"


def test_an_earlier_choice_is_taken_back_where_it_leads_nowhere() -> None:
    devices = [make_device("any", attributes={"numa": 0}), make_device("old", attributes={"numa": 1})]
    world = World(make_slice("s", *devices, node="a"))
    picky = request("picky", "gpu", f'device.attributes["{DRIVER}"].numa == 0')
    assert world.solve(make_claim("c", request("easy"), picky)) == [["old", "any"]]


def test_devices_with_the_same_attribute() -> None:
    devices = [make_device(f"gpu-{n}", attributes={"numa": numa}) for n, numa in enumerate((0, 1, 0, 1))]
    world = World(make_slice("s", *devices, make_device("bare"), node="a"))
    same = [{"matchAttribute": f"{DRIVER}/numa"}]
    assert world.solve(make_claim("c", request(count=2), constraints=same)) == [["gpu-0", "gpu-2"]]
    assert world.solve(make_claim("c", request(count=3), constraints=same)) is None
    some = [{"matchAttribute": f"{DRIVER}/numa", "requests": ["r"]}]
    claim = make_claim("c", request(count=2), request("free", count=2), constraints=some)
    assert world.solve(claim) == [["gpu-0", "gpu-2", "gpu-1", "gpu-3"]]


def test_devices_with_distinct_attributes() -> None:
    devices = [make_device(f"gpu-{n}", attributes={"card": card}) for n, card in enumerate("aab")]
    world = World(make_slice("s", *devices, node="a"))
    distinct = [{"distinctAttribute": f"{DRIVER}/card"}]
    assert world.solve(make_claim("c", request(count=2), constraints=distinct)) == [["gpu-0", "gpu-2"]]
    assert world.solve(make_claim("c", request(count=3), constraints=distinct)) is None


def test_what_others_hold_is_taken_except_for_admins() -> None:
    world = World(make_slice("s", *gpus(2), node="a"), held=(allocated(make_claim("other"), "gpu-0"),))
    assert world.solve(make_claim("c")) == [["gpu-1"]]
    assert world.solve(make_claim("c"), make_claim("d")) is None
    admin = make_claim("c", request(adminAccess=True, allocationMode="All"))
    assert world.solve(admin) == [["gpu-0", "gpu-1"]]
    assert world.write()["devices"]["results"][0]["adminAccess"] is True
    world.ledger.reserve("admin", world.write())
    assert world.solve(make_claim("d")) == [["gpu-1"]]


def test_an_allocation_counts_while_it_is_written_and_no_longer_when_released() -> None:
    world = World(make_slice("s", *gpus(1), node="a"))
    claim = make_claim("c")
    world.solve(claim)
    world.ledger.reserve("uid-of-c", world.write())
    world.ledger.put(claim)  # the informer is behind
    assert world.ledger.is_pending("uid-of-c")
    assert world.solve(make_claim("d")) is None
    world.ledger.release("uid-of-c", claim)
    assert world.solve(make_claim("d")) == [["gpu-0"]]


def test_tainted_devices_are_for_those_who_tolerate_that() -> None:
    taint = {"key": "broken", "value": "yes", "effect": "NoSchedule"}
    world = World(make_slice("s", make_device("gpu-0", taints=[taint]), make_device("gpu-1"), node="a"))
    assert world.solve(make_claim("c")) == [["gpu-1"]]
    assert world.solve(make_claim("c", request(count=2))) is None
    tolerations = [{"key": "broken", "operator": "Exists"}]
    assert world.solve(make_claim("c", request(count=2, tolerations=tolerations))) == [["gpu-0", "gpu-1"]]
    assert world.write()["devices"]["results"][0]["tolerations"] == tolerations
    odd = [{"key": "broken", "operator": "Equal", "value": "no"}]
    assert world.solve(make_claim("c", request(count=2, tolerations=odd))) is None


def test_partitions_draw_on_the_counters_of_their_device() -> None:
    def part(name: str, memory: str) -> Object:
        return make_device(
            name, consumesCounters=[{"counterSet": "card", "counters": {"memory": {"value": memory}}}]
        )

    counters = [{"name": "card", "counters": {"memory": {"value": "40Gi"}}}]
    parts = [part("whole", "40Gi"), part("half-0", "20Gi"), part("half-1", "20Gi")]
    world = World(
        make_slice("s1", node="a", pool="p", count=2, sharedCounters=counters),
        make_slice("s2", *parts, node="a", pool="p", count=2),
    )
    assert world.solve(make_claim("c", request(count=2))) == [["half-0", "half-1"]]
    assert world.solve(make_claim("c", request(count=3))) is None
    world.ledger.put(allocated(make_claim("other"), "half-1", pool="p"))
    assert world.solve(make_claim("c")) == [["half-0"]]


def test_a_shared_device_is_given_in_portions() -> None:
    policy = {"default": "1Gi", "validRange": {"min": "1Gi", "step": "2Gi"}}
    memory = {"value": "10Gi", "requestPolicy": policy}
    device = make_device("card", capacity={"memory": memory}, allowMultipleAllocations=True)
    world = World(make_slice("s", device, node="a"))
    portion = request(capacity={"requests": {"memory": "4Gi"}})
    assert world.solve(make_claim("c", portion), make_claim("d", portion)) == [["card"], ["card"]]
    result = world.write()["devices"]["results"][0]
    assert result["consumedCapacity"] == {"memory": "5Gi"}  # 1Gi and twice 2Gi
    assert result["shareID"]
    assert world.solve(*[make_claim(name, portion) for name in "cde"]) is None
    world.ledger.reserve("c", world.write())
    world.ledger.reserve("d", world.write(1))
    assert world.solve(make_claim("e")) is None
    assert world.solve(make_claim("e", request(capacity={"requests": {"bandwidth": "1"}}))) is None


def test_an_exclusive_device_must_be_large_enough() -> None:
    devices = [
        make_device("small", capacity={"memory": "10Gi"}),
        make_device("large", capacity={"memory": "40Gi"}),
    ]
    world = World(make_slice("s", *devices, node="a"))
    assert world.solve(make_claim("c", request(capacity={"requests": {"memory": "20Gi"}}))) == [["large"]]
    assert "consumedCapacity" not in world.write()["devices"]["results"][0]


def test_nothing_comes_from_an_incomplete_pool() -> None:
    world = World(make_slice("s", *gpus(1), node="a", count=2))
    assert world.solve(make_claim("c")) is None
    with pytest.raises(
        search.NodeProblem, match=r"resource pool gpu\.example\.com/a is currently being updated"
    ):
        world.solve(make_claim("c", request(allocationMode="All")))
    world.inventory.put_slice(make_slice("t", make_device("gpu-1"), node="a", count=2))
    assert world.solve(make_claim("c", request(count=2))) == [["gpu-0", "gpu-1"]]
    world.inventory.put_slice(make_slice("t", make_device("new"), node="a", count=1, generation=2))
    assert world.solve(make_claim("c")) == [["new"]]
    world.inventory.remove_slice(make_slice("t", node="a"))
    assert world.solve(make_claim("c")) is None


def test_a_pool_that_contradicts_itself_is_a_problem_of_the_node() -> None:
    world = World(make_slice("s", make_device("x"), make_device("x"), node="a"))
    with pytest.raises(search.NodeProblem, match="invalid resource pools were encountered"):
        world.solve(make_claim("c"))


def test_devices_in_the_network_are_reached_by_some_nodes() -> None:
    term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x"]}]}
    world = World(make_slice("s", *gpus(1), pool="net", nodeSelector={"nodeSelectorTerms": [term]}))
    assert world.solve(make_claim("c"), node="a") == [["gpu-0"]]
    assert world.write()["nodeSelector"] == {"nodeSelectorTerms": [term]}
    assert world.solve(make_claim("c"), node="c") is None
    assert world.inventory.at(world.nodes.index["a"]) is world.inventory.at(world.nodes.index["b"])
    world.inventory.put_slice(make_slice("t", make_device("own"), node="c"))
    assert world.solve(make_claim("c"), node="c") == [["own"]]
    assert world.write(node="c")["nodeSelector"]["nodeSelectorTerms"][0]["matchFields"][0]["values"] == ["c"]


def test_each_device_may_say_for_itself_who_reaches_it() -> None:
    devices = [make_device("mine", nodeName="b"), make_device("all", allNodes=True)]
    world = World(make_slice("s", *devices, pool="p", perDeviceNodeSelection=True))
    assert world.solve(make_claim("c", request(count=2)), node="b") == [["mine", "all"]]
    assert world.solve(make_claim("c"), node="a") == [["all"]]
    assert "nodeSelector" not in world.write()


def test_what_class_and_claim_configure_is_handed_on() -> None:
    opaque = {"opaque": {"driver": DRIVER, "parameters": {"fast": True}}}
    world = World(make_slice("s", *gpus(1), node="a"), classes=(make_class("set", config=[opaque]),))
    claim = make_claim("c", request("r", "set"), config=[{**opaque, "requests": ["r"]}])
    world.solve(claim)
    assert world.write()["devices"]["config"] == [
        {**opaque, "source": "FromClass", "requests": ["r"]},
        {**opaque, "source": "FromClaim", "requests": ["r"]},
    ]
