"""Ingresses, policies, addresses, endpoint slices and leases."""

from __future__ import annotations

from apiserver.registry.strategy import of_noun
from kubarium.api.coordination import lease
from kubarium.api.discovery import endpoint_slice_validation as endpoint_slice
from kubarium.api.networking import ingress, ingress_class, ip_address, network_policy, service_cidr

LEASE = of_noun(
    lease,
    has_status=False,
    allow_create_on_update=True,
    allow_unconditional_update=False,
    finalizers_with_domain=False,
)
ENDPOINT_SLICE = of_noun(endpoint_slice, has_status=False, has_generation=True)
INGRESS_CLASS = of_noun(ingress_class, has_status=False, has_generation=True)
INGRESS = of_noun(ingress, has_generation=True, initial_status={"loadBalancer": {}})
IP_ADDRESS = of_noun(ip_address, has_status=False, name_errors=ip_address.name_errors)
NETWORK_POLICY = of_noun(network_policy, has_status=False, has_generation=True)
SERVICE_CIDR = of_noun(service_cidr)
