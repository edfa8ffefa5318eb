"""Say in a ValidatingAdmissionPolicy's status that its expressions were looked at, for which generation."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.apimachinery.object import Object, ObjectKey, copy, generation_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

API = ("admissionregistration.k8s.io/v1", "validatingadmissionpolicies")


class ValidatingAdmissionPolicyStatusController(Controller):
    """Writes `observedGeneration` and `typeChecking`.

    Expressions that do not compile never get here: the API server refuses them. Warnings about fields that a
    matched kind does not have are for a type checker that is still to come.
    """

    name = "validatingadmissionpolicy-status-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.policies = informers.informer(*API).lister
        self.resource = client.resource(*API)
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch(*API)]

    async def reconcile(self, key: ObjectKey) -> None:
        policy = self.policies.get(key)
        if policy is None or is_checked(policy):
            return
        changed = copy(policy)
        changed["status"] = {
            **status_of(policy),
            "observedGeneration": generation_of(policy),
            "typeChecking": {},
        }
        await self.resource.update_status(changed)


def is_checked(policy: Object) -> bool:
    """Has this generation been looked at?"""
    return bool(status_of(policy).get("observedGeneration") == generation_of(policy))
