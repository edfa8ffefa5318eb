"""From flags and files to authenticators, in upstream's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apiserver import configuration
from apiserver.authentication import configuration as trusts
from apiserver.authentication.authenticator import Authenticator, Authenticators
from apiserver.authentication.bootstrap_tokens import BootstrapTokens
from apiserver.authentication.client_certificates import ClientCertificates
from apiserver.authentication.oidc import TrustedIssuers
from apiserver.authentication.request_headers import RequestHeaders
from apiserver.authentication.service_account_tokens import ServiceAccountTokens
from apiserver.authentication.token_cache import TokenCache
from apiserver.authentication.token_file import TokenFile
from apiserver.authentication.webhook import TokenWebhook
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock
from kubarium.component_base.issuers import Issuers


@dataclass(frozen=True)
class Assembly:
    """The authenticators of a server."""

    all: Authenticators
    others: Sequence[Authenticator]
    """Those of bearer tokens that are not service accounts'; they know no audiences."""
    issuers: TrustedIssuers | None
    """Trusted issuers, to be run."""


def assemble(
    options: Options, tokens: ServiceAccountTokens | None, client: Client, clock: Clock, server_id: str
) -> Assembly:
    """Everything that recognises callers. Raises ConfigurationError."""
    issuers, anonymous = _trusted(options, clock, server_id)
    by_token: list[Authenticator] = [TokenFile(options.token_auth_file)] if options.token_auth_file else []
    if options.enable_bootstrap_token_auth:
        by_token.append(BootstrapTokens(client, clock))
    if issuers is not None:
        by_token.append(issuers)
    if options.authentication_token_webhook_config_file:
        by_token.append(_webhook(options, clock))
    everybody = [*([tokens] if tokens is not None else []), *by_token]
    found = _by_certificate(options, clock)
    if everybody:
        found.append(TokenCache(everybody, clock))
    authenticators = Authenticators(found, anonymous=anonymous.enabled, anonymous_paths=anonymous.paths)
    return Assembly(authenticators, by_token, issuers)


def audiences(options: Options) -> tuple[str, ...]:
    """For whom tokens must be meant that this server takes."""
    return options.api_audiences or options.service_account_issuer


def _by_certificate(options: Options, clock: Clock) -> list[Authenticator]:
    found: list[Authenticator] = []
    if options.requestheader_client_ca_file:
        found.append(
            RequestHeaders(
                Issuers.load(options.requestheader_client_ca_file),
                allowed_names=options.requestheader_allowed_names,
                username_headers=options.requestheader_username_headers,
                uid_headers=options.requestheader_uid_headers,
                group_headers=options.requestheader_group_headers,
                extra_prefixes=options.requestheader_extra_headers_prefix,
            )
        )
    if options.client_ca_file:
        several = bool(options.requestheader_client_ca_file)
        found.append(ClientCertificates(clock, Issuers.load(options.client_ca_file) if several else None))
    return found


def _webhook(options: Options, clock: Clock) -> TokenWebhook:
    remote, path = configuration.remote(options.authentication_token_webhook_config_file)
    return TokenWebhook(
        remote,
        clock,
        path,
        options.authentication_token_webhook_version,
        audiences(options),
        options.authentication_token_webhook_cache_ttl,
    )


def _trusted(
    options: Options, clock: Clock, server_id: str
) -> tuple[TrustedIssuers | None, trusts.Anonymous]:
    flags = trusts.Anonymous(options.anonymous_auth)
    if not options.authentication_config:
        trust = trusts.of_flags(options)
        return (TrustedIssuers([trust], clock) if trust is not None else None), flags
    if options.oidc_issuer_url or options.oidc_client_id:
        raise ConfigurationError("authentication-config file and oidc-* flags are mutually exclusive")
    path, own = options.authentication_config, options.service_account_issuer
    found, anonymous = trusts.load(path, own)
    if anonymous is not None and not options.anonymous_auth:
        text = "when anonymous field is configured in authentication configuration file"
        raise ConfigurationError(f"--anonymous-auth flag cannot be set {text}")

    file = configuration.FollowedFile(
        path, "authentication", server_id, clock, lambda: trusts.load(path, own)[0]
    )
    return TrustedIssuers(found, clock, file), anonymous or flags
