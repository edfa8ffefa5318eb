"""Where the machine as a cloud takes addresses from."""

from cloud_controller_manager.providers.local import internal_ip, pool_beside


def test_each_family_has_its_pool_in_the_subnet_of_the_nodes() -> None:
    addresses = [{"type": "InternalIP", "address": each} for each in ("10.89.3.11", "fd00:10:89:3::11")]
    node = {"metadata": {"name": "node-1"}, "status": {"addresses": addresses}}
    first, second = (pool_beside(internal_ip(node, family)) for family in ("IPv4", "IPv6"))
    assert (first[0], first[-1]) == ("10.89.3.199", "10.89.3.254")
    assert (second[0], second[-1]) == ("fd00:10:89:3::ff00", "fd00:10:89:3::ff37")
    addresses.pop()
    assert internal_ip(node, "IPv6") == ""
