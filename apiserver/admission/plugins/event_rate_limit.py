"""Events are many; whoever writes too many is asked to wait. Off unless asked for.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-eventratelimit.v1alpha1/
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.configuration import ConfigurationError
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock

TYPES = ("Server", "Namespace", "User", "SourceAndObject")
_CACHE_SIZE = 4096


class Bucket:
    """So many at once, so many a second."""

    def __init__(self, per_second: float, most: int, now: float) -> None:
        self._per_second = per_second
        self._most = most
        self._left = float(most)
        self._when = now

    def take(self, now: float) -> bool:
        """Is there one left?"""
        self._left = min(self._most, self._left + (now - self._when) * self._per_second)
        self._when = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True)
class _Limit:
    type: str
    per_second: float
    burst: int
    size: int
    buckets: OrderedDict[str, Bucket]

    def allows(self, key: str, now: float) -> bool:
        bucket = self.buckets.pop(key, None) or Bucket(self.per_second, self.burst, now)
        self.buckets[key] = bucket
        if len(self.buckets) > self.size:
            self.buckets.popitem(last=False)
        return bucket.take(now)


class EventRateLimit(AdmissionPlugin):
    """429 for events above the limits."""

    name = "EventRateLimit"
    operations = frozenset({CREATE, UPDATE})
    resources = frozenset({("", "events")})

    def __init__(self, clock: Clock, configuration: Object | None = None) -> None:
        """Raises ConfigurationError."""
        self._clock = clock
        self._limits = [
            _limit(one, f"limits[{i}]") for i, one in enumerate((configuration or {}).get("limits") or ())
        ]

    async def validate(self, attributes: Attributes) -> None:
        """Refuse what is too much."""
        if attributes.dry_run:
            return
        now = self._clock.monotonic()
        for limit in self._limits:
            key = _key(limit.type, attributes)
            if not limit.allows(key, now):
                text = f"limit reached on type {limit.type} for key {key}"
                raise errors.TooManyRequests(
                    text, {"causes": [{"reason": "EventRateLimit", "message": text}]}
                )


def _limit(one: Object, path: str) -> _Limit:
    if one.get("type") not in TYPES:
        shown = ", ".join(f'"{name}"' for name in TYPES)
        raise ConfigurationError(
            f'{path}.type: Unsupported value: "{one.get("type")}": supported values: {shown}'
        )
    for field in ("qps", "burst"):
        if not one.get(field) or one[field] < 0:
            raise ConfigurationError(f"{path}.{field}: Invalid value: {one.get(field, 0)}: must be positive")
    return _Limit(one["type"], one["qps"], one["burst"], one.get("cacheSize") or _CACHE_SIZE, OrderedDict())


def _key(sort: str, attributes: Attributes) -> str:
    if sort == "Namespace":
        return attributes.namespace
    if sort == "User":
        return attributes.user.name
    if sort == "Server":
        return ""
    event = attributes.new
    source, about = event.get("source") or {}, event.get("involvedObject") or {}
    parts = [source.get("component"), source.get("host")]
    parts += [about.get(field) for field in ("kind", "namespace", "name", "uid", "apiVersion")]
    return "".join(part or "" for part in parts)
