"""Ingresses, policies, addresses, endpoint slices and leases."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy, of_noun
from kubarium.api.discovery import defaults as endpoint_slice
from kubarium.api.networking import ingress, network_policy
from kubarium.apimachinery import names

LEASE = Strategy(has_status=False, allow_create_on_update=True, allow_unconditional_update=False)
ENDPOINT_SLICE = of_noun(endpoint_slice, has_status=False, has_generation=True)
INGRESS_CLASS = Strategy(has_status=False, has_generation=True)
INGRESS = of_noun(ingress, has_generation=True, initial_status={"loadBalancer": {}})
IP_ADDRESS = Strategy(has_status=False, name_errors=names.dns_subdomain_errors)
NETWORK_POLICY = of_noun(network_policy, has_status=False, has_generation=True)
SERVICE_CIDR = Strategy()
