from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver.authentication.authenticator import Authenticators, Credentials
from apiserver.authentication.client_certificates import ClientCertificates, user_of
from apiserver.authentication.service_account_tokens import Issuer, Keys, ServiceAccountTokens, key_id
from apiserver.authentication.token_cache import TokenCache
from apiserver.authentication.token_requests import EXTENDED_SECONDS, TokenRequests
from apiserver.authentication.webhook import TokenWebhook
from apiserver.request import ANONYMOUS, User
from kubarium.apimachinery import errors
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock

US = "https://kubernetes.default.svc"
ACCOUNT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "s", "namespace": "n", "uid": "1"},
}
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "n", "uid": "2"},
    "spec": {},
}


def keys(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> Keys:
    return Keys(private, {key_id(private.public_key()): private.public_key()})


@pytest.fixture(scope="module")
def ours() -> Keys:
    return keys(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def verifier(ours: Keys, clock: FakeClock, *objects: dict[str, Any]) -> ServiceAccountTokens:
    return ServiceAccountTokens(ours, [US], [US], FakeAPI(*objects).client(), clock)


def bearer(token: str) -> Credentials:
    return Credentials({"authorization": f"Bearer {token}"})


async def issued(ours: Keys, clock: FakeClock, seconds: int = 600, **spec: object) -> dict[str, object]:
    requests = TokenRequests(Issuer(US, ours, clock, (US,)))
    request = {"spec": {"expirationSeconds": seconds, **spec}}
    answer = await requests.issue(ACCOUNT, request, {"pod": POD})
    status: dict[str, object] = answer["status"]
    return status


async def test_a_token_is_known_until_it_expires(ours: Keys, clock: FakeClock) -> None:
    token = str((await issued(ours, clock))["token"])
    tokens = verifier(ours, clock, ACCOUNT, POD)
    user = await tokens.authenticate(bearer(token))
    assert user is not None and user.name == "system:serviceaccount:n:s" and user.uid == "1"
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    await clock.advance(601)
    with pytest.raises(errors.Unauthorized):
        await tokens.authenticate(bearer(token))


async def test_the_pod_the_account_and_the_audience_must_be_right(ours: Keys, clock: FakeClock) -> None:
    token = str((await issued(ours, clock))["token"])
    for objects in ([ACCOUNT], [POD], [POD, {**ACCOUNT, "metadata": {**ACCOUNT["metadata"], "uid": "9"}}]):
        with pytest.raises(errors.Unauthorized):
            await verifier(ours, clock, *objects).authenticate(bearer(token))
    other = str((await issued(ours, clock, audiences=["vault"]))["token"])
    tokens = verifier(ours, clock, ACCOUNT, POD)
    with pytest.raises(errors.Unauthorized):
        await tokens.authenticate(bearer(other))
    found = await tokens.review(other, ["vault", "x"])
    assert found is not None and found[1] == ["vault"]


async def test_forged_tokens(ours: Keys, clock: FakeClock) -> None:
    theirs = keys(ec.generate_private_key(ec.SECP256R1()))
    forged = str((await issued(theirs, clock))["token"])
    with pytest.raises(errors.Unauthorized):
        await verifier(ours, clock, ACCOUNT, POD).authenticate(bearer(forged))
    assert await verifier(ours, clock).authenticate(bearer("a.b.c")) is None
    assert await verifier(theirs, clock, ACCOUNT, POD).authenticate(bearer(forged)) is not None


async def test_tokens_of_pods_live_on_for_old_clients(ours: Keys, clock: FakeClock) -> None:
    status = await issued(ours, clock, seconds=3607)
    assert status["expirationTimestamp"] == "2026-01-01T01:00:07Z"
    tokens = verifier(ours, clock, ACCOUNT, POD)
    await clock.advance(EXTENDED_SECONDS - 10)
    assert await tokens.authenticate(bearer(str(status["token"]))) is not None


async def test_a_wrong_proof_is_not_anonymous(ours: Keys, clock: FakeClock) -> None:
    chain = Authenticators([TokenCache([verifier(ours, clock)], clock)])
    assert await chain.authenticate(Credentials({})) is ANONYMOUS
    for header in ("Bearer nonsense", "Basic YTpi"):
        with pytest.raises(errors.Unauthorized):
            await chain.authenticate(Credentials({"authorization": header}))
    assert await Authenticators([], anonymous=False).authenticate(Credentials({})) is None


async def test_certificates_expire_on_open_connections(clock: FakeClock) -> None:
    certificate = {
        "subject": ((("organizationName", "a"),), (("organizationName", "b"),), (("commonName", "jane"),)),
        "notAfter": "Jan  1 00:01:00 2026 GMT",
    }
    found = ClientCertificates(clock)
    credentials = Credentials({}, certificate)
    assert await found.authenticate(credentials) == User("jane", groups=("a", "b", "system:authenticated"))
    await clock.advance(61)
    assert await found.authenticate(credentials) is None
    assert user_of({"subject": ((("organizationName", "a"),),)}) is None


async def test_what_a_webhook_says_of_a_token_is_remembered() -> None:
    class Remote:
        asked = 0

        async def request(self, method: str, path: str, *, body: Any) -> Any:
            self.asked += 1
            known = body["spec"]["token"] == "sesame"
            return {"status": {"authenticated": known, "user": {"username": "ali"}}}

    remote, clock = Remote(), FakeClock()
    webhook = TokenWebhook(remote, clock, "/", seconds=60.0)  # type: ignore[arg-type]
    sesame, other = (Credentials({"authorization": f"Bearer {token}"}) for token in ("sesame", "other"))
    for _ in range(2):
        assert await webhook.authenticate(sesame) == User("ali")
        assert await webhook.authenticate(other) is None
    assert remote.asked == 2
    await clock.advance(61.0)
    await webhook.authenticate(sesame)
    assert remote.asked == 3
