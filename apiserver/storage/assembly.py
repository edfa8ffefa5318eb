"""From flags to caches in front of etcd, with a key to it where objects are encrypted at rest.

What encrypts is imported only where it is asked for, which is seldom: it takes a while to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from apiserver.storage.cacher import Cacher
from apiserver.storage.compaction import Compactor
from apiserver.storage.etcd import EtcdStorage
from apiserver.storage.etcd_client import EtcdClient, EtcdTLS
from apiserver.storage.split import SplitStorage, overrides
from kubarium.component_base.clock import Clock
from kubarium.component_base.process import Process

if TYPE_CHECKING:
    from apiserver.storage.encryption.transformers import Encryption


async def encryption(options: Options, server_id: str, clock: Clock) -> Encryption | None:
    """What `--encryption-provider-config` says, ready for use; nothing without it. Raises ConfigurationError."""
    reload = options.encryption_provider_config_automatic_reload
    if not options.encryption_provider_config:
        if reload:
            flags = (
                "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config"
            )
            raise ConfigurationError(flags)
        return None
    from apiserver.storage.encryption.transformers import Encryption

    found = Encryption(options.encryption_provider_config, reload, server_id, clock)
    await found.prime()
    return found


class Etcd:
    """One etcd, the cache in front of it, and what keeps both small. It connects when it is first asked."""

    def __init__(
        self, servers: Sequence[str], options: Options, encryption: Encryption | None, clock: Clock
    ) -> None:
        self._client = _client(servers, options, encryption, clock)
        self.cacher = Cacher(EtcdStorage(self._client, clock), clock)
        self._encrypts = encryption is not None
        self._compactor: Compactor | None = None
        if options.etcd_compaction_interval:  # 0: somebody else does it
            self._compactor = Compactor(
                self._client, clock, self.cacher.compacted, options.etcd_compaction_interval
            )

    def start(self, process: Process) -> None:
        """Follow etcd, in tasks of a process."""
        process.start("cacher", self.cacher.run())
        process.start("history", self.cacher.tidy())
        if self._compactor is not None:
            process.start("compactor", self._compactor.run())
        if self._encrypts:
            process.start("decryption", self.cacher.mend())

    async def close(self) -> None:
        """Hang up."""
        await self._client.close()


def etcds(
    options: Options, encryption: Encryption | None, clock: Clock
) -> tuple[list[Etcd], Cacher | SplitStorage]:
    """Every etcd that the flags name, and all of them as one storage. Raises ConfigurationError."""
    main = Etcd(options.etcd_servers, options, encryption, clock)
    wanted = overrides(options.etcd_servers_overrides)
    if not wanted:
        return [main], main.cacher
    others: dict[frozenset[str], Etcd] = {}
    for servers in wanted.values():
        if frozenset(servers) not in others:
            others[frozenset(servers)] = Etcd(servers, options, encryption, clock)
    split = SplitStorage(
        main.cacher, {place: others[frozenset(servers)].cacher for place, servers in wanted.items()}
    )
    return [main, *others.values()], split


def _client(
    servers: Sequence[str], options: Options, encryption: Encryption | None, clock: Clock
) -> EtcdClient:
    if encryption is None:
        return EtcdClient(servers, _tls(options), clock)
    from apiserver.storage.encryption.client import EncryptingClient

    return EncryptingClient(servers, _tls(options), clock, encryption)


def _tls(options: Options) -> EtcdTLS | None:
    if not options.etcd_cafile:
        return None
    return EtcdTLS(options.etcd_cafile, options.etcd_certfile, options.etcd_keyfile)
