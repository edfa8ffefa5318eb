from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from kubelet.images.keyring import Login, Source
from kubelet.images.records import PullRecords
from kubelet.runtime.interface import Credentials

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IMAGE, REF = "r.io/a:1", "sha256:abc"


def login(password: str = "p", name: str = "s") -> Login:
    return Login(Credentials("me", password), Source(secret=("u", "default", name)))


@pytest.fixture
def records(tmp_path: Path) -> PullRecords:
    return PullRecords(tmp_path, "NeverVerifyPreloadedImages")


def test_whoever_could_pull_it_may_use_it(records: PullRecords) -> None:
    assert records.is_open(IMAGE, REF), "it was there before"
    records.intend(IMAGE)
    assert not records.is_open(IMAGE, REF), "a kubelet that died while it pulled"
    records.pulled(IMAGE, REF, login(), NOW)
    assert not records.is_open(IMAGE, REF)
    assert records.is_open_to(IMAGE, REF, [login()])
    assert records.is_open_to(IMAGE, REF, [login(name="copy")]), "the same login elsewhere"
    assert not records.is_open_to(IMAGE, REF, [login("other")])
    assert not records.is_open_to("r.io/b:1", REF, [login()]), "it came under another name"
    records.pulled(IMAGE, REF, None, NOW)
    assert records.is_open(IMAGE, REF), "nobody needed to log in"


def test_an_account_is_known_by_itself(records: PullRecords) -> None:
    account = Login(Credentials("t", "1"), Source(account=("u", "default", "sa")))
    records.pulled(IMAGE, REF, account, NOW)
    newer = Login(Credentials("t", "2"), account.source)
    assert records.is_open_to(IMAGE, REF, [newer]) and not records.is_open_to(IMAGE, REF, [login()])


def test_a_changed_secret_replaces_what_was_known(records: PullRecords, tmp_path: Path) -> None:
    records.pulled(IMAGE, REF, login("old"), NOW)
    records.pulled(IMAGE, REF, login("new"), NOW)
    assert not records.is_open_to(IMAGE, REF, [login("old")])
    (file,) = (tmp_path / "pulled").iterdir()
    record = orjson.loads(file.read_bytes())
    assert (record["kind"], record["imageRef"]) == ("ImagePulledRecord", REF)
    assert set(record["credentialMapping"]) == {"r.io/a"}
    assert PullRecords(tmp_path, "NeverVerifyPreloadedImages").is_open_to(IMAGE, REF, [login("new")])
    records.forget(REF)
    assert records.is_open(IMAGE, REF)


@pytest.mark.parametrize(
    ("policy", "preloaded", "pulled"),
    [
        ("NeverVerify", True, True),
        ("NeverVerifyPreloadedImages", True, False),
        ("NeverVerifyAllowlistedImages", False, False),
        ("AlwaysVerify", False, False),
    ],
)
def test_policies(tmp_path: Path, policy: str, preloaded: bool, pulled: bool) -> None:
    records = PullRecords(tmp_path, policy, ["r.io/allowed/*", "r.io/one"])
    assert records.is_open(IMAGE, REF) is preloaded
    assert records.is_open("r.io/allowed/x:1", REF) is (policy != "AlwaysVerify")
    assert records.is_open("r.io/one:3", REF) is (policy != "AlwaysVerify")
    records.pulled(IMAGE, REF, login(), NOW)
    assert records.is_open(IMAGE, REF) is pulled
