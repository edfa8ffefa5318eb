"""Services may take no external addresses: whoever names one gets its traffic. Off unless asked for.

Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#denyserviceexternalips
"""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import Object, spec_of


class DenyServiceExternalIPs(AdmissionPlugin):
    """Refuses new external addresses; those that are there may stay."""

    name = "DenyServiceExternalIPs"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "services")})

    async def validate(self, attributes: Attributes) -> None:
        """Refuse addresses that were not there before."""
        if attributes.subresource:
            return
        if _addresses(attributes.new) - _addresses(attributes.old or {}):
            raise attributes.forbidden("Use of external IPs is denied by admission control")


def _addresses(service: Object) -> set[str]:
    return set(spec_of(service).get("externalIPs") or ())
