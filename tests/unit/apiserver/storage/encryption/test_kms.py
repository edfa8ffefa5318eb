"""A key management service behind a real socket; the clock is the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from apiserver.storage.encryption.ciphers import CannotOpen, Choice
from apiserver.storage.encryption.kms import MESSAGES, SEEDED, SERVICE, KmsError, SeedNeeded
from apiserver.storage.encryption.transformers import Encryption
from apiserver.storage.interface import CannotSeal
from kubarium.component_base.clock import FakeClock
from tests import plugin_server

AT = b"/registry/secrets/default/one"


class Service:
    """Keeps a key that it can change; seals by turning around."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.key_id, self.healthz = "1", "ok"
        self.asked: list[str] = []
        self._server: Any = None

    async def start(self) -> None:
        async def status(request: Any, context: Any) -> Any:
            self.asked.append("Status")
            return MESSAGES["StatusResponse"](version="v2", healthz=self.healthz, key_id=self.key_id)

        async def encrypt(request: Any, context: Any) -> Any:
            self.asked.append("Encrypt")
            return MESSAGES["EncryptResponse"](
                ciphertext=request.plaintext[::-1], key_id=self.key_id, annotations={"local.kek.io": b"x"}
            )

        async def decrypt(request: Any, context: Any) -> Any:
            self.asked.append("Decrypt")
            if request.annotations["local.kek.io"] != b"x":
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such key")
            return MESSAGES["DecryptResponse"](plaintext=request.ciphertext[::-1])

        self._server = await plugin_server.listen(
            self.socket,
            SERVICE,
            MESSAGES,
            {
                "Status": (status, "StatusRequest"),
                "Encrypt": (encrypt, "EncryptRequest"),
                "Decrypt": (decrypt, "DecryptRequest"),
            },
        )

    async def stop(self) -> None:
        await self._server.stop(None)
        self.socket.unlink(missing_ok=True)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    found = Service(tmp_path / "kms.sock")
    await found.start()
    yield found
    await found.stop()


def configured(service: Service, *more: dict[str, Any]) -> str:
    kms = {"apiVersion": "v2", "name": "mine", "endpoint": f"unix://{service.socket}"}
    rule = {"resources": ["secrets"], "providers": [{"kms": kms}, *more]}
    file = service.socket.with_name("encryption.yaml")
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration"}
    file.write_text(yaml.safe_dump({**head, "resources": [rule]}))
    return str(file)


async def primed(service: Service, clock: FakeClock, reload: bool = False) -> Encryption:
    encryption = Encryption(configured(service), reload, "server", clock)
    await encryption.prime()
    return encryption


def choice_of(encryption: Encryption) -> Choice:
    found = encryption.current.of("", "secrets")
    assert found is not None
    return found


async def opened(choice: Choice, sealed: bytes) -> bytes:
    try:
        return choice.open(sealed, AT)[0]
    except SeedNeeded as needed:
        await needed.kms.learn(needed.envelope)
        return choice.open(sealed, AT)[0]


async def test_the_service_is_asked_for_what_is_new(service: Service, clock: FakeClock) -> None:
    encryption = await primed(service, clock)
    choice = choice_of(encryption)
    sealed = [choice.seal(b"value", AT) for _ in range(3)]
    assert service.asked == ["Status", "Encrypt"]
    assert all(one.startswith(b"k8s:enc:kms:v2:mine:") for one in sealed)
    envelope = MESSAGES["EncryptedObject"].FromString(sealed[0].removeprefix(b"k8s:enc:kms:v2:mine:"))
    assert (envelope.keyID, envelope.encryptedDEKSourceType) == ("1", SEEDED)
    assert dict(envelope.annotations) == {"local.kek.io": b"x"}
    other = await primed(service, clock)  # another server, or this one after a restart
    assert [await opened(choice_of(other), one) for one in sealed] == [b"value"] * 3
    assert service.asked == ["Status", "Encrypt", "Status", "Encrypt", "Decrypt"]
    await encryption.close()
    await other.close()


async def test_another_key_makes_values_outdated(service: Service, clock: FakeClock) -> None:
    encryption = await primed(service, clock)
    choice = choice_of(encryption)
    sealed = choice.seal(b"value", AT)
    assert choice.open(sealed, AT) == (b"value", choice.mark)
    service.key_id = "2"
    await clock.advance(60.0)
    await encryption.look()
    value, mark = choice.open(sealed, AT)
    assert value == b"value"
    assert mark != choice.mark
    assert choice.open(choice.seal(b"value", AT), AT) == (b"value", choice.mark)
    await encryption.close()


async def test_without_the_service_writes_go_on_for_three_minutes(service: Service, clock: FakeClock) -> None:
    encryption = await primed(service, clock)
    choice = choice_of(encryption)
    sealed = choice.seal(b"value", AT)
    await service.stop()
    await clock.advance(170.0)
    await encryption.look()
    with pytest.raises(
        KmsError, match="failed to perform status section of the healthz check for KMS Provider mine"
    ):
        await encryption.check()
    choice.seal(b"value", AT)
    await clock.advance(15.0)
    with pytest.raises(
        CannotSeal, match=r'^EDEK with keyID hash "sha256:.*" expired at 2026-01-01T00:03:00Z'
    ):
        choice.seal(b"value", AT)
    assert choice.open(sealed, AT)[0] == b"value"
    await encryption.close()


async def test_a_service_that_was_never_there_refuses_everything(tmp_path: Path, clock: FakeClock) -> None:
    encryption = await primed(Service(tmp_path / "nobody.sock"), clock)
    with pytest.raises(CannotSeal, match="got unexpected nil transformer"):
        choice_of(encryption).seal(b"value", AT)
    with pytest.raises(CannotOpen, match="encrypted data is empty"):
        choice_of(encryption).open(b"k8s:enc:kms:v2:mine:", AT)
    await encryption.close()


async def test_an_unwell_service_is_not_well(service: Service, clock: FakeClock) -> None:
    service.healthz = "locked"
    encryption = await primed(service, clock)
    with pytest.raises(
        KmsError,
        match=r"^kms-provider-0: kmsv2 Provider mine is not healthy, error: got unexpected healthz status: locked$",
    ):
        await encryption.check()
    await encryption.close()


async def test_a_changed_file_counts_once_its_services_are_well(service: Service, clock: FakeClock) -> None:
    encryption = await primed(service, clock, reload=True)
    before = encryption.current
    await encryption.look()
    assert encryption.current is before
    configured(service, {"identity": {}})
    await encryption.look()
    assert encryption.current is not before
    assert encryption.generation == 1
    assert choice_of(encryption).open(b"plain", AT) == (b"plain", "")
    await clock.advance(30.0)
    await encryption.look()  # and what the older file named is let go
    await encryption.close()
