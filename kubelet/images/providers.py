"""Credential provider plugins: programs that know how to log in to a registry.

A `CredentialProviderConfig` says which plugin is asked for which images. The plugin reads a
`CredentialProviderRequest` on its standard input, writes a `CredentialProviderResponse`, and says for how long and for
which images its answer holds.
Source: https://kubernetes.io/docs/tasks/administer-cluster/kubelet-credential-provider/
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import yaml

from kubarium.apimachinery.object import Object, annotations_of, namespace_of, spec_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.options import parse_duration
from kubelet import metrics
from kubelet.images import names
from kubelet.images.keyring import Login, Source, entries_of

log = logging.get(__name__)

GROUP = "credentialprovider.kubelet.k8s.io"
VERSIONS = tuple(f"{GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
TIMEOUT = 60.0  # seconds
TOKEN_SECONDS = 3600

Token = Callable[[Object, str, int], Awaitable[str]]
"""`token(pod, audience, seconds)`"""
Account = Callable[[str, str], Awaitable[Object | None]]
"""`account(namespace, name)`"""


@dataclass(frozen=True, slots=True)
class Provider:
    """One plugin, as configured."""

    name: str
    patterns: tuple[str, ...]
    version: str
    seconds: float  # for which an answer holds that does not say
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    token: Mapping[str, Any] = field(default_factory=dict, hash=False)  # tokenAttributes


class ProviderError(Exception):
    """The plugin cannot be used or did not answer."""


def read(path: Path) -> list[Provider]:
    """A configuration file, or all of a directory in the order of their names. Raises ProviderError."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    wanted = [file for file in files if file.suffix in (".json", ".yaml", ".yml")] if path.is_dir() else files
    found: list[Provider] = []
    for file in wanted:
        try:
            document = yaml.safe_load(file.read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ProviderError(
                f"unable to read external registry credential provider configuration: {error}"
            ) from error
        if document.get("kind") != "CredentialProviderConfig":
            raise ProviderError(
                f'error decoding config {file}: no kind "{document.get("kind")}" is registered'
            )
        found += [_provider(one) for one in document.get("providers") or []]
    if not found:
        raise ProviderError("at least 1 item in plugins is required")
    seen = [one.name for one in found]
    if len(set(seen)) != len(seen):
        raise ProviderError(f"duplicate provider name: {next(name for name in seen if seen.count(name) > 1)}")
    return found


def _provider(one: Mapping[str, Any]) -> Provider:
    name = one.get("name") or ""
    if not name or "/" in name or name in (".", "..") or " " in name:
        raise ProviderError(f'plugin name "{name}" is invalid')
    if not one.get("matchImages"):
        raise ProviderError(f"plugin {name}: at least 1 item in matchImages is required")
    if one.get("apiVersion") not in VERSIONS:
        raise ProviderError(f'plugin {name}: unsupported apiVersion "{one.get("apiVersion")}"')
    if one.get("defaultCacheDuration") is None:
        raise ProviderError(f"plugin {name}: defaultCacheDuration is required")
    return Provider(
        name,
        tuple(one["matchImages"]),
        one["apiVersion"],
        parse_duration(str(one["defaultCacheDuration"])),
        tuple(one.get("args") or ()),
        tuple((each["name"], each["value"]) for each in one.get("env") or ()),
        one.get("tokenAttributes") or {},
    )


class Providers:
    """Asks the plugins, and remembers what they said."""

    def __init__(
        self, providers: Iterable[Provider], directory: Path, clock: Clock, token: Token, account: Account
    ) -> None:
        self._providers = list(providers)
        self._directory = directory
        self._clock = clock
        self._token = token
        self._account = account
        self._known: dict[tuple[str, ...], tuple[float, list[tuple[str, Login]]]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def logins(self, pod: Object, image: str) -> list[Login]:
        """What all plugins together know for the image. One that fails is as if it were not there."""
        found: list[tuple[str, Login]] = []
        for provider in self._providers:
            if not any(names.matches(pattern, image) for pattern in provider.patterns):
                continue
            try:
                async with self._asking.setdefault(provider.name, asyncio.Lock()):
                    found += await self._ask(provider, pod, image)
            except (ProviderError, OSError, TimeoutError, ValueError) as error:
                metrics.PROVIDER_ERRORS.add((provider.name,))
                log.warning("credential provider %s for %s: %s", provider.name, image, error)
        exact = sorted(found, key=lambda entry: entry[0], reverse=True)
        return [login for pattern, login in exact if names.matches(pattern, image)]

    async def _ask(self, provider: Provider, pod: Object, image: str) -> list[tuple[str, Login]]:
        request: Object = {
            "kind": "CredentialProviderRequest",
            "apiVersion": provider.version,
            "image": image,
        }
        source = Source()
        if provider.token:
            extra, source = await self._identity(provider, pod)
            if source.account is None:
                return []
            request |= extra
        owner = source.account or ()
        now = self._clock.monotonic()
        for key in (
            (provider.name, "Image", image),
            (provider.name, "Registry", _host(image)),
            (provider.name, "Global"),
        ):
            known = self._known.get((*key, *owner))
            if known is not None and now < known[0]:
                return known[1]
        with metrics.PROVIDER_SECONDS.timed((provider.name,)):
            answer = await self._run(provider, request)
        found = [(pattern, Login(one, source)) for pattern, one in entries_of(answer.get("auth") or {})]
        kind = answer.get("cacheKeyType")
        keys = {"Image": (image,), "Registry": (_host(image),), "Global": ()}
        if kind not in keys:
            raise ProviderError(f'credential provider plugin did not return a valid cacheKeyType: "{kind}"')
        text = answer.get("cacheDuration")
        seconds = provider.seconds if text is None else parse_duration(text)
        if seconds > 0:
            self._known[(provider.name, str(kind), *keys[str(kind)], *owner)] = (now + seconds, found)
        return found

    async def _identity(self, provider: Provider, pod: Object) -> tuple[Object, Source]:
        """A token of the pod's service account for the plugin, which then answers for that account only."""
        wanted = provider.token
        name = spec_of(pod).get("serviceAccountName") or ""
        account = await self._account(namespace_of(pod), name) if name else None
        if account is None:
            return {}, Source()
        notes = annotations_of(account)
        required = wanted.get("requiredServiceAccountAnnotationKeys") or []
        if any(key not in notes for key in required):
            return {}, Source()
        keys = [*required, *(wanted.get("optionalServiceAccountAnnotationKeys") or [])]
        token = await self._token(pod, wanted.get("serviceAccountTokenAudience") or "", TOKEN_SECONDS)
        request = {
            "serviceAccountToken": token,
            "serviceAccountAnnotations": {key: notes[key] for key in keys if key in notes},
        }
        return request, Source(account=(uid_of(account), namespace_of(pod), name))

    async def _run(self, provider: Provider, request: Object) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            str(self._directory / provider.name),
            *provider.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **dict(provider.env)},
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                out, error = await process.communicate(orjson.dumps(request))
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            text = error.decode(errors="replace").strip()
            raise ProviderError(f"error execing credential provider plugin {provider.name}: {text}")
        answer = yaml.safe_load(out) if not out.lstrip().startswith(b"{") else orjson.loads(out)
        if not isinstance(answer, dict) or answer.get("kind") != "CredentialProviderResponse":
            raise ProviderError("credential provider plugin returned no CredentialProviderResponse")
        if answer.get("apiVersion") != provider.version:
            raise ProviderError(
                f"apiVersion from credential plugin response did not match expected apiVersion:{provider.version}, "
                f"actual apiVersion:{answer.get('apiVersion')}"
            )
        return answer


def _host(image: str) -> str:
    return names.repository_of(image).partition("/")[0]
