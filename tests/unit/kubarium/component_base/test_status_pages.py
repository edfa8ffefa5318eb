"""`/statusz` and `/flagz` in every form that upstream's answer in."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
import pytest
import yaml

from kubarium.component_base.clock import FakeClock
from kubarium.component_base.options import Duration, flag
from kubarium.component_base.serving import Scope
from kubarium.component_base.status_pages import StatusPages, negotiate
from kubarium.component_base.version import VERSION, version_document


@dataclass(frozen=True)
class Flags:
    """One of each sort."""

    alpha: str = flag("a", "")
    names: tuple[str, ...] = flag(("a", "b"), "")
    pairs: dict[str, str] = flag({"k": "v"}, "")
    gates: dict[str, bool] = flag({"A": True}, "", name="feature-gates")
    how_long: Duration = flag(Duration(90.0), "")
    deep: bool = flag(True, "")


FLAGS = {
    "alpha": "a",
    "deep": "true",
    "feature-gates": "A=true",
    "how-long": "1m30s",
    "names": "[a,b]",
    "pairs": "[k=v]",
}
AS = "as={};g=config.k8s.io;v={}"


def asking(accept: str) -> Scope:
    return {"headers": [(b"accept", accept.encode())] if accept else []}


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        ("", ("text/plain", "")),
        ("*/*", ("text/plain", "")),
        ("text/*", ("text/plain", "")),
        ("application/json", ("", "")),
        ("application/yaml", ("", "")),
        ("text/html", ("", "")),
        ("application/json, text/plain;q=0.5", ("text/plain", "")),
        ("application/json;" + AS.format("Flagz", "v1beta1"), ("application/json", "v1beta1")),
        ("application/yaml;" + AS.format("Flagz", "v1alpha1"), ("application/yaml", "v1alpha1")),
        ("*/*;" + AS.format("Flagz", "v1beta1"), ("application/json", "v1beta1")),
        ("application/json;" + AS.format("Flagz", "v1"), ("", "")),
        ("application/json;" + AS.format("Statusz", "v1beta1"), ("", "")),
        ("text/plain;" + AS.format("Flagz", "v1beta1"), ("", "")),
        ("text/plain;q=0.1,application/json;" + AS.format("Flagz", "v1beta1"), ("application/json", "v1beta1")),
    ],
)  # fmt: skip
def test_who_wants_an_object_says_which(accept: str, found: tuple[str, str]) -> None:
    assert negotiate(accept, "Flagz") == found


async def test_flags_are_told_as_pflag_writes_them() -> None:
    page = StatusPages("kube-x", Flags(), FakeClock(), list).pages()["/flagz"]
    _, _, text = await page(asking(""))
    title, warning, *lines = text.decode().strip().split("\n")
    assert title == "kube-x flagz" and warning.startswith("Warning: ")
    assert lines == [f"{name}={value}" for name, value in FLAGS.items()]
    code, media_type, body = await page(asking("application/json;" + AS.format("Flagz", "v1beta1")))
    assert (code, media_type) == (200, "application/json;g=config.k8s.io;v=v1beta1;as=Flagz")
    head = {"kind": "Flagz", "apiVersion": "config.k8s.io/v1beta1", "metadata": {"name": "kube-x"}}
    assert orjson.loads(body) == {**head, "flags": FLAGS}
    code, _, body = await page(asking("application/json"))
    assert (code, orjson.loads(body)["message"]) == (
        406,
        "only the following media types are accepted: application/json, application/yaml, text/plain",
    )


async def test_a_program_tells_how_long_it_runs() -> None:
    clock = FakeClock()
    paths = ["/livez", "/livez/ping", "/metrics", "/apis/apps", "/openapi/v3", "/"]
    page = StatusPages("kube-x", Flags(), clock, lambda: paths).pages()["/statusz"]
    await clock.advance(3661.0)
    _, _, text = await page(asking("text/plain"))
    lines = text.decode().split("\n")
    assert lines[1] == "kube-x statusz" and lines[3] == ""
    assert lines[5:] == [
        "Up: 1 hr 01 min 01 sec",
        f"Go version: {version_document()['goVersion']}",
        f"Binary version: {VERSION[1:]}",
        "Emulation version: 1.36",
        "Paths: /livez /metrics",
        "",
    ]
    _, media_type, body = await page(asking("application/yaml;" + AS.format("Statusz", "v1alpha1")))
    found = yaml.safe_load(body)
    assert media_type == "application/yaml;g=config.k8s.io;v=v1alpha1;as=Statusz"
    assert found["uptimeSeconds"] == 3661 and found["paths"] == ["/livez", "/metrics"]
