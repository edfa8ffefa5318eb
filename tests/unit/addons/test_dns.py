"""Which names exist and what they lead to: the cases of the Kubernetes DNS specification."""

from addons.dns.answer import resolve
from addons.dns.zone import Zone


def make_service(name: str, **spec: object) -> dict:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"type": "ClusterIP", **spec}}


def make_slice(service: str, *hosts: tuple[str, str], ready: bool = True) -> dict:
    endpoints = [{"addresses": [ip], "hostname": host, "conditions": {"ready": ready}} for ip, host in hosts]
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {"name": f"{service}-1", "namespace": "default", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    }


def make_zone() -> Zone:
    zone = Zone("cluster.local")
    zone.put_namespace({"metadata": {"name": "default"}})
    zone.put_service(make_service("web", clusterIP="10.96.0.20", ports=[{"name": "http", "port": 80}]))
    zone.put_service(make_service("db", clusterIP="None", ports=[{"name": "http", "port": 8080}]))
    zone.put_slice(make_slice("db", ("10.244.1.7", "db-0"), ("10.244.2.8", "db-1")))
    zone.put_service(make_service("out", type="ExternalName", externalName="example.com"))
    return zone


def rows(zone: Zone, name: str, kind: str = "A") -> list[str]:
    return sorted(str(record.rdata) for record in resolve(zone, name, kind).records)


def test_a_service_has_the_address_it_was_given() -> None:
    assert rows(make_zone(), "web.default.svc.cluster.local") == ["10.96.0.20"]


def test_a_headless_service_leads_to_its_pods() -> None:
    zone = make_zone()
    assert rows(zone, "db.default.svc.cluster.local") == ["10.244.1.7", "10.244.2.8"]
    assert rows(zone, "db-1.db.default.svc.cluster.local") == ["10.244.2.8"]


def test_an_endpoint_that_is_not_ready_has_no_name() -> None:
    zone = make_zone()
    zone.put_slice(make_slice("db", ("10.244.1.7", "db-0"), ready=False))
    assert not resolve(zone, "db-0.db.default.svc.cluster.local", "A").exists


def test_ports_have_srv_records() -> None:
    zone = make_zone()
    assert rows(zone, "_http._tcp.web.default.svc.cluster.local", "SRV") == [
        "0 100 80 web.default.svc.cluster.local."
    ]
    assert rows(zone, "_http._tcp.db.default.svc.cluster.local", "SRV") == [
        "0 50 8080 db-0.db.default.svc.cluster.local.",
        "0 50 8080 db-1.db.default.svc.cluster.local.",
    ]


def test_an_external_name_is_an_alias() -> None:
    answer = resolve(make_zone(), "out.default.svc.cluster.local", "A")
    assert [str(record.rdata) for record in answer.records] == ["example.com."]
    assert answer.chase == "example.com"


def test_a_pod_has_a_name_made_of_its_address() -> None:
    assert rows(make_zone(), "10-244-1-7.default.pod.cluster.local") == ["10.244.1.7"]


def test_addresses_lead_back_to_names() -> None:
    zone = make_zone()
    assert rows(zone, "20.0.96.10.in-addr.arpa", "PTR") == ["web.default.svc.cluster.local."]
    assert rows(zone, "7.1.244.10.in-addr.arpa", "PTR") == ["db-0.db.default.svc.cluster.local."]


def test_a_name_without_such_a_record_exists_nevertheless() -> None:
    answer = resolve(make_zone(), "web.default.svc.cluster.local", "AAAA")
    assert answer.exists and not answer.records


def test_unknown_names_do_not_exist() -> None:
    zone = make_zone()
    for name in ("no.default.svc", "x.web.default.svc", "web.other.svc", "a.b.c.d.svc", "nonsense"):
        assert not resolve(zone, f"{name}.cluster.local", "A").exists
    assert resolve(zone, "default.svc.cluster.local", "A").exists
