"""Ingresses, policies, addresses, endpoint slices and leases."""

from __future__ import annotations

from apiserver.registry.strategy import Strategy
from kubarium.apimachinery import names

LEASE = Strategy(has_status=False, allow_create_on_update=True, allow_unconditional_update=False)
ENDPOINT_SLICE = Strategy(has_status=False, has_generation=True)
INGRESS_CLASS = Strategy(has_status=False, has_generation=True)
INGRESS = Strategy(has_generation=True)
IP_ADDRESS = Strategy(has_status=False, name_errors=names.dns_subdomain_errors)
NETWORK_POLICY = Strategy(has_status=False, has_generation=True)
SERVICE_CIDR = Strategy()
