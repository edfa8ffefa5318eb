"""The two plugins that look at nothing: one lets everything pass, the other refuses everything. For tests."""

from __future__ import annotations

from apiserver.admission.plugin import CONNECT, CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes


class AlwaysAdmit(AdmissionPlugin):
    """Lets everything pass."""

    name = "AlwaysAdmit"


class AlwaysDeny(AdmissionPlugin):
    """Refuses everything."""

    name = "AlwaysDeny"
    operations = frozenset({CREATE, UPDATE, DELETE, CONNECT})

    async def validate(self, attributes: Attributes) -> None:
        """Refuse."""
        raise attributes.forbidden("admission control is denying all modifications")
