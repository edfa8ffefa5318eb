from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import orjson

from kubarium.apimachinery.object import Object
from kubelet.images import keyring


def secret(key: str, document: Any) -> Object:
    data = {key: base64.b64encode(orjson.dumps(document)).decode()}
    return {"metadata": {"uid": "u", "namespace": "default", "name": "s"}, "data": data}


AUTH = base64.b64encode(b"me:secret:with:colons").decode()


def test_both_forms_of_secrets() -> None:
    new = secret(".dockerconfigjson", {"auths": {"localhost:5000": {"auth": AUTH}}})
    old = secret(".dockercfg", {"r.io": {"username": "old", "password": "p"}})
    found = keyring.from_secrets("localhost:5000/a:1", [new, old])
    assert [(one.credentials.username, one.credentials.password) for one in found] == [
        ("me", "secret:with:colons")
    ]
    assert found[0].source.secret == ("u", "default", "s")
    assert [one.credentials.username for one in keyring.from_secrets("r.io/a", [new, old])] == ["old"]
    assert keyring.from_secrets("other.io/a", [new, old]) == []


def test_the_most_exact_pattern_comes_first() -> None:
    auths = {
        "r.io": {"username": "all", "password": "p"},
        "r.io/team": {"username": "team", "password": "p"},
    }
    found = keyring.from_secrets("r.io/team/a", [secret(".dockerconfigjson", {"auths": auths})])
    assert [one.credentials.username for one in found] == ["team", "all"]


def test_what_is_broken_is_left_out() -> None:
    broken = {"metadata": {"name": "s"}, "data": {".dockerconfigjson": base64.b64encode(b"{").decode()}}
    assert keyring.from_secrets("r.io/a", [broken, {"metadata": {"name": "e"}}]) == []


def test_the_node_has_logins_of_its_own(tmp_path: Path) -> None:
    assert keyring.from_node("r.io/a", tmp_path) == []
    (tmp_path / "config.json").write_bytes(orjson.dumps({"auths": {"r.io": {"auth": AUTH}}}))
    (found,) = keyring.from_node("r.io/a", tmp_path)
    assert found.credentials.username == "me" and found.source.secret is None
