"""Which Choice of ciphers is for which resource, now and after the configuration file has changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apiserver.configuration import ConfigurationError, FollowedFile
from apiserver.storage.encryption import configuration
from apiserver.storage.encryption.ciphers import AesCbc, AesGcm, Choice, Cipher, Identity, Secretbox
from apiserver.storage.encryption.configuration import Kms, Provider, Rule
from apiserver.storage.encryption.kms import KmsCipher, KmsError
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

TICK = 1.0  # seconds between two looks at the file and at what the services need
PATIENCE = 10.0  # seconds for which services of a new file may take to be well
POLL = 0.1  # seconds between two questions meanwhile
RETIRING = 10.0  # seconds for which requests under way may still use what an older file named
EVERYTHING = ("*", "*")
_CIPHERS: Mapping[str, type[AesCbc] | type[AesGcm] | type[Secretbox]] = {
    "aescbc": AesCbc,
    "aesgcm": AesGcm,
    "secretbox": Secretbox,
}
_TITLES = {"aescbc": "AES", "aesgcm": "AES", "secretbox": "Secretbox"}
_KMS_V1 = (
    "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead.  "
    "Set --feature-gates=KMSv1=true to use the deprecated KMSv1 feature."
)


@dataclass
class Transformers:
    """What one configuration makes: a Choice for each group and resource, which may be `*`."""

    choices: dict[tuple[str, str], Choice] = field(default_factory=dict)
    services: list[KmsCipher] = field(default_factory=list)

    def of(self, group: str, resource: str) -> Choice | None:
        """For a resource; the most exact rule counts."""
        for place in ((group, resource), (group, "*"), EVERYTHING):
            if (found := self.choices.get(place)) is not None:
                return found
        return None

    async def check(self) -> None:
        """Are all services well? Raises KmsError."""
        failures = []
        for index, service in enumerate(self.services):
            try:
                await service.check()
            except KmsError as error:
                failures.append(f"kms-provider-{index}: {error}")
        if failures:
            raise KmsError(failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]")

    async def close(self) -> None:
        """Let go of the services."""
        for service in self.services:
            await service.close()


def build(rules: Sequence[Rule], server: str, clock: Clock) -> Transformers:
    """Put together what the rules say. Raises ConfigurationError."""
    entries: dict[tuple[str, str], list[tuple[Provider, Cipher | None]]] = {}
    services: list[KmsCipher] = []
    for rule in rules:
        made: list[tuple[Provider, Cipher | None]] = []
        for provider in rule.providers:
            service = _service(provider.kms, server, clock) if provider.kms is not None else None
            made.append((provider, service))
            if service is not None:
                services.append(service)
        for resource in rule.resources:
            place = configuration.group_resource(resource)
            _refuse_masked(place, entries)
            entries.setdefault(place, []).extend(made)
    choices = {place: _choice(_shown(place), found) for place, found in entries.items()}
    return Transformers(choices, services)


def _service(kms: Kms, server: str, clock: Clock) -> KmsCipher:
    if kms.version == "v1":
        raise ConfigurationError(f"error while building transformers: {_KMS_V1}")
    return KmsCipher(kms, server, clock)


def _refuse_masked(place: tuple[str, str], entries: Mapping[tuple[str, str], object]) -> None:
    for earlier in ((place[0], "*"), EVERYTHING):
        if earlier in entries:
            text = f'resource "{_shown(place)}" is masked by earlier rule "{_shown(earlier)}"'
            raise ConfigurationError(f"error while building transformers: {text}")


def _shown(place: tuple[str, str]) -> str:
    group, resource = place
    return f"{resource}.{group}" if group or resource == "*" else resource


def _choice(resource: str, providers: Sequence[tuple[Provider, Cipher | None]]) -> Choice:
    entries = [(_prefix(provider), service or _cipher(resource, provider)) for provider, service in providers]
    return Choice(resource, entries, "no matching prefix found")


def _prefix(provider: Provider) -> bytes:
    if provider.kms is not None:
        return f"k8s:enc:kms:v2:{provider.kms.name}:".encode()
    return f"k8s:enc:{provider.kind}:v1:".encode() if provider.keys else b""


def _cipher(resource: str, provider: Provider) -> Cipher:
    if provider.kind == "identity":
        return Identity()
    make = _CIPHERS[provider.kind]
    keys = [(f"{key.name}:".encode(), make(key.secret)) for key in provider.keys]
    title = _TITLES[provider.kind]
    return Choice(resource, keys, f"no matching key was found for the provided {title} transformer")


class Encryption:
    """Goes with a configuration file, and with the key management services that it names."""

    def __init__(self, path: str, reload: bool, server: str, clock: Clock) -> None:
        """Raises ConfigurationError."""
        self._clock = clock
        self.current = build(configuration.load(path, reload), server, clock)
        self.generation = 0  # grows when another file counts
        self._retired: list[tuple[float, Transformers]] = []
        self._file: FollowedFile[Transformers] | None = None
        if reload:
            self._file = FollowedFile(
                path,
                "encryption",
                server,
                clock,
                lambda: build(configuration.load(path, True), server, clock),
            )

    @property
    def reloads(self) -> bool:
        """May the file change?"""
        return self._file is not None

    @property
    def has_health(self) -> bool:
        """Is there a check `kms-providers`? With a file that may change there is, whatever it says."""
        return self.reloads or bool(self.current.services)

    async def check(self) -> None:
        """The check called `kms-providers`."""
        await self.current.check()

    async def prime(self) -> None:
        """Ask the services for the first time; one that is not there yet is asked again by `run`."""
        for service in self.current.services:
            await service.look_if_due()

    async def run(self) -> None:
        """Look after the services and the file, for ever."""
        while True:
            await self._clock.sleep(TICK)
            await self.look()

    async def look(self) -> None:
        """Once."""
        for service in self.current.services:
            await service.look_if_due()
        if self._file is not None:
            await self._take_over(self._file)
        while self._retired and self._retired[0][0] <= self._clock.monotonic():
            await self._retired.pop(0)[1].close()

    async def close(self) -> None:
        """Let go of all services."""
        for one in (self.current, *(old for _, old in self._retired)):
            await one.close()

    async def _take_over(self, file: FollowedFile[Transformers]) -> None:
        fresh = file.changed()
        if fresh is None:
            return
        try:
            await self._until_well(fresh)
        except KmsError as error:
            log.error("the encryption configuration is not taken over: %s", error)
            file.note("failure")
            file.read_again()
            await fresh.close()
            return
        self._retired.append((self._clock.monotonic() + RETIRING, self.current))
        self.current = fresh
        self.generation += 1
        log.info("the encryption configuration has changed")
        file.note("success")

    async def _until_well(self, fresh: Transformers) -> None:
        deadline = self._clock.monotonic() + PATIENCE
        while True:
            try:
                await fresh.check()
                return
            except KmsError as error:
                if self._clock.monotonic() >= deadline:
                    text = "health check for new transformers failed"
                    raise KmsError(f"{text}, polling error context deadline exceeded: {error}") from error
            await self._clock.sleep(POLL)
