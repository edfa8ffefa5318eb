"""The aggregated APIs metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io, as an autoscaler asks them.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-metrics-apis
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

from kubarium.api.autoscaling.horizontal_pod_autoscaler import NoMetrics, Sample
from kubarium.apimachinery import errors, group_version, labels, quantity, time
from kubarium.apimachinery.object import Object, name_of
from kubarium.client.discovery import Discovered, Discovery
from kubarium.client.rest import Client
from kubarium.component_base.options import parse_duration

WINDOW = timedelta(minutes=1)
CUSTOM = "custom.metrics.k8s.io"
KNOWN_VERSIONS = ("v1beta2", "v1beta1")  # of custom.metrics.k8s.io, best first


class MetricsClient:
    """Raises NoMetrics with upstream's words, whatever goes wrong."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.discovery = Discovery(client)

    async def of_resource(
        self, namespace: str, selector: str, resource: str, container: str
    ) -> dict[str, Sample]:
        """CPU or memory of the selected pods, by name; of one container, if one is named."""
        try:
            path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"
            found = await self._items("resource", path, {"labelSelector": selector})
        except NoMetrics as error:
            raise NoMetrics(f"unable to get metrics for resource {resource}: {error}") from error
        samples: dict[str, Sample] = {}
        for item in found:
            amount = _usage(item, resource, container)
            if amount is not None:
                window = timedelta(seconds=parse_duration(item.get("window") or ""))
                samples[name_of(item)] = Sample(amount, time.parse_time(item["timestamp"]), window)
        return samples

    async def of_pods(self, namespace: str, selector: str, metric: Object) -> dict[str, Sample]:
        """A custom metric of the selected pods, by name."""
        items = await self._custom(namespace, f"pods/*/{quote(metric['name'])}", metric, selector)
        return {item["describedObject"]["name"]: _sample(item) for item in items}

    async def of_object(self, namespace: str, thing: Object, metric: Object) -> int:
        """A custom metric of one object, in thousandths."""
        kind = await self._kind_of(thing)
        name = quote(metric["name"])
        if kind.group_resource == "namespaces":  # always the autoscaler's own
            path = f"metrics/{name}"
        else:
            path = f"{kind.group_resource}/{quote(thing['name'])}/{name}"
        items = await self._custom(namespace, path, metric, "")
        return quantity.milli_value(items[0]["value"])

    async def external(self, namespace: str, metric: Object) -> int:
        """The sum of an external metric, in thousandths."""
        path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{quote(metric['name'])}"
        chosen = str(labels.from_label_selector(metric.get("selector") or {}))
        items = await self._items("external", path, {"labelSelector": chosen})
        return sum(quantity.milli_value(item["value"]) for item in items)

    async def kind_of(self, reference: Object) -> Discovered:
        """The resource of a `scaleTargetRef`. Raises StatusError."""
        group, _ = group_version.split(reference.get("apiVersion") or "")
        for kind in await self.discovery.kinds():
            if (kind.group, kind.kind) == (group, reference["kind"]):
                return kind
        raise errors.NotFound(f'no matches for kind "{reference["kind"]}" in group "{group}"')

    async def _kind_of(self, reference: Object) -> Discovered:
        try:
            return await self.kind_of(reference)
        except errors.StatusError as error:
            raise NoMetrics(f"unable to fetch metrics from custom metrics API: {error}") from error

    async def _custom(self, namespace: str, path: str, metric: Object, selector: str) -> list[Object]:
        query = {"labelSelector": selector}
        if metric.get("selector"):
            query["metricLabelSelector"] = str(labels.from_label_selector(metric["selector"]))
        version = await self._custom_version()
        return await self._items("custom", f"/apis/{CUSTOM}/{version}/namespaces/{namespace}/{path}", query)

    async def _custom_version(self) -> str:
        """The best version that is both served and known."""
        try:
            group = await self._client.request("GET", f"/apis/{CUSTOM}")
        except errors.StatusError:
            return KNOWN_VERSIONS[0]  # the next request says what is wrong
        served = {one["version"] for one in group.get("versions") or []}
        return next((one for one in KNOWN_VERSIONS if one in served), KNOWN_VERSIONS[0])

    async def _items(self, kind: str, path: str, query: Mapping[str, str]) -> list[Object]:
        try:
            found = await self._client.request("GET", path, query=dict(query))
        except errors.StatusError as error:
            subject = (
                " (get pods.metrics.k8s.io)"
                if isinstance(error, errors.NoSuchPath) and kind == "resource"
                else ""
            )
            raise NoMetrics(f"unable to fetch metrics from {kind} metrics API: {error}{subject}") from error
        items: list[Object] = found.get("items") or []
        if not items:
            raise NoMetrics(f"no metrics returned from {kind} metrics API")
        return items


def _usage(item: Object, resource: str, container: str) -> int | None:
    """What a pod uses; None when not all of its containers say. Raises NoMetrics where one is not there at all."""
    chosen = [one for one in item.get("containers") or [] if not container or one.get("name") == container]
    if container and not chosen:
        where = f"{item['metadata'].get('namespace')}/{name_of(item)}"
        raise NoMetrics(f"container {container} not present in metrics for pod {where}")
    amounts = [one["usage"][resource] for one in chosen if resource in (one.get("usage") or {})]
    if not chosen or len(amounts) != len(chosen):
        return None
    return sum(map(quantity.milli_value, amounts))


def _sample(item: Object) -> Sample:
    seconds = item.get("windowSeconds") or item.get("window")
    window = WINDOW if seconds is None else timedelta(seconds=seconds)
    return Sample(quantity.milli_value(item["value"]), time.parse_time(item["timestamp"]), window)
