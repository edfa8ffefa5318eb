"""What extends the API: CustomResourceDefinitions and APIServices."""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.registry.strategy import METADATA_OF_THE_WISH, Strategy, of_noun, offers_of
from apiserver.request import RequestContext
from kubarium.api.apiextensions import custom_resource_definition as noun
from kubarium.api.apiregistration import api_service
from kubarium.apimachinery import conditions, names
from kubarium.apimachinery.object import Object, generation_of, is_deleting, metadata_of, spec_of, status_of

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_TERMINATING = {
    "type": "Terminating",
    "status": "True",
    "reason": "InstanceDeletionPending",
    "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
}


@dataclass(frozen=True)
class DefinitionStrategy(Strategy):
    """A definition remembers every version in which objects may be kept, and goes only after its objects."""

    has_generation: bool = True
    allow_unconditional_update: bool = False
    finalizers_with_domain: bool = False

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        obj["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": None,
        }
        _remember_storage_version(obj)

    def prepare_for_update(self, context: RequestContext, new: Object, old: Object) -> None:
        super().prepare_for_update(context, new, old)
        _remember_storage_version(new)

    def must_wait(self, obj: Object) -> bool:
        return not is_deleting(obj)

    def after_begin_delete(self, context: RequestContext, obj: Object) -> None:
        finalizers = metadata_of(obj).setdefault("finalizers", [])
        if CLEANUP_FINALIZER not in finalizers:
            finalizers.append(CLEANUP_FINALIZER)
        metadata = metadata_of(obj)
        metadata.pop("deletionGracePeriodSeconds", None)
        metadata["generation"] = generation_of(obj) - 1  # that it goes is no new wish
        status = obj.setdefault("status", {})
        status["conditions"] = found = status.get("conditions") or []
        conditions.set_condition(found, dict(_TERMINATING), context.clock.now())


def _remember_storage_version(definition: Object) -> None:
    storage = next((v["name"] for v in spec_of(definition).get("versions") or () if v.get("storage")), None)
    known = status_of(definition).get("storedVersions") or []
    if storage is not None and storage not in known:
        definition.setdefault("status", {})["storedVersions"] = [*known, storage]


CUSTOM_RESOURCE_DEFINITION = DefinitionStrategy(
    **offers_of(noun),
    judges_metadata=True,  # the approval is an annotation
)
API_SERVICE = of_noun(
    api_service,
    allow_unconditional_update=False,
    name_errors=names.path_segment_errors,
    finalizers_with_domain=False,
    status_keeps=METADATA_OF_THE_WISH,
)  # `v1.` is the name for the core group
