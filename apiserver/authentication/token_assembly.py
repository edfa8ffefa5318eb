"""Puts together what signs tokens of service accounts and what knows them again, as the flags want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apiserver.authentication.assembly import audiences
from apiserver.authentication.service_account_tokens import (
    Issuer,
    IssuerDocument,
    Keys,
    ServiceAccountTokens,
    TokenKeys,
    discovery_documents,
)
from apiserver.authentication.token_requests import TokenRequests
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

if TYPE_CHECKING:
    from apiserver.authentication.external_signer import ExternalSigner


@dataclass(frozen=True)
class ServiceAccountTokenParts:
    """What the server has of them; nothing where there is no key."""

    known: ServiceAccountTokens | None = None
    requests: TokenRequests | None = None
    documents: Mapping[str, IssuerDocument] | None = None


async def signer(options: Options, clock: Clock) -> ExternalSigner | None:
    """Whoever signs instead of us, once it has answered. Raises ConfigurationError."""
    endpoint = options.service_account_signing_endpoint
    if not endpoint:
        return None
    if options.service_account_signing_key_file or options.service_account_key_file:
        raise ConfigurationError(
            "can't set `--service-account-signing-key-file` and/or `--service-account-key-file` when "
            "`--service-account-signing-endpoint` is set (They are mutually exclusive)"
        )
    if not endpoint.startswith(("/", "@")):
        raise ConfigurationError(
            f'invalid value "{endpoint}" passed for `--service-account-signing-endpoint`, should be a valid location '
            "on the filesystem or must be prefixed with @ to name UDS in abstract namespace"
        )
    from apiserver.authentication.external_signer import ExternalSigner  # here, because gRPC is large

    found = ExternalSigner(endpoint, clock)
    try:
        await found.begin(options.service_account_max_token_expiration)
    except ConfigurationError:
        await found.close()
        raise
    return found


def assemble(
    options: Options, external: TokenKeys | None, client: Client, clock: Clock, server: str
) -> ServiceAccountTokenParts:
    """All parts; `server` is the URL at which this server can be reached."""
    keys = external
    if keys is None and options.service_account_signing_key_file:
        keys = Keys.load(options.service_account_signing_key_file, options.service_account_key_file)
    if keys is None:
        return ServiceAccountTokenParts()
    issuers = options.service_account_issuer
    requests = TokenRequests(
        Issuer(issuers[0], keys, clock, audiences(options)),
        maximum_seconds=int(options.service_account_max_token_expiration),
        extend=options.service_account_extend_token_expiration,
    )
    return ServiceAccountTokenParts(
        ServiceAccountTokens(keys, issuers, audiences(options), client, clock),
        requests,
        discovery_documents(issuers[0], keys, server, options.service_account_jwks_uri),
    )
