"""A signer behind a real socket, asked by the same parts that ask for keys in files."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apiserver.authentication import token_assembly
from apiserver.authentication.authenticator import Credentials
from apiserver.authentication.external_signer import MESSAGES, SERVICE, ExternalSigner
from apiserver.authentication.token_assembly import ServiceAccountTokenParts
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.apimachinery import errors
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from tests import plugin_server

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


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Signer:
    """Signs with the newest of its keys."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self.hidden: set[str] = set()
        self.header: dict[str, Any] = {"alg": "ES256", "typ": "JWT"}
        self.longest = 7200
        self.fetched = 0
        self._server: Any = None
        self.turn("first")

    def turn(self, kid: str) -> None:
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())

    async def start(self) -> None:
        async def sign(request: Any, context: Any) -> Any:
            kid = [*self.keys][-1]
            header = encoded(json.dumps({"kid": kid, **self.header}).encode())
            signature = jwt.get_algorithm_by_name("ES256").sign(
                f"{header}.{request.claims}".encode(), self.keys[kid]
            )
            return MESSAGES["SignJWTResponse"](header=header, signature=encoded(signature))

        async def fetch(request: Any, context: Any) -> Any:
            self.fetched += 1
            form, place = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.DER
            keys = [
                MESSAGES["Key"](
                    key_id=kid,
                    key=key.public_key().public_bytes(place, form),
                    exclude_from_oidc_discovery=kid in self.hidden,
                )
                for kid, key in self.keys.items()
            ]
            return MESSAGES["FetchKeysResponse"](
                keys=keys, data_timestamp=MESSAGES["Timestamp"](seconds=1), refresh_hint_seconds=300
            )

        async def metadata(request: Any, context: Any) -> Any:
            return MESSAGES["MetadataResponse"](max_token_expiration_seconds=self.longest)

        self._server = await plugin_server.listen(
            self.socket,
            SERVICE,
            MESSAGES,
            {
                "Sign": (sign, "SignJWTRequest"),
                "FetchKeys": (fetch, "FetchKeysRequest"),
                "Metadata": (metadata, "MetadataRequest"),
            },
        )

    async def stop(self) -> None:
        await self._server.stop(None)


@pytest.fixture
async def signer(tmp_path: Path) -> AsyncIterator[Signer]:
    found = Signer(tmp_path / "signer.sock")
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def ours(signer: Signer, clock: FakeClock) -> AsyncIterator[ExternalSigner]:
    found = await token_assembly.signer(options(signer), clock)
    assert found is not None
    yield found
    await found.close()


def options(signer: Signer, **more: Any) -> Options:
    return Options(service_account_signing_endpoint=str(signer.socket), **more)


def parts(signer: Signer, ours: ExternalSigner, clock: FakeClock) -> ServiceAccountTokenParts:
    client = FakeAPI(ACCOUNT, POD).client()
    return token_assembly.assemble(options(signer), ours, client, clock, "https://here")


async def token(found: ServiceAccountTokenParts, seconds: int) -> dict[str, Any]:
    assert found.requests is not None
    request = {"spec": {"expirationSeconds": seconds}}
    answer = await found.requests.issue(ACCOUNT, request, {"pod": POD})
    status: dict[str, Any] = {**answer["status"], "seconds": answer["spec"]["expirationSeconds"]}
    return status


async def who(found: ServiceAccountTokenParts, text: str) -> str | None:
    assert found.known is not None
    user = await found.known.authenticate(Credentials({"authorization": f"Bearer {text}"}))
    return user.name if user is not None else None


async def test_a_token_that_somebody_else_signs_is_known(
    signer: Signer, ours: ExternalSigner, clock: FakeClock
) -> None:
    found = parts(signer, ours, clock)
    given = await token(found, 9000)
    assert given["seconds"] == 7200  # no longer than the signer can
    claims = jwt.decode(given["token"], options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 7200 and claims["kubernetes.io"]["pod"]["name"] == "p"
    assert await who(found, given["token"]) == "system:serviceaccount:n:s"
    extended = jwt.decode((await token(found, 3607))["token"], options={"verify_signature": False})
    assert extended["exp"] - extended["iat"] == 7200  # and not a year
    head, payload, _ = given["token"].split(".")
    with pytest.raises(errors.Unauthorized):
        await who(found, f"{head}.{payload}.{encoded(bytes(range(64)))}")


async def test_keys_are_fetched_when_one_is_unknown_and_published_unless_hidden(
    signer: Signer, ours: ExternalSigner, clock: FakeClock
) -> None:
    found = parts(signer, ours, clock)
    assert found.documents is not None

    def published() -> tuple[int, list[str]]:
        assert found.documents is not None
        _, seconds, content = found.documents["/openid/v1/jwks"].answer()
        return seconds, [key["kid"] for key in content["keys"]]

    old = (await token(found, 600))["token"]
    assert published() == (300, ["first"])
    await clock.advance(100)
    assert published() == (200, ["first"])
    signer.turn("second")
    signer.hidden.add("first")
    new = (await token(found, 600))["token"]
    assert jwt.get_unverified_header(new) == {"alg": "ES256", "kid": "second", "typ": "JWT"}
    assert [await who(found, text) for text in (old, new)] == ["system:serviceaccount:n:s"] * 2
    assert published() == (300, ["second"]) and signer.fetched == 2
    signer.hidden.add("second")
    await ours.begin(0)
    with pytest.raises(errors.InternalError, match=r"\(kid: second\) is excluded from OIDC discovery docs$"):
        await token(found, 600)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"typ": "JWS"}, "bad type"),
        ({"kid": ""}, "key id missing"),
        ({"kid": "x" * 1025}, "key id longer than 1 kb"),
        ({"alg": "HS256"}, 'bad signing algorithm "HS256"'),
        ({"jku": "https://elsewhere"}, "while parsing header JSON"),
    ],
)
async def test_headers_are_not_believed_blindly(
    signer: Signer, ours: ExternalSigner, clock: FakeClock, header: dict[str, str], problem: str
) -> None:
    signer.header |= header
    text = f"Internal error occurred: failed to generate token: while validating header: {problem}"
    with pytest.raises(errors.InternalError, match=f"^{text}"):
        await token(parts(signer, ours, clock), 600)


async def test_a_signer_that_is_away(signer: Signer, ours: ExternalSigner, clock: FakeClock) -> None:
    found = parts(signer, ours, clock)
    given = await token(found, 600)
    await signer.stop()
    assert await who(found, given["token"]) == "system:serviceaccount:n:s"
    text = "failed to generate token: while signing jwt: rpc error: code = Unavailable"
    with pytest.raises(errors.InternalError, match=text):
        await token(found, 600)


async def test_what_does_not_go_together(signer: Signer, clock: FakeClock) -> None:
    async def refused(**more: Any) -> str:
        with pytest.raises(ConfigurationError) as failed:
            await token_assembly.signer(options(signer, **more), clock)
        return str(failed.value)

    assert "mutually exclusive" in await refused(service_account_signing_key_file="/x")
    assert "mutually exclusive" in await refused(service_account_key_file=("/x",))
    long = "service-account-max-token-expiration cannot be set longer than the token expiration supported by"
    assert await refused(service_account_max_token_expiration=10800.0) == (
        f"{long} service-account-signing-endpoint: 3h0m0s > 2h0m0s"
    )
    signer.longest = 300
    text = "max token life supported by external-jwt-signer (300s) is less than acceptable (min 600s)"
    assert await refused() == text
    signer.keys.clear()
    assert (await refused()).endswith("while fetching token verification keys: found no keys")
    with pytest.raises(ConfigurationError, match=r'^invalid value "here" passed'):
        await token_assembly.signer(Options(service_account_signing_endpoint="here"), clock)
