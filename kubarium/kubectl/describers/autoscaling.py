"""An autoscaler."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from kubarium.kubectl.describers.page import Page, moment
from kubarium.kubectl.describers.plain import head
from kubarium.kubectl.session import Session


async def autoscaler(session: Session, obj: Object, page: Page) -> None:
    """What it looks at, and what it thinks of it."""
    spec, status = obj["spec"], obj.get("status") or {}
    head(obj, page)
    page.write(0, "CreationTimestamp:", moment(obj["metadata"].get("creationTimestamp")))
    target = spec["scaleTargetRef"]
    page.write(0, "Reference:", f"{target['kind']}/{target['name']}")
    current = status.get("currentMetrics") or []
    metrics = spec.get("metrics") or []
    page.write(0, "Metrics:", "( current / target )")
    for at, metric in enumerate(metrics):
        now = current[at] if at < len(current) else {}
        page.write(1, *_metric(metric, now))
    least = spec.get("minReplicas")
    page.write(0, "Min replicas:", "<unset>" if least is None else str(least))
    page.write(0, "Max replicas:", str(spec["maxReplicas"]))
    counts = f"{status.get('currentReplicas') or 0} current / {status.get('desiredReplicas') or 0} desired"
    page.write(0, f"{target['kind']} pods:", counts)
    if conditions := status.get("conditions"):
        page.write(0, "Conditions:")
        rows = [
            [one["type"], one["status"], one.get("reason") or "", one.get("message") or ""]
            for one in conditions
        ]
        page.table(1, ["Type", "Status", "Reason", "Message"], rows)


def _metric(metric: Object, now: Object) -> tuple[str, str]:
    kind = metric["type"]
    field = kind[0].lower() + kind[1:]
    about, seen = metric.get(field) or {}, (now.get(field) or {}).get("current") or {}
    target = about.get("target") or {}
    average, value = str(target.get("averageValue") or ""), str(target.get("value") or "")
    if kind in ("Resource", "ContainerResource"):
        where = f'container "{about.get("container")}"' if kind == "ContainerResource" else "pods"
        title = f"resource {about['name']} {'of ' if kind == 'ContainerResource' else 'on '}{where}"
        if target.get("averageUtilization") is None:
            return f"{title}:", f"{seen.get('averageValue') or '<unknown>'} / {average}"
        percent = seen.get("averageUtilization")
        shown = "<unknown>" if percent is None else f"{percent}% ({seen.get('averageValue')})"
        return f"{title}  (as a percentage of request):", f"{shown} / {target['averageUtilization']}%"
    name = (about.get("metric") or {}).get("name") or ""
    if kind == "Pods":
        return f'"{name}" on pods:', f"{seen.get('averageValue') or '<unknown>'} / {average}"
    if kind == "Object":
        thing = about.get("describedObject") or {}
        title = f'"{name}" on {thing.get("kind")}/{thing.get("name")}'
    else:
        title = f'"{name}"'
    is_average = bool(average)
    told = seen.get("averageValue" if is_average else "value") or "<unknown>"
    extra = " (target average value):" if is_average else " (target value):"
    return title + extra, f"{told} / {average if is_average else value}"
