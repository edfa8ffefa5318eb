"""What controllers share: expectations, slow start, the table, credentials."""

from __future__ import annotations

import pytest

from controller_manager import catalog
from controller_manager.credentials import AccountClient
from controller_manager.expectations import TIMEOUT, Expectations
from controller_manager.options import Options
from controller_manager.pod_control import slow_start
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, ObjectKey
from kubarium.client.fake import Action, FakeAPI
from kubarium.client.informer import Informers
from kubarium.client.loopback import LoopbackTransport
from kubarium.component_base.clock import FakeClock

KEY = ObjectKey("default", "web")


async def test_expectations_are_met_when_everything_has_shown_up(clock: FakeClock) -> None:
    expectations = Expectations(clock)
    assert expectations.met(KEY)
    expectations.expect(KEY, creations=1, deletions=["a"])
    assert not expectations.met(KEY)
    expectations.creation_observed(KEY)
    assert not expectations.met(KEY)
    expectations.deletion_observed(KEY, "other")
    assert not expectations.met(KEY)
    expectations.deletion_observed(KEY, "a")
    assert expectations.met(KEY)


async def test_expectations_are_a_delay_and_not_a_lock(clock: FakeClock) -> None:
    expectations = Expectations(clock)
    expectations.expect(KEY, creations=1)
    await clock.advance(TIMEOUT + 1)
    assert expectations.met(KEY)


async def test_slow_start_stops_after_the_first_failing_batch() -> None:
    tried: list[int] = []

    async def work(number: int) -> None:
        tried.append(number)
        if number >= 3:
            raise ValueError("no")

    done, failure = await slow_start(100, work)
    assert tried == list(range(7))  # batches of 1, 2 and 4
    assert done == 3
    assert isinstance(failure, ValueError)


def test_controllers_are_chosen_by_name_or_short_name() -> None:
    everything = {row.name for row in catalog.chosen(["*"])}
    assert "deployment-controller" in everything
    off = {"bootstrap-signer-controller", "token-cleaner-controller", "selinux-warning-controller"}
    assert {row.name for row in catalog.CONTROLLERS} - everything == off
    assert {row.name for row in catalog.chosen(["*", "bootstrapsigner", "-cronjob"])} == (
        everything | {"bootstrap-signer-controller"}
    ) - {"cronjob-controller"}
    assert [row.name for row in catalog.chosen(["namespace"])] == ["namespace-controller"]
    for name in ("service-lb-controller", "selinux-warning-controller"):
        assert catalog.chosen([name, f"-{name}"]) == []  # known, though not ours
    with pytest.raises(catalog.UnknownController, match='"nonsense" is not in the list of known controllers'):
        catalog.chosen(["*", "-nonsense"])


def test_every_row_builds_a_controller_with_the_options_that_there_are(clock: FakeClock) -> None:
    api = FakeAPI(clock=clock)
    options = Options(allocate_node_cidrs=True, cluster_cidr="10.244.0.0/16")
    client = api.client()
    context = catalog.Context(options, Informers(client, clock), clock, lambda account: client)
    context.client = client
    missing = {row.name for row in catalog.CONTROLLERS if row.build(context) is None}
    assert missing == {  # these need files that the flags do not name
        "serviceaccount-token-controller",
        "certificatesigningrequest-signing-controller",
        "root-ca-certificate-publisher-controller",
    }


async def test_a_controller_acts_as_its_account(clock: FakeClock) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "job-controller", "namespace": "kube-system"},
    }
    api = FakeAPI(account, clock=clock)
    client = AccountClient(api.client(), LoopbackTransport(api), "job-controller", clock)
    await client.resource("v1", "pods").list()
    assert client.headers()["Authorization"] == "Bearer token-of-job-controller"


async def test_a_token_that_is_not_believed_any_more_is_asked_for_anew(clock: FakeClock) -> None:
    metadata = {"name": "job-controller", "namespace": "kube-system"}
    api = FakeAPI({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, clock=clock)
    client = AccountClient(api.client(), LoopbackTransport(api), "job-controller", clock)
    tokens = Action("create", "serviceaccounts", "kube-system", "job-controller", "token")
    disbelief = [errors.Unauthorized("Unauthorized")]

    def refuse_once(action: Action, obj: Object | None) -> errors.StatusError | None:
        return disbelief.pop() if action.resource == "configmaps" and disbelief else None

    api.refuse = refuse_once
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    await client.resource("v1", "configmaps").create(config_map, "default")
    assert api.actions.count(tokens) == 2


def test_each_signer_may_have_an_authority_of_its_own() -> None:
    assert Options().signing_files() == {}
    for_all = Options(cluster_signing_cert_file="ca.crt", cluster_signing_key_file="ca.key")
    assert (
        set(for_all.signing_files().values()) == {("ca.crt", "ca.key")} and len(for_all.signing_files()) == 4
    )
    own = {
        "cluster_signing_legacy_unknown_cert_file": "old.crt",
        "cluster_signing_legacy_unknown_key_file": "old.key",
    }
    assert Options(**own).signing_files() == {"kubernetes.io/legacy-unknown": ("old.crt", "old.key")}
    with pytest.raises(ValueError, match="cannot specify default and per controller certs at the same time"):
        Options(cluster_signing_cert_file="ca.crt", cluster_signing_key_file="ca.key", **own).signing_files()
