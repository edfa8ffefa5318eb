"""Kinds of the core group whose strategy is a line or two."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from apiserver.registry.core.persistent_volume import PersistentVolumeStrategy
from apiserver.registry.strategy import Strategy, of_noun, offers_of
from apiserver.request import RequestContext
from kubarium.api.core import (
    config_map,
    endpoints,
    limit_range,
    persistent_volume,
    persistent_volume_claim,
    pod_template,
    resource_quota,
    secret,
)
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, metadata_of, name_of, status_of

SECRET_FIELDS: Mapping[str, FieldGetter] = {"type": lambda obj: obj.get("type") or ""}
CONTROLLER_FIELDS: Mapping[str, FieldGetter] = {
    "status.replicas": lambda controller: str(status_of(controller).get("replicas") or 0),
}
VOLUME_FIELDS: Mapping[str, FieldGetter] = {"name": name_of}

CONFIG_MAP = of_noun(config_map, has_status=False)
SECRET = of_noun(secret, has_status=False, selectable_fields=SECRET_FIELDS)
ENDPOINTS = of_noun(endpoints, has_status=False, allow_create_on_update=True)


@dataclass(frozen=True)
class LimitRangeStrategy(Strategy):
    """A LimitRange without a name gets one."""

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        super().prepare_for_create(context, obj)
        if not name_of(obj):
            metadata_of(obj)["name"] = str(uuid.uuid4())


LIMIT_RANGE = LimitRangeStrategy(has_status=False, allow_create_on_update=True, **offers_of(limit_range))
RESOURCE_QUOTA = of_noun(resource_quota, returns_deleted=True)
POD_TEMPLATE = of_noun(
    pod_template, has_status=False, has_generation=True, allow_create_on_update=True, returns_deleted=True
)
SERVICE_ACCOUNT = Strategy(has_status=False, returns_deleted=True)
VOLUME = PersistentVolumeStrategy(
    returns_deleted=True,
    selectable_fields=VOLUME_FIELDS,
    initial_status={"phase": "Pending"},
    **offers_of(persistent_volume),
)
CLAIM = of_noun(
    persistent_volume_claim,
    returns_deleted=True,
    selectable_fields=VOLUME_FIELDS,
    initial_status={"phase": "Pending"},
)
