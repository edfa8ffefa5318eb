"""Which certificate a client is shown, by the name for which it comes: a real server, real greetings."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from kubarium.component_base import renewal, server_names
from kubarium.component_base.certificates import Authority
from kubarium.component_base.serving import TLS, pages, serve


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    found = Authority.create("tests")
    for name, names in (
        ("default", ["localhost"]),
        ("own", ["own.example", "given.example"]),
        ("wild", ["*.wild.example"]),
    ):
        found.server(name, names).write(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
    return found


def pair(folder: Path, name: str, domains: str = "") -> str:
    return f"{folder / name}.crt,{folder / name}.key" + (f":{domains}" if domains else "")


async def shown(port: int, name: str) -> str:
    """Whose certificate the server shows."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    der = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    common = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value)


async def test_each_name_has_its_certificate(authority: Authority, tmp_path: Path) -> None:
    pairs = (pair(tmp_path, "own"), pair(tmp_path, "wild", "*.wild.example,given.example"))
    tls = TLS(str(tmp_path / "default.crt"), str(tmp_path / "default.key"), by_name=pairs)
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.ensure_future(serve(pages({}), "127.0.0.1", 0, tls, started=listening.set_result))
    port = await listening
    expected = {
        "own.example": "own", "given.example": "wild", "a.wild.example": "wild", "OWN.example": "own",
        "a.b.wild.example": "default", "other.example": "default",
    }  # fmt: skip
    assert {name: await shown(port, name) for name in expected} == expected
    server.cancel()
    await asyncio.wait([server])


async def test_a_certificate_that_is_renewed_in_its_place_is_shown(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if its two files come one after the other."""
    looks: list[object] = []
    look = renewal._state

    def noted(*files: str) -> Any:
        looks.append(files)
        return look(*files)

    monkeypatch.setattr(renewal, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(renewal, "_state", noted)
    cert, key = tmp_path / "default.crt", tmp_path / "default.key"
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.ensure_future(
        serve(pages({}), "127.0.0.1", 0, TLS(str(cert), str(key)), started=listening.set_result)
    )
    try:
        async with asyncio.timeout(60.0):
            port = await listening
            assert await shown(port, "") == "default"
            (tmp_path / "own.crt").replace(cert)
            done = len(looks) + 2  # the next look is over when the one after it begins
            while len(looks) < done:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
            assert await shown(port, "") == "default"
            (tmp_path / "own.key").replace(key)
            while await shown(port, "") != "own":  # noqa: ASYNC110  it looks by itself
                await asyncio.sleep(0.01)
    finally:
        server.cancel()
        await asyncio.wait([server])


def test_a_pair_names_two_files() -> None:
    with pytest.raises(ValueError, match="expected comma separated certificate and key file paths"):
        server_names.parse("only.crt")
