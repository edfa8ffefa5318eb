"""Services and what stands behind and before them."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, namespace_of
from kubarium.kubectl.describers.page import Page, map_text, selector_text
from kubarium.kubectl.describers.plain import head
from kubarium.kubectl.session import Session

MANY = 3  # endpoints that are named; of the rest only the number


async def service(session: Session, obj: Object, page: Page) -> None:
    """A service, its ports and the addresses behind each."""
    spec = obj["spec"]
    head(obj, page)
    page.write(0, "Selector:", map_text(spec.get("selector")))
    page.write(0, "Type:", spec.get("type") or "")
    if spec.get("ipFamilyPolicy"):
        page.write(0, "IP Family Policy:", spec["ipFamilyPolicy"])
    if spec.get("ipFamilies"):
        page.write(0, "IP Families:", ",".join(spec["ipFamilies"]))
    page.write(0, "IP:", spec.get("clusterIP") or "")
    page.write(0, "IPs:", ",".join(spec.get("clusterIPs") or []) or "<none>")
    for title, field in (("External IPs", "externalIPs"), ("External Name", "externalName")):
        if spec.get(field):
            page.write(0, f"{title}:", spec[field] if isinstance(spec[field], str) else ",".join(spec[field]))
    if ingress := ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        texts = [_ingress_point(one) for one in ingress]
        page.write(0, "LoadBalancer Ingress:", ", ".join(texts))
    slices = await _slices_of(session, obj)
    for port in spec.get("ports") or []:
        _port(spec, port, slices, page)
    page.write(0, "Session Affinity:", spec.get("sessionAffinity") or "")
    for title, field in (
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("Traffic Distribution", "trafficDistribution"),
    ):
        if spec.get(field):
            page.write(0, f"{title}:", spec[field])
    if spec.get("healthCheckNodePort"):
        page.write(0, "HealthCheck NodePort:", str(spec["healthCheckNodePort"]))
    if spec.get("loadBalancerSourceRanges"):
        page.write(0, "LoadBalancer Source Ranges:", ",".join(spec["loadBalancerSourceRanges"]))


def _ingress_point(one: Object) -> str:
    mode = f" ({one['ipMode']})" if one.get("ipMode") else ""
    return (one.get("ip") or one.get("hostname") or "") + mode


async def _slices_of(session: Session, obj: Object) -> list[Object]:
    found = await session.client.resource("discovery.k8s.io/v1", "endpointslices").list(
        namespace_of(obj), label_selector=f"kubernetes.io/service-name={obj['metadata']['name']}"
    )
    items: list[Object] = found["items"]
    return items


def _port(spec: Object, port: Object, slices: Sequence[Object], page: Page) -> None:
    name, protocol = port.get("name") or "<unset>", port.get("protocol") or "TCP"
    page.write(0, "Port:", name, f"{port['port']}/{protocol}")
    page.write(0, "TargetPort:", f"{port.get('targetPort', port['port'])}/{protocol}")
    if port.get("nodePort"):
        page.write(0, "NodePort:", name, f"{port['nodePort']}/{protocol}")
    page.write(0, "Endpoints:", _endpoints(slices, port.get("name") or ""))


def _endpoints(slices: Sequence[Object], name: str) -> str:
    texts = [
        f"[{address}]:{port['port']}" if ":" in address else f"{address}:{port['port']}"
        for one in slices
        for port in one.get("ports") or []
        if (port.get("name") or "") == name and port.get("port")
        for endpoint in one.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready") is not False
        for address in endpoint.get("addresses") or []
    ]
    more = f" + {len(texts) - MANY} more..." if len(texts) > MANY else ""
    return ",".join(texts[:MANY]) + more


async def endpoints(session: Session, obj: Object, page: Page) -> None:
    """Addresses in the older form."""
    head(obj, page)
    page.write(0, "Subsets:")
    for at, subset in enumerate(obj.get("subsets") or []):
        if at:
            page.write(0, "")
        for title, field in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            page.write(1, f"{title}:", ",".join(one["ip"] for one in subset.get(field) or []) or "<none>")
        if ports := subset.get("ports"):
            page.write(1, "Ports:")
            page.table(2, ["Name", "Port", "Protocol"], _port_rows(ports))
    page.write(0, "")


def _port_rows(ports: Sequence[Object]) -> list[list[str]]:
    return [
        [one.get("name") or "<unset>", str(one.get("port")), one.get("protocol") or "TCP"] for one in ports
    ]


async def endpoint_slice(session: Session, obj: Object, page: Page) -> None:
    """Addresses in the newer form."""
    head(obj, page)
    page.write(0, "AddressType:", obj.get("addressType") or "")
    ports = obj.get("ports") or []
    page.write(0, "Ports:", *([] if ports else ["<unset>"]))
    if ports:
        page.table(1, ["Name", "Port", "Protocol"], _port_rows(ports))
    listed = obj.get("endpoints") or []
    page.write(0, "Endpoints:", *([] if listed else ["<none>"]))
    for one in listed:
        page.write(1, "- Addresses:", ", ".join(one.get("addresses") or []))
        page.write(2, "Conditions:")
        ready = (one.get("conditions") or {}).get("ready")
        page.write(3, "Ready:", "<unset>" if ready is None else str(ready).lower())
        page.write(2, "Hostname:", one.get("hostname") or "<unset>")
        if target := one.get("targetRef"):
            page.write(2, "TargetRef:", f"{target['kind']}/{target['name']}")
        page.write(2, "NodeName:", one.get("nodeName") or "<unset>")
        page.write(2, "Zone:", one.get("zone") or "<unset>")


async def ingress(session: Session, obj: Object, page: Page) -> None:
    """Hosts, paths and the services that they lead to."""
    metadata, spec = obj["metadata"], obj["spec"]
    page.write(0, "Name:", metadata["name"])
    page.pairs(0, "Labels", metadata.get("labels"))
    page.write(0, "Namespace:", metadata["namespace"])
    points = ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    page.write(0, "Address:", ",".join(one.get("ip") or one.get("hostname") or "" for one in points))
    page.write(0, "Ingress Class:", spec.get("ingressClassName") or "<none>")
    default = spec.get("defaultBackend")
    page.write(0, "Default backend:", await _backend(session, obj, default) if default else "<default>")
    if spec.get("tls"):
        page.write(0, "TLS:")
        for one in spec["tls"]:
            hosts = ",".join(one.get("hosts") or [])
            secret = one.get("secretName") or ""
            page.write(1, f"{secret} terminates {hosts}" if secret else f"SNI routes {hosts}")
    page.write(0, "Rules:")
    page.write(1, "Host", "Path", "Backends")
    page.write(1, "----", "----", "--------")
    for rule in spec.get("rules") or []:
        page.write(1, rule.get("host") or "*", "")
        for path in (rule.get("http") or {}).get("paths") or []:
            where = await _backend(session, obj, path["backend"])
            page.write(2, "", f"{path.get('path') or ''} ", where)
    if not spec.get("rules"):
        where = await _backend(session, obj, default) if default else "<default>"
        page.write(1, "*", "*", where)
    page.annotations(0, metadata.get("annotations"))


async def _backend(session: Session, obj: Object, backend: Object) -> str:
    if resource := backend.get("resource"):
        return f"APIGroup: {resource.get('apiGroup') or '<none>'}, Kind: {resource['kind']}, Name: {resource['name']}"
    named = backend["service"]
    port = named.get("port") or {}
    text = f"{named['name']}:{port.get('name') or port.get('number')}"
    try:
        found = await session.client.resource("v1", "services").get(named["name"], namespace_of(obj))
    except errors.StatusError as error:
        return f"{text} (<error: {error}>)"
    names = [
        one.get("name") or ""
        for one in found["spec"].get("ports") or []
        if port.get("number") == one["port"] or (port.get("name") and port["name"] == one.get("name"))
    ]
    behind = _endpoints(await _slices_of(session, found), names[0]) if names else ""
    return f"{text} ({behind})"


async def ingress_class(session: Session, obj: Object, page: Page) -> None:
    """Who serves it."""
    head(obj, page)
    page.write(0, "Controller:", obj["spec"].get("controller") or "")
    if parameters := obj["spec"].get("parameters"):
        page.write(0, "Parameters:")
        for title, field in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name")):
            if parameters.get(field):
                page.write(1, f"{title}:", parameters[field])


async def network_policy(session: Session, obj: Object, page: Page) -> None:
    """Who may talk to whom."""
    metadata, spec = obj["metadata"], obj["spec"]
    page.write(0, "Name:", metadata["name"])
    page.write(0, "Namespace:", metadata["namespace"])
    created = metadata.get("creationTimestamp") or ""
    page.write(0, "Created on:", created.replace("T", " ").replace("Z", " +0000 UTC"))
    page.pairs(0, "Labels", metadata.get("labels"))
    page.annotations(0, metadata.get("annotations"))
    page.write(0, "Spec:")
    selected = selector_text(spec.get("podSelector"), "")
    all_pods = "<none> (Allowing the specific traffic to all pods in this namespace)"
    page.write(0, f"  PodSelector:     {selected or all_pods}")
    types = spec.get("policyTypes") or []
    for kind, way, ends in (("Ingress", "ingress", "From"), ("Egress", "egress", "To")):
        if kind in types:
            page.write(0, f"  Allowing {way} traffic:")
            _policy_rules(spec.get(way) or [], ends, page)
        else:
            page.write(0, f"  Not affecting {way} traffic")
    page.write(0, f"  Policy Types: {', '.join(types)}")


def _policy_rules(rules: Sequence[Object], ends: str, page: Page) -> None:
    way, end = ("ingress", "source") if ends == "From" else ("egress", "destination")
    if not rules:
        page.write(0, f"    <none> (Selected pods are isolated for {way} connectivity)")
    for at, rule in enumerate(rules):
        if at:
            page.write(0, "    ----------")
        for port in rule.get("ports") or []:
            protocol = port.get("protocol") or "TCP"
            if port.get("endPort"):
                page.write(0, f"    To Port Range: {port['port']}-{port['endPort']}/{protocol}")
            else:
                page.write(0, f"    To Port: {port.get('port', '<any>')}/{protocol}")
        if not rule.get("ports"):
            page.write(0, "    To Port: <any> (traffic allowed to all ports)")
        peers = rule.get(ends.lower()) or []
        if not peers:
            page.write(0, f"    {ends}: <any> (traffic not restricted by {end})")
        for peer in peers:
            page.write(0, f"    {ends}:")
            _peer(peer, page)


def _peer(peer: Object, page: Page) -> None:
    if block := peer.get("ipBlock"):
        page.write(0, "      IPBlock:")
        page.write(0, f"        CIDR: {block['cidr']}")
        page.write(0, f"        Except: {', '.join(block.get('except') or [])}")
        return
    for title, field in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")):
        if field in peer:
            page.write(0, f"      {title}: {selector_text(peer[field])}")
