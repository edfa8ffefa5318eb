"""Every image is pulled anew, so that nobody runs an image that he may not pull. Off unless asked for."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core.pod import containers


class AlwaysPullImages(AdmissionPlugin):
    """Sets imagePullPolicy Always on all containers."""

    name = "AlwaysPullImages"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "pods")})

    async def admit(self, attributes: Attributes) -> None:
        """Overwrite the policy."""
        if attributes.subresource in ("", "ephemeralcontainers"):
            for container in containers.all_containers(attributes.new):
                container["imagePullPolicy"] = "Always"
