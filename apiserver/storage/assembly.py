"""From flags to a door to etcd, with a key to it where objects are encrypted at rest.

What encrypts is imported only where it is asked for, which is seldom: it takes a while to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from apiserver.storage.etcd_client import EtcdClient, EtcdTLS
from kubarium.component_base.clock import Clock

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


def etcd(options: Options, encryption: Encryption | None, clock: Clock) -> EtcdClient:
    """The client of `--etcd-servers`; it connects when it is first asked."""
    if encryption is None:
        return EtcdClient(options.etcd_servers, _tls(options), clock)
    from apiserver.storage.encryption.client import EncryptingClient

    return EncryptingClient(options.etcd_servers, _tls(options), clock, encryption)


def _tls(options: Options) -> EtcdTLS | None:
    if not options.etcd_cafile:
        return None
    return EtcdTLS(options.etcd_cafile, options.etcd_certfile, options.etcd_keyfile)
